"""Says in the log what will not be delivered without help: by root, folder, extension and class.

At most ten lines are written a minute; the other groups wait for their turn. One more line says when a group
is over.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import structlog

from sidecar.core.account import FileClass
from sidecar.core.clock import Clock
from sidecar.watch.scan.census import Example, Tally, UnsentGroup

log = structlog.get_logger()
LOOK_SECONDS = 2.0
LOOKS = 2  # at the same: the second one says it
LINES_MAX, WINDOW_SECONDS = 10, 60.0


class Watched(Protocol):
    """The watch stage, as far as attention asks it."""

    def roots(self) -> list[str]:
        """Return the watched roots."""
        ...

    def unsent_mark(self) -> object:
        """Return what differs whenever something else is unsent."""
        ...

    def places(self, root: str) -> Iterator[tuple[UnsentGroup, Tally]]:
        """Yield what counts as unsent in a root."""
        ...

    def with_reason(self, example: Example) -> Example:
        """Say why it is not sent."""
        ...


@dataclass(frozen=True, slots=True)
class _Group:
    """The files that one line of the log is about."""

    root: str
    folder: str
    extension: str
    file_class: FileClass


class Attention:
    """Looks now and then at what is unsent, and says what is new and what is over."""

    def __init__(self, *, watch: Watched, clock: Clock) -> None:
        """``watch`` is the stage; ``clock`` bounds the lines."""
        self._watch, self._clock = watch, clock
        self._reported: dict[_Group, float] = {}  # since when, monotonic
        self._before: set[_Group] = set()
        self._lines = deque[float]()
        self._is_behind = False  # something waits for its turn

    async def run(self) -> None:
        """Look, for ever."""
        mark, seen = None, 0
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if (now := self._watch.unsent_mark()) != mark:
                mark, seen = now, 0
            if (seen < LOOKS or self._is_behind) and self._has_room():
                self.look()
                seen += 1

    def look(self, *, at_once: bool = False) -> None:
        """Say what was unsent at the last look as well: a renderer may only pass through. Or ``at_once``."""
        found, self._is_behind = self._found(), False
        for group in [group for group in self._reported if group not in found]:
            self._say(partial(self._end, group))
        for group, (count, example) in found.items():
            if group not in self._reported and (at_once or group in self._before):
                self._say(partial(self._begin, group, count, example))
        self._before = set(found)

    def _found(self) -> dict[_Group, tuple[int, Example]]:
        found: dict[_Group, tuple[int, Example]] = {}
        for root in self._watch.roots():
            for place, tally in self._watch.places(root):
                one = tally.examples[0]
                folder = one.path.rpartition("/")[0]
                group = _Group(root, folder, place.extension, FileClass(place.finding))
                count, example = found.get(group, (0, one))
                found[group] = count + tally.count, example
        return found

    def _has_room(self) -> bool:
        while self._lines and self._clock.monotonic() - self._lines[0] >= WINDOW_SECONDS:
            self._lines.popleft()
        return len(self._lines) < LINES_MAX

    def _say(self, line: Callable[[], None]) -> None:
        if not self._has_room():
            self._is_behind = True
            return
        self._lines.append(self._clock.monotonic())
        line()

    def _begin(self, group: _Group, count: int, example: Example) -> None:
        self._reported[group] = self._clock.monotonic()
        log.warning(
            "files_not_sent",
            root=group.root,
            folder=group.folder,
            extension=group.extension,
            files=count,
            path=f"{group.root.rstrip('/')}/{example.path}",
            why=self._watch.with_reason(example).why,
            **{"class": str(group.file_class)},
        )

    def _end(self, group: _Group) -> None:
        seconds = round(self._clock.monotonic() - self._reported.pop(group), 1)
        log.info(
            "files_not_sent_over",
            root=group.root,
            folder=group.folder,
            extension=group.extension,
            seconds=seconds,
            **{"class": str(group.file_class)},
        )
