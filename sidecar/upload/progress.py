"""What ``/status`` shows of an upload under way. Memory only: the journal holds the facts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sidecar.core.upload_order import Rank


@dataclass(slots=True, kw_only=True)
class UploadProgress:
    """``sent_bytes`` and ``sent_parts`` count what S3 confirmed or was journaled before.

    ``confirmed`` says that a part was confirmed in this very attempt; ``on_part`` hears of each, ``on_step``
    of each other operation that S3 carried out, by its name, ``on_open`` that the file could be opened.
    ``delivered_by`` names the last operation. ``has_asked``: a PUT or Complete was begun in this attempt.
    ``is_intended``: the journal noted with the claim that the object may exist. ``is_stored``: S3 has it, and
    that is being written down; ``on_stored`` hears of it.
    """

    transfer_id: str
    path: str  # absolute
    size_bytes: int
    rank: Rank  # when its bodies go
    sent_bytes: int = 0
    parts: int = 0
    sent_parts: int = 0
    confirmed: bool = False
    on_part: Callable[[], None] = lambda: None
    on_step: Callable[[str], None] = lambda _operation: None
    on_open: Callable[[], None] = lambda: None
    on_stored: Callable[[], None] = lambda: None
    delivered_by: str = "HeadObject"
    has_asked: bool = False
    is_intended: bool = False
    is_stored: bool = False

    def resumed(self, *, parts: int, sent_parts: int, sent_bytes: int) -> None:
        """Begin where an earlier attempt ended."""
        self.parts, self.sent_parts, self.sent_bytes = parts, sent_parts, sent_bytes

    def stored(self) -> None:
        """Give the place to another one."""
        self.is_stored = True
        self.on_stored()

    def part_sent(self, size_bytes: int) -> None:
        """Count a part that S3 confirmed."""
        self.sent_parts += 1
        self.sent_bytes += size_bytes
        self.confirmed = True
        self.on_part()
