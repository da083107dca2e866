"""How ``dev`` and ``demo`` look on a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rich import box
from rich.console import Console
from rich.filesize import decimal
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from .demo import Progress, Report
from .lesson import CHUNKS, LESSON
from .proof import SESSION_ID, Place, Proof

_COLOURS = {"ready": "green", "uploading": "yellow", "error": "red"}
_SCENE_FILES = {"source": "scene.py", "thumbnail": "thumbnail.png", "subtitles": "narration.vtt"}
_SESSION_FILES = {"video": "lesson.mp4", "subtitles": "lesson.vtt", "manifest": "manifest.json"}


class Board:
    """The live picture; where there is no terminal, a line for every file that Convex shows."""

    def __init__(self, console: Console, progress: Progress) -> None:
        """Draw on ``console``."""
        self._console = console
        self._progress = progress
        self._told: set[Place] = set()
        self.live = Live(get_renderable=self._table, console=console, auto_refresh=False, transient=True)

    def refresh(self) -> None:
        """Draw what is new."""
        if self._console.is_terminal:
            self.live.refresh()
        for place in sorted(self._progress.assets.keys() - self._told):
            self._told.add(place)
            if not self._console.is_terminal:
                self._console.print(f"Convex shows {place[0]} {place[1]}", highlight=False)

    def _table(self) -> Table:
        known, drawn = len(self._progress.assets), len(self._progress.rendered)
        table = Table(box=box.SIMPLE_HEAD, title="The lesson, as a player sees it in Convex")
        table.caption = f"{known} of {drawn} files that ffmpeg has drawn so far"
        for column in ("", "video", "the rest", "status"):
            table.add_column(column, no_wrap=True)
        for picture in LESSON:
            chunks = (f"chunk-{number:03}.mp4" for number in range(1, CHUNKS + 1))
            self._row(table, picture.scene, picture.scene, chunks, _SCENE_FILES)
        rest = dict(_SESSION_FILES)
        self._row(table, "the whole lesson", SESSION_ID, [rest.pop("video")], rest)
        return table

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


def show_report(console: Console, report: Report) -> None:
    """Print the table of all files, what is wrong, and one sentence."""
    table = Table(box=box.SIMPLE_HEAD, title=SESSION_ID)
    table.add_column("file", overflow="fold")
    for column in (
        "size",
        "version",
        "object\nand row",
        "close to\nsynced",
    ):  # narrow: there may be 80 columns
        table.add_column(column, justify="left" if column == "object\nand row" else "right")
    for proof in report.proofs:
        table.add_row(*_cells(proof))
    console.print(table)
    for complaint in report.besides:
        console.print(f"[red]{escape(complaint)}[/]")
    console.print(_sentence(report), highlight=False, soft_wrap=True)


def show_addresses(console: Console, addresses: Iterable[tuple[str, str]]) -> None:
    """Print where everything is."""
    for what, where in addresses:
        console.print(f"  [bold]{what:<10}[/] {escape(where)}", highlight=False, soft_wrap=True)


def _cells(proof: Proof) -> Iterator[str]:
    agrees = "[green]identical[/]" if not proof.wrong else f"[red]{escape('; '.join(proof.wrong))}[/]"
    yield escape(proof.file.path.removeprefix(f"{SESSION_ID}/"))
    yield decimal(proof.file.size_bytes)
    yield f"{proof.asset['version']:g}" if proof.asset else ""
    yield agrees
    yield f"{proof.delay_ms:.0f} ms" if proof.delay_ms is not None else ""


def _sentence(report: Report) -> str:
    told = report.as_json()
    delays = told["close_to_synced_ms"]
    verdict = "[green]All agree[/]" if report.good else f"[red]{report.mismatched} do not agree[/]"
    return (
        f"{verdict}: {told['synced']} of {told['files']} files ({decimal(told['bytes'])}) in S3 and Convex "
        f"after {told['seconds']} s, {told['dead']} dead letters. "
        f"From a file's last write to its row in Convex: "
        f"median {delays['p50']} ms, 99th percentile {delays['p99']} ms."
    )
