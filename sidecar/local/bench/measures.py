"""How each kind of row is measured. Every function is one run of one tool and returns its figures.

The sidecar's clock begins when its process is started, as the others' does, where files wait for it; where it
would be there already, it is there already.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from sidecar.core.ids import sidecar_tag
from sidecar.journal.journal import Journal
from sidecar.local.child import ServerError
from sidecar.local.demo import percentile

from . import filling
from .budgets import Figures
from .daemon import SIDECAR_ID, Daemon
from .data import known_as, place, plant, render, thumbnail
from .peers import Peer
from .remotes import BUCKET, Remotes
from .rows import GIB, Kind, Row
from .usage import run

NANO, MILLI = 1e-9, 1e-6
PACE_BYTES = 100e6
TRICKLE_PER_SECOND, LEAD_IN = 50, 50  # the first second is not counted: nothing is warm yet
SETTLED_SECONDS = 5.0
GROWTHS = (1000, 100, 10, 1)  # what a growing row's files are divided by
BURST = "burst"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One run: where the row's files are, what was prepared besides, a folder for whatever it writes."""

    row: Row
    root: Path
    prepared: Path
    folder: Path
    remotes: Remotes

    def daemon(self) -> Daemon:
        """Make the sidecar."""
        return Daemon(self.folder, self.root, self.remotes.target, self.remotes.convex_url)


def prepare(row: Row, root: Path, prepared: Path) -> None:
    """Write what a row needs below a root, and into a folder the journal that knows of it."""
    if row.kind in {Kind.BATCH, Kind.MEMORY}:
        plant(root, row)
    elif row.kind in {Kind.IDLE, Kind.START}:
        deliver(root, prepared, row.finished)
    root.mkdir(parents=True, exist_ok=True)


def deliver(root: Path, folder: Path, count: int) -> None:
    """Write so many files, and a journal that knows them as delivered."""
    folder.mkdir(parents=True)
    journal = Journal(
        folder / "journal.db", tag=sidecar_tag(SIDECAR_ID), bucket=BUCKET, clock=filling.MachineClock()
    )
    filling.fill(journal, str(root), filling.written(root, count))
    journal.close()


def by_peer(trial: Trial, peer: Peer, program: str) -> Figures:
    """Let another tool copy the row's files; of a growing one it is told at its close."""
    target = trial.remotes.target
    environment = {**target.environment(), **peer.environment(target)}
    argv = peer.command(program, trial.root, target)
    log = trial.folder / f"{peer.name}.log"
    trial.folder.mkdir(parents=True, exist_ok=True)
    if trial.row.kind is Kind.BATCH:
        used = run(argv, env=environment, log=log)
        trial.remotes.check(trial.row.files, trial.row.bytes)
        return used.figures()
    closed = _render(trial)
    appearance = trial.remotes.appearance()
    used = run(argv, env=environment, log=log)
    return {**used.figures(), "visible": appearance.seen() - closed}


def by_sidecar(trial: Trial) -> Figures:
    """Let the sidecar do it."""
    return _BY_SIDECAR[trial.row.kind](trial)


def batch(trial: Trial) -> Figures:
    """Files wait when it starts; it ends when all are acknowledged by Convex and its journal knows."""
    row, stub = trial.row, trial.remotes.stub
    reached = stub.expect(row.files)
    with trial.daemon() as daemon:
        daemon.until("acknowledged", reached)
        wall = max(stub.acknowledged.values()) * NANO - daemon.began
        daemon.until_synced(row.files)
        figures = {"wall": wall, "cpu": daemon.cpu(), "rss": daemon.peak()}
        figures["first_call"] = (stub.first_call or daemon.began) - daemon.began
    trial.remotes.check(row.files, row.bytes)
    return {**figures, "calls": stub.calls["applyAssets"] * 1000 / row.files}


def visible(trial: Trial) -> Figures:
    """It runs while a film is rendered; from the film's close to its object in the bucket's listing."""
    with trial.daemon() as daemon:
        daemon.until_ready()
        began, used = time.monotonic(), daemon.cpu()
        closed = _render(trial)
        appearance = trial.remotes.appearance()
        daemon.until("visible", appearance.is_seen)
        seen = appearance.seen()
        figures = {"wall": seen - began, "cpu": daemon.cpu() - used, "rss": daemon.peak()}
    trial.remotes.check(1, trial.row.bytes)
    return {**figures, "visible": seen - closed}


def trickle(trial: Trial) -> Figures:
    """Thumbnails come at a pace; from each one's close to its acknowledgement."""
    stub, content = trial.remotes.stub, thumbnail(trial.row.file_bytes)
    closed: dict[str, int] = {}
    with trial.daemon() as daemon:
        daemon.until_ready()
        reached = stub.expect(LEAD_IN + trial.row.files)
        began, used = time.monotonic(), daemon.cpu()
        for n in range(LEAD_IN + trial.row.files):
            time.sleep(max(0.0, began + n / TRICKLE_PER_SECOND - time.monotonic()))
            path = trial.root / place(n, "thumbnails", "png")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content[:-20] + n.to_bytes(4) + content[-16:])
            closed[known_as(path)] = time.monotonic_ns()
        daemon.until("acknowledged", reached)
        figures = {
            "wall": time.monotonic() - began,
            "cpu": daemon.cpu() - used,
            "rss": daemon.peak(),
        }
    delays = sorted((stub.acknowledged[name] - at) * MILLI for name, at in list(closed.items())[LEAD_IN:])
    return {
        **figures,
        "p50": percentile(delays, 0.5) or 0.0,
        "p99": percentile(delays, 0.99) or 0.0,
        "calls": stub.calls["applyAssets"] * 1000 / len(closed),
    }


