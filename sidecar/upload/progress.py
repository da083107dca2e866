"""What ``/status`` shows of an upload under way. Memory only: the journal holds the facts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sidecar.core.upload_order import Rank
from sidecar.gate import RemoteGate

from .source import Opened


@dataclass(slots=True, kw_only=True)
class UploadProgress:
    """``sent_bytes`` and ``sent_parts`` count what S3 confirmed or was journaled before.

    ``confirmed`` says that a part was confirmed in this very attempt; ``gate`` hears of each, and of each
    other operation that S3 carried out. ``delivered_by`` names the last operation. ``has_asked``: a PUT or
    Complete was begun in this attempt. ``is_intended``: the journal noted with the claim that the object may
    exist. ``is_stored``: S3 has it, and that is being written down; ``on_stored`` hears of it. ``opened`` is
    its file, which whoever holds this closes.
    """

    transfer_id: str
    path: str  # absolute
    size_bytes: int
    rank: Rank  # when its bodies go
    sent_bytes: int = 0
    parts: int = 0
    sent_parts: int = 0
    confirmed: bool = False
    gate: RemoteGate | None = None
    opened: Opened | None = None
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
        if self.gate is not None:
            self.gate.succeeded(self.transfer_id, "UploadPart")

    def stepped(self, operation: str) -> None:
        """Note an operation that S3 carried out, and that moved no bytes."""
        if self.gate is not None:
            self.gate.stepped(self.transfer_id, operation)

    def close(self) -> None:
        """Close its file, if it is open."""
        if self.opened is not None:
            self.opened.close()
