"""How ``dev`` and ``demo`` look on a terminal."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence

from rich import box
from rich.console import Console
from rich.filesize import decimal
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from sidecar.core.speed import Speed, seconds_left
from sidecar.status.wording import age

from .demo import DemoReport, Progress
from .lesson import CHUNKS, LESSON
from .proof import SESSION_ID, Place, Proof, place_of

_COLOURS = {"ready": "green", "uploading": "yellow", "error": "red"}
_SCENE_FILES = {"source": "scene.py", "thumbnail": "thumbnail.png", "subtitles": "narration.vtt"}
_SESSION_FILES = {"video": "lesson.mp4", "subtitles": "lesson.vtt", "manifest": "manifest.json"}
FILES = len(LESSON) * (CHUNKS + len(_SCENE_FILES)) + len(_SESSION_FILES)
WRONG_MAX = 8


class Board:
    """The live picture; where there is no terminal, a line for every file that Convex shows."""

    def __init__(self, console: Console, progress: Progress) -> None:
        """Draw on ``console``."""
        self._console = console
        self._progress = progress
        self._told: set[Place] = set()
        self._files, self._bytes = Speed(), Speed()
        self.live = Live(get_renderable=self._table, console=console, auto_refresh=False, transient=True)

    def refresh(self) -> None:
        """Draw what is new."""
        now = time.monotonic()
        self._files.saw(len(self._progress.assets), now)
        self._bytes.saw(sum(asset["size"] for asset in self._progress.assets.values()), now)
        if self._console.is_terminal:
            self.live.refresh()
        for place in sorted(self._progress.assets.keys() - self._told):
            self._told.add(place)
            if not self._console.is_terminal:
                self._console.print(f"Convex shows {place[0]} {place[1]}", highlight=False)

    def _table(self) -> Table:
        table = Table(box=box.SIMPLE_HEAD, title="The lesson, as a player sees it in Convex")
        table.caption = self._caption()
        for column in ("", "video", "the rest", "status"):
            table.add_column(column, no_wrap=True)
        for picture in LESSON:
            chunks = (f"chunk-{number:03}.mp4" for number in range(1, CHUNKS + 1))
            self._row(table, picture.scene, picture.scene, chunks, _SCENE_FILES)
        rest = dict(_SESSION_FILES)
        self._row(table, "the whole lesson", SESSION_ID, [rest.pop("video")], rest)
        return table

    def _caption(self) -> str:
        known, drawn = len(self._progress.assets), len(self._progress.rendered)
        left = seconds_left(FILES - known, self._files.per_second)
        return (
            f"{known} of {FILES} files, {drawn} drawn by ffmpeg"
            + (f"; {decimal(round(self._bytes.per_second))}/s" if self._bytes.per_second else "")
            + (f", about {age(left)} left" if left else "")
        )

    def _row(
        self, table: Table, title: str, entity: str, videos: Iterable[str], rest: dict[str, str]
    ) -> None:
        video = "".join(self._mark((entity, name), "█") for name in videos)
        others = "  ".join(f"{self._mark((entity, name), '✓')} {word}" for word, name in rest.items())
        status = self._progress.statuses.get(entity, "")
        table.add_row(title, video, others, f"[{_COLOURS.get(status, 'dim')}]{status}[/]")

    def _mark(self, place: Place, sign: str) -> str:
        if place in self._progress.assets:
            return f"[green]{sign}[/]"
        return "[yellow]▒[/]" if place in self._progress.rendered else "[dim]·[/]"


def show_report(console: Console, report: DemoReport) -> None:
    """Print what became of each scene's files, what is wrong, and one sentence; all of it on one screen."""
    table = Table(box=box.SIMPLE_HEAD, title=SESSION_ID)
    table.add_column("", no_wrap=True)
    for column in ("files", "size", "object and row", "close to synced"):
        table.add_column(column, justify="right", no_wrap=True)
    names = [*((picture.scene, picture.scene) for picture in LESSON), ("the whole lesson", SESSION_ID)]
    for title, entity in names:
        table.add_row(title, *_cells([one for one in report.proofs if place_of(one.file)[0] == entity]))
    console.print(table)
    wrong = [f"{one.file.path}: {'; '.join(one.wrong)}" for one in report.proofs if one.wrong]
    for complaint in (shown := [*wrong, *report.besides])[:WRONG_MAX]:
        console.print(f"[red]{escape(complaint)}[/]")
    if len(shown) > WRONG_MAX:
        console.print(f"[red]... and {len(shown) - WRONG_MAX} more[/]")
    console.print(_sentence(report), highlight=False)


def show_addresses(console: Console, addresses: Iterable[tuple[str, str]]) -> None:
    """Print where everything is."""
    for what, where in addresses:
        console.print(f"  [bold]{what:<10}[/] {escape(where)}", highlight=False, soft_wrap=True)


def _cells(proofs: Sequence[Proof]) -> Iterator[str]:
    wrong = sum(bool(proof.wrong) for proof in proofs)
    delays = sorted(proof.delay_ms for proof in proofs if proof.delay_ms is not None)
    yield str(len(proofs))
    yield decimal(sum(proof.file.size_bytes for proof in proofs))
    yield f"[red]{wrong} wrong[/]" if wrong else "[green]identical[/]"
    yield f"{delays[0]:.0f} to {delays[-1]:.0f} ms" if delays else ""


def _sentence(report: DemoReport) -> str:
    told = report.as_json()
    delays = told["close_to_synced_ms"]
    verdict = "[green]All agree[/]" if report.good else f"[red]{report.mismatched} do not agree[/]"
    return (
        f"{verdict}: {told['synced']} of {told['files']} files ({decimal(told['bytes'])}) in S3 and Convex "
        f"after {told['seconds']} s, {told['dead']} dead letters. "
        f"From a file's last write to its row in Convex: "
        f"median {delays['p50']} ms, 99th percentile {delays['p99']} ms."
    )