def idle(trial: Trial) -> Figures:
    """Everything is delivered: what it uses for a while, which is longer than from one scan to the next."""
    _copy_journal(trial)
    with trial.daemon() as daemon:
        start = daemon.until_ready()
        time.sleep(min(SETTLED_SECONDS, trial.row.seconds))
        began, used = time.monotonic(), daemon.cpu()
        time.sleep(trial.row.seconds)
        spent, wall = daemon.cpu() - used, time.monotonic() - began
        if trial.remotes.stub.acknowledged:
            raise ServerError("files that were delivered before were told to Convex again")
        return {"wall": wall, "cpu": spent, "rss": daemon.peak(), "idle": 100 * spent / wall, "start": start}


def memory(trial: Trial) -> Figures:
    """Very many files wait; four large ones come, and arrive. The most memory from then on."""
    stub, row = trial.remotes.stub, trial.row
    large = trial.folder / "large"
    big = Row(name="four", kind=Kind.BATCH, files=4, file_bytes=max(16 << 20, GIB * row.files // 100_000))
    plant(large, big)
    with trial.daemon() as daemon:
        daemon.until_ready()
        daemon.until("journaled", lambda pause: _journaled(daemon, row.files, pause))
        scanned = daemon.peak()
        waiting = daemon.transfers()["ready"]
        daemon.watch_again()
        (large / "demo" / "lesson").rename(trial.root / "demo" / BURST)
        names = {known_as(Path(place(n, "video", "mp4", session=BURST))) for n in range(big.files)}
        daemon.until("acknowledged", lambda pause: _holds(stub.acknowledged, names, pause))
        figures = {"wall": time.monotonic() - daemon.began, "cpu": daemon.cpu(), "rss": daemon.peak()}
    shutil.rmtree(trial.root / "demo" / BURST)
    return {**figures, "waiting": float(waiting), "rss_before": scanned}


def start(trial: Trial) -> Figures:
    """Everything is delivered: from the process's start to its word that it is ready."""
    _copy_journal(trial)
    with trial.daemon() as daemon:
        ready = daemon.until_ready()
        return {"wall": ready, "cpu": daemon.cpu(), "rss": daemon.peak(), "start": ready}


def growth(trial: Trial) -> Figures:
    """The same burst beside more and more that is delivered: CPU for each file, in ms."""
    costs: dict[str, float] = {}
    for count in (max(1, trial.row.finished // part) for part in GROWTHS):
        root, folder = trial.folder / f"root-{count}", trial.folder / str(count)
        deliver(root, folder, count)
        costs[f"cost_{count}"] = _burst(trial, root, folder)
        shutil.rmtree(root)
    first, *_, last = costs.values()
    return {**costs, "growth": last / first}


def _burst(trial: Trial, root: Path, folder: Path) -> float:
    aside, stub = folder / "aside", trial.remotes.stub
    plant(aside, trial.row)
    stub.acknowledged.clear()
    reached = stub.expect(trial.row.files)
    with Daemon(folder, root, trial.remotes.target, trial.remotes.convex_url) as daemon:
        daemon.until_ready()
        time.sleep(SETTLED_SECONDS)
        used = daemon.cpu()
        (aside / "demo" / "lesson").rename(root / "demo" / BURST)
        daemon.until("acknowledged", reached)
        return (daemon.cpu() - used) * 1000 / trial.row.files


def _render(trial: Trial) -> float:
    """Write the one film; return when it was closed, monotonic."""
    path = trial.root / place(0, "video", "mp4")
    path.unlink(missing_ok=True)
    return render(path, trial.row.bytes, bytes_per_second=PACE_BYTES, sleep=time.sleep) * NANO


def _copy_journal(trial: Trial) -> None:
    """Bring the journal of delivered files into place."""
    trial.folder.mkdir(parents=True, exist_ok=True)
    for file in trial.prepared.iterdir():
        shutil.copy2(file, trial.folder)


def _journaled(daemon: Daemon, count: int, pause: float) -> bool:
    time.sleep(10 * pause)  # asking takes time from what is asked for
    states = daemon.transfers()
    return sum(states[state] for state in ("ready", "uploaded", "synced")) >= count


def _holds(acknowledged: Mapping[str, int], names: Collection[str], pause: float) -> bool:
    time.sleep(pause)
    return all(name in acknowledged for name in names)


_BY_SIDECAR: dict[Kind, Callable[[Trial], Figures]] = {
    Kind.BATCH: batch,
    Kind.VISIBLE: visible,
    Kind.TRICKLE: trickle,
    Kind.IDLE: idle,
    Kind.MEMORY: memory,
    Kind.START: start,
    Kind.GROWTH: growth,
}
