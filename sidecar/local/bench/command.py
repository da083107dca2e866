"""``sidecar bench`` from its first line to its exit status."""

from __future__ import annotations

import json
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import NoReturn, Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from sidecar.local.child import ServerError

from .budgets import Figures, number
from .chart import drawn
from .course import Bench, Order, Step
from .results import Report
from .rows import ROWS, Row, chosen
from .tables import TRANSPORTS, besides, show

DONE, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the command line says; lists as names with commas."""

    rows: str
    peers: str
    transports: Sequence[str]
    scale: float
    repeat: int
    json_output: bool
    svg: Path | None
    folder: Path | None


def main(options: Options, rows: Sequence[Row] = ROWS) -> int:
    """Measure and say; 0 if every run came to its end, whether or not the budgets are met."""
    console = Console(stderr=True)
    try:
        order = Order(
            rows=chosen(rows, _names(options.rows)),
            transports=options.transports,
            peers=_names(options.peers),
            scale=options.scale,
            repeat=options.repeat,
        )
        with _folder(options.folder) as folder, _ended_by_signals():
            return _measured(order, folder, options, console)
    except ValueError as error:
        console.print(f"[red]{escape(str(error))}[/]", highlight=False)
        return USAGE
    except ServerError as error:
        console.print(f"[red]{escape(str(error))}[/]", highlight=False)
        return FAILED


def _measured(order: Order, folder: Path, options: Options, console: Console) -> int:
    with _Board(console) as board:
        bench = Bench(order, folder, began=board.began, ended=board.ended)
        status = DONE
        try:
            bench.run()
        except KeyboardInterrupt:
            bench.report.notes.append("interrupted: what is there is shown")
            status = INTERRUPTED
    _say(bench.report, options)
    return status or (FAILED if any(result.failures for result in bench.report.rows) else DONE)


def _say(report: Report, options: Options) -> None:
    if options.svg is not None:
        options.svg.write_text(drawn(report), encoding="utf-8")
    if options.json_output:
        sys.stdout.write(f"{json.dumps(report.as_json())}\n")
    else:
        show(Console(), report)


class _Board:
    """What is going on: a bar on a terminal, a line for each run anywhere else."""

    def __init__(self, console: Console) -> None:
        self._console = console
        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
        self._bar = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self._task = self._bar.add_task("looking around", total=None)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def began(self, step: Step) -> None:
        """Show what is measured now."""
        self._bar.update(
            self._task, description=escape(_named(step)), total=step.total, completed=step.number - 1
        )

    def ended(self, step: Step, outcome: Figures | str) -> None:
        """Say what was measured."""
        if isinstance(outcome, str):
            said = f"[red]{escape(outcome)}[/]"
        else:
            said = f"{number(outcome.get('wall', 0.0))} s, {number(outcome.get('cpu', 0.0))} CPU s, "
            said += ", ".join(
                filter(None, (f"{number(outcome['rss'])} MiB" if "rss" in outcome else "", besides(outcome)))
            )
        self._console.print(
            f"[dim]{step.number}/{step.total}[/] {escape(_named(step))}: {said}", highlight=False
        )


def _named(step: Step) -> str:
    result = step.result
    return f"{result.row.title}, {TRANSPORTS[result.transport]}, {step.tool}"


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


@contextmanager
def _folder(given: Path | None) -> Iterator[Path]:
    """Make a folder that goes at the end, in the one that is given or where temporary files are."""
    if given is not None:
        given.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix="sidecar-bench-", dir=given)).resolve()
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Let SIGTERM and a hang-up clean up as Ctrl-C does."""

    def interrupt(_: int, __: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt

    numbers = (signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(one, interrupt) for one in numbers]
    try:
        yield
    finally:
        for one, handler in zip(numbers, before, strict=True):
            signal.signal(one, handler)
