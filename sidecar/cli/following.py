"""``sidecar status --watch``: the same, again and again, also across a restart of the daemon."""

from __future__ import annotations

import shutil
import sys
import textwrap
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sidecar import streams
from sidecar.core.speed import Speeds
from sidecar.core.text import printable
from sidecar.status.wording import age

from .client import ClientError, LostError, NotRunningError
from .table import TableSection, fitted

if TYPE_CHECKING:
    from rich.text import Text

EVERY_SECONDS = 1.0
Reply = dict[str, Any]


def follow(
    read: Callable[[], Reply],
    *,
    show: Callable[[Reply], None],
    sections: Callable[[Reply, Speeds], list[TableSection]],
    live: bool,
) -> None:
    """Show one reply after another while somebody reads; ``live`` draws them over each other.

    Raises ClientError where nobody answers at first: then the address is wrong.
    """
    watched = _Watched(read)
    if live:
        _draw(watched, sections)
        return
    while streams.lost(sys.stdout) is None:
        if (reply := watched.look()) is not None:
            show(reply)
        time.sleep(EVERY_SECONDS)


class _Watched:
    """A daemon that may be away for a while."""

    def __init__(self, read: Callable[[], Reply]) -> None:
        self._read = read
        self.reply: Reply | None = None
        self.speeds = Speeds()
        self.away: str | None = None
        self.away_since = 0.0

    def look(self) -> Reply | None:
        """Return the reply of now; None while nobody answers, which is said once on standard error."""
        try:
            self.reply = reply = self._read()
        except (NotRunningError, LostError) as error:
            if self.reply is None:
                raise
            self._missed(error)
            return None
        if self.away is not None:
            self.away, self.speeds = None, Speeds()
        under_way = {one["transfer"]: (one["sent"], one["size"]) for one in reply["uploads"]}
        self.speeds.saw(under_way, time.monotonic())
        return reply

    def _missed(self, error: ClientError) -> None:
        if self.away is None:
            self.away_since = time.monotonic()
            if not sys.stdout.isatty():
                print(f"sidecar: {error.args[0]}; waiting for it", file=sys.stderr)
        self.away = str(error.args[0])


def _draw(watched: _Watched, sections: Callable[[Reply, Speeds], list[TableSection]]) -> None:
    from rich.live import Live

    watched.look()
    with Live(_screen(watched, sections), screen=True, auto_refresh=False) as live:
        while streams.lost(sys.stdout) is None:
            live.update(_screen(watched, sections), refresh=True)
            time.sleep(EVERY_SECONDS)
            watched.look()


def _screen(watched: _Watched, sections: Callable[[Reply, Speeds], list[TableSection]]) -> Text:
    """Return a screenful, fitted to the terminal as it is now."""
    from rich.text import Text

    size = shutil.get_terminal_size()
    text = Text(no_wrap=True, overflow="crop")
    height = size.lines
    if watched.away is not None:
        waited = age(time.monotonic() - watched.away_since)
        message = f"{watched.away}. Waiting for it, {waited} so far; this was the last:"
        lines = textwrap.wrap(printable(message), size.columns)
        text.append("".join(f"{line}\n" for line in lines), "bold yellow")
        height -= len(lines)
    shown = sections(watched.reply or {}, watched.speeds)
    for line in fitted(shown, width=size.columns, height=height):
        text.append(f"{line.text}\n", "bold" if line.is_title else "")
    text.right_crop(1)
    return text
