"""How ``dev`` looks: a line for everything that arrives, and below it, on a terminal, what is under way."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.live import Live
from rich.text import Text

from sidecar.core.speed import Speeds, seconds_left
from sidecar.core.text import cells, printable, shortened
from sidecar.status.wording import age, count, size

from .arrivals import ArrivalReport, Reply

UPLOADS_MAX = 8
_COLOURS = {"synced": "green", "dead": "red"}


class Feed:
    """Says what is new in each look. Use it as a context manager."""

    def __init__(self, console: Console, *, root: str, url_of: Callable[[str], str], as_json: bool) -> None:
        """``url_of`` gives an object's address; paths below ``root`` are shown without it."""
        self._console, self._root, self._url_of, self._as_json = console, root, url_of, as_json
        self._speeds = Speeds()
        self._missed = ""
        self._live = Live(console=console, auto_refresh=False, transient=True)

    def __enter__(self) -> Self:
        """Begin to draw, on a terminal."""
        if self._console.is_terminal and not self._as_json:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the lines, and nothing of what was under way."""
        self._live.stop()

    def show(self, look: ArrivalReport) -> None:
        """Say what is new and draw what is under way."""
        self._missed = ""
        for asset in look.synced:
            self._arrived(asset)
        for one in look.not_sent:
            self._complain(one)
        under_way = {one["transfer"]: (one["sent"], one["size"]) for one in look.status["uploads"]}
        self._speeds.saw(under_way, time.monotonic())
        if self._live.is_started:
            lines = list(self._under_way(look.status))
            self._live.update(Text("\n".join(lines), "dim", no_wrap=True, overflow="crop"), refresh=True)

    def missed(self, why: str) -> None:
        """Say why nothing could be seen, once."""
        if why != self._missed:
            self._console.print(Text(printable(why), "yellow"), soft_wrap=True)
        self._missed = why

    def _arrived(self, asset: Reply) -> None:
        url = self._url_of(asset["key"])
        if self._as_json:
            self._json({"event": "synced", **asset, "url": url})
            return
        what = f"{asset['asset_type']:<14} {size(asset['size']):>9}"
        self._line("synced", what, asset["path"], url)

    def _complain(self, one: Reply) -> None:
        if self._as_json:
            self._json({"event": "not_sent", **one})
            return
        self._line(one["finding"], "", one["path"], one["why"])

    def _line(self, word: str, what: str, path: str, more: str) -> None:
        """Print a line; what is too long for it follows on one of its own."""
        shown = printable(path.removeprefix(f"{self._root}/"))
        begin = f"{datetime.now().astimezone():%H:%M:%S} {word:<10} {what:<24} "
        room = self._console.width - cells(begin) if self._console.is_terminal else cells(shown)
        line = Text(no_wrap=True).append(begin, _COLOURS.get(word, "yellow")).append(shortened(shown, room))
        self._console.print(line, soft_wrap=True)
        self._console.print(Text(f"         {printable(more)}", "dim"), soft_wrap=True)

    def _under_way(self, status: Reply) -> Iterator[str]:
        backlog, uploads = status["backlog"], status["uploads"]
        waiting = status["pending"]["files"]
        if backlog["files"]:
            left = seconds_left(
                max(0, backlog["bytes"] - sum(one["sent"] for one in uploads)), self._speeds.total
            )
            speed = f", {size(self._speeds.total)}/s" if self._speeds.total else ""
            until = f", about {age(left)} left" if left is not None else ""
            yield f"{count(backlog['files'], 'file')} on the way, {size(backlog['bytes'])}{speed}{until}"
        if waiting:
            yield f"{count(waiting, 'file')} not complete yet"
        ordered = sorted(uploads, key=lambda one: (one["size"] - one["sent"], one["path"]))
        yield from (self._upload(one) for one in ordered[:UPLOADS_MAX])
        yield from [f"  ... and {len(uploads) - UPLOADS_MAX} more"] if len(uploads) > UPLOADS_MAX else []

    def _upload(self, one: Reply) -> str:
        share = one["sent"] / one["size"] if one["size"] else 0.0
        speed = self._speeds.of(one["transfer"])
        end = f" {share:>4.0%} of {size(one['size']):>9} {size(speed or 0.0) + '/s' if speed else '':>11}"
        shown = printable(one["path"].removeprefix(f"{self._root}/"))
        name = shortened(shown, self._console.width - len(end) - 3)
        return f"  {name}{' ' * (self._console.width - len(end) - 3 - cells(name))}{end}"

    def _json(self, value: dict[str, Any]) -> None:
        print(json.dumps(value), flush=True)  # noqa: T201 - what --json is for
