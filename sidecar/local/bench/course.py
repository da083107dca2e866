"""The course of a whole bench: every row over every transport, the tools in turn, again and again."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sidecar import __version__
from sidecar.local.certificates import Tls, make
from sidecar.local.child import ServerError

from . import machine
from .budgets import OURS, Figures
from .line import Lines
from .measures import Trial, by_peer, by_sidecar, prepare
from .peers import PEERS, Peer
from .remotes import fresh
from .results import Report, RowResult
from .rows import GIB, Kind, Row

PLAIN, TLS = "plain", "tls"
COMPARED = frozenset({Kind.BATCH, Kind.VISIBLE})
_ROOM = 2.5  # times the row's bytes: the files, the server's copy, and some air


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is to be measured; ``peers``: by name, all of them where it is empty."""

    rows: Sequence[Row]
    transports: Sequence[str]
    peers: Sequence[str]
    scale: float
    repeat: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One run to come."""

    result: RowResult
    tool: str
    number: int
    total: int


class Bench:
    """Measures. ``report`` has at every moment what is there; ``began`` and ``ended`` hear of each run."""

    def __init__(
        self,
        order: Order,
        folder: Path,
        *,
        began: Callable[[Step], None],
        ended: Callable[[Step, Figures | str], None],
    ) -> None:
        """Find the tools. Raises ValueError for one that nobody knows."""
        self._order, self._folder, self._began, self._ended = order, folder, began, ended
        self._programs = _found(order.peers)
        self._peers = {peer.name: peer for peer in PEERS}
        here = machine.described(folder)
        self._tls = make(folder)
        self._lines = Lines(folder)
        self.report = Report(
            began=datetime.now(UTC).isoformat(timespec="seconds"),
            version=__version__,
            machine=here,
            scale=order.scale,
            repeat=order.repeat,
            tools={OURS: f"sidecar {__version__}"}
            | {name: self._peers[name].told(program) for name, program in self._programs.items() if program},
            missing={
                name: self._peers[name].install for name, program in self._programs.items() if not program
            },
        )
        if (warning := machine.busy(here)) is not None:
            self.report.notes.append(warning)
        if order.scale != 1:
            self.report.notes.append(
                f"scaled by {order.scale:g}: what a start costs weighs more than it should"
            )

    def run(self) -> None:
        """Measure everything."""
        number, total = 0, sum(len(steps) for _, steps in self._plan())
        for row, steps in self._plan():
            scaled = row.scaled(self._order.scale)
            results = {name: RowResult(row=scaled, transport=name) for name in self._over(row)}
            self.report.rows += results.values()
            with _cleared(self._folder / "row") as folder:
                self._row(folder, [Step(result=results[over], tool=tool, number=number + n, total=total)
                                   for n, (over, tool) in enumerate(steps, 1)])  # fmt: skip
            number += len(steps)
        if self._lines.note is not None:
            self.report.notes.append(self._lines.note)

    def _plan(self) -> Iterator[tuple[Row, list[tuple[str, str]]]]:
        """Yield each row with its runs: the tools alternate, and another one begins each time."""
        for row in self._order.rows:
            others = [name for name, program in self._programs.items() if program]
            tools = [OURS, *(others if row.kind in COMPARED else [])]
            yield (
                row,
                [
                    (over, tools[(place + turn) % len(tools)])
                    for turn in range(self._order.repeat)
                    for over in self._over(row)
                    for place in range(len(tools))
                ],
            )

    def _over(self, row: Row) -> Sequence[str]:
        return self._order.transports[:1] if row.once else self._order.transports

    def _row(self, folder: Path, steps: Sequence[Step]) -> None:
        row, root, prepared = steps[0].result.row, folder / "renders", folder / "prepared"
        if trouble := _no_room(folder, row):
            for step in steps:
                step.result.failures[step.tool] = trouble
            return
        self._began(steps[0])
        prepare(row, root, prepared)
        for step in steps:
            self._began(step)
            try:
                figures = self._measure(step, folder, root, prepared)
            except (ServerError, OSError) as error:
                step.result.failures[step.tool] = str(error)
                self._ended(step, str(error))
            else:
                step.result.runs.setdefault(step.tool, []).append(figures)
                self._ended(step, figures)

    def _measure(self, step: Step, folder: Path, root: Path, prepared: Path) -> Figures:
        row = step.result.row
        tls: Tls | None = self._tls if step.result.transport == TLS else None
        with (
            _cleared(folder / "run") as work,
            fresh(folder / "s3", tls=tls, lines=self._lines, rtt_ms=row.rtt_ms) as remotes,
        ):
            trial = Trial(row=row, root=root, prepared=prepared, folder=work, remotes=remotes)
            if step.tool == OURS:
                return by_sidecar(trial)
            return by_peer(trial, self._peers[step.tool], self._programs[step.tool] or "")


def _found(names: Sequence[str]) -> Mapping[str, str | None]:
    known = {peer.name: peer for peer in PEERS}
    if unknown := [name for name in names if name not in {*known, OURS}]:
        raise ValueError(f"there is no peer {unknown[0]!r}: {', '.join(known)}")
    wanted: list[Peer] = [peer for peer in PEERS if not names or peer.name in names]
    return {peer.name: peer.find() for peer in wanted}


def _no_room(folder: Path, row: Row) -> str | None:
    needed, free = _ROOM * row.bytes, shutil.disk_usage(folder).free
    if needed <= free:
        return None
    return f"{needed / GIB:.0f} GiB of disk are needed, {free / GIB:.0f} are free: --scale or --folder"


class _cleared:  # noqa: N801 - it reads as a function
    """A folder that is made and goes again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __enter__(self) -> Path:
        self._folder.mkdir(parents=True)
        return self._folder

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)
