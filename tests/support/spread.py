"""Which worker runs which tests, and what took long.

xdist's ``loadfile`` gives whole files to workers, first those with many tests: the few tests that take
minutes came last, and the last minutes were one worker's. Here dear files come first, and in pieces.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling
from xdist.workermanage import WorkerController

# What a file takes, as `--durations` tells of a run on two cores. Whatever takes ten seconds belongs here;
# a wrong figure makes nothing wrong, only late.
SECONDS: Mapping[str, float] = {
    "tests/hostile/test_replies.py": 12,
    "tests/sync/functions/test_silence.py": 45,
    "tests/contract/test_object_store_refusals.py": 15,
    "tests/upload/test_body_client.py": 20,
    "tests/environment/test_way_out.py": 18,
    "tests/fault/test_http.py": 80,
    "tests/crash_process/test_kills.py": 90,
    "tests/fault/test_single_faults.py": 80,
    "tests/crash/test_single_faults.py": 55,
    "tests/sync/functions/test_static.py": 60,
    "tests/crash/test_crash_points.py": 90,
    "tests/e2e/test_journal_loss.py": 50,
    "tests/crash/test_single_faults_operating.py": 110,
    "tests/e2e/test_crash.py": 40,
    "tests/e2e/test_playlists.py": 34,
    "tests/test_style.py": 40,
    "tests/crash_process/test_machine.py": 40,
    "tests/e2e/test_files.py": 36,
    "tests/local/test_demo.py": 35,
    "tests/sync/moving/test_moving.py": 50,
    "tests/fault/test_outages.py": 60,
    "tests/cli/test_daemon.py": 30,
    "tests/e2e/test_reconcile.py": 27,
    "tests/contract/test_object_store.py": 40,
    "tests/cli/test_reading.py": 25,
    "tests/hostile/test_flood.py": 24,
    "tests/e2e/test_two_daemons.py": 23,
    "tests/crash_process/test_power.py": 22,
    "tests/fault/test_adapters.py": 20,
    "tests/e2e/test_costs.py": 20,
    "tests/upload/test_checksum_negotiation.py": 20,
    "tests/hostile/test_folder.py": 20,
    "tests/e2e/test_clock.py": 18,
    "tests/e2e/test_memory.py": 18,
    "tests/e2e/test_local_files.py": 18,
    "tests/local/test_convex_server.py": 18,
    "tests/upload/test_transfer.py": 50,
    "tests/sync/functions/test_everyone.py": 30,
    "tests/library/test_storage.py": 25,
    "tests/upload/test_refusals.py": 30,
    "tests/e2e/test_account.py": 30,
    "tests/e2e/test_streams.py": 25,
    "tests/watch/test_root_lease.py": 15,
    "tests/cli/test_dispatch.py": 14,
    "tests/fault/test_versions.py": 12,
    "tests/status/test_doors.py": 12,
    "tests/watch/test_detect.py": 12,
    "tests/e2e/test_outage.py": 11,
    "tests/e2e/test_removal.py": 11,
    "tests/upload/test_stage.py": 11,
    "tests/local/test_bench.py": 20,
    "tests/e2e/test_mistakes.py": 10,
    "tests/e2e/test_players.py": 10,
    "tests/journal/test_integrity.py": 10,
    "tests/sync/test_stage.py": 10,
}
QUICK_SECONDS = 0.1  # one test of any other file
PIECE_SECONDS = 20.0
# Folders whose servers are dear, or whose tests live many lives at once: so many workers enter each.
ROOMS = {"tests/crash_process": 2, "tests/fault": 2, "tests/library": 1}


def file_of(test: str) -> str:
    """Return the file that a test's id begins with."""
    return test.partition("::")[0]


def pieces(tests: Sequence[str]) -> dict[str, list[str]]:
    """Cut each file into runs of tests that take about ``PIECE_SECONDS``, the dearest first."""
    files: dict[str, list[str]] = defaultdict(list)
    for test in tests:
        files[file_of(test)].append(test)
    found: dict[str, tuple[float, list[str]]] = {}
    for file, its in files.items():
        seconds = SECONDS.get(file, QUICK_SECONDS * len(its))
        count = min(len(its), max(1, round(seconds / PIECE_SECONDS)))
        for n in range(count):
            run = its[n * len(its) // count : (n + 1) * len(its) // count]
            found[f"{file} {n + 1}/{count}"] = (seconds * len(run) / len(its), run)
    dearest_first = sorted(found.items(), key=lambda one: -one[1][0])
    return {name: run for name, (_, run) in dearest_first}


class Spread(LoadScopeScheduling):  # type: ignore[misc]  # xdist is not typed
    """Gives out pieces in their order, but lets no more workers into a room than it holds."""

    def __init__(self, config: pytest.Config, log: Any = None) -> None:
        """As xdist makes its own."""
        super().__init__(config, log)
        self._piece_of: dict[str, str] = {}
        self._rank: dict[str, int] = {}
        self._inside: dict[str, set[WorkerController]] = {room: set() for room in ROOMS}

    def schedule(self) -> None:
        """Cut what was collected, and begin."""
        if not self._piece_of:
            cut = pieces(next(iter(self.registered_collections.values())))
            self._piece_of = {test: piece for piece, tests in cut.items() for test in tests}
            self._rank = {piece: rank for rank, piece in enumerate(cut)}
        super().schedule()

    def _split_scope(self, nodeid: str) -> str:
        return self._piece_of[nodeid]

    def _assign_work_unit(self, node: WorkerController) -> None:
        """Give a worker the dearest piece that it may take; any, where it may take none."""
        fitting = [piece for piece in self.workqueue if self._may_enter(node, piece)] or self.workqueue
        piece = min(fitting, key=self._rank.__getitem__)
        if (room := _room_of(piece)) is not None:
            self._inside[room].add(node)
        self.workqueue.move_to_end(piece, last=False)
        super()._assign_work_unit(node)

    def _may_enter(self, node: WorkerController, piece: str) -> bool:
        room = _room_of(piece)
        return room is None or node in self._inside[room] or len(self._inside[room]) < ROOMS[room]


def _room_of(piece: str) -> str | None:
    return next((room for room in ROOMS if piece.startswith(f"{room}/")), None)


def told(reports: Iterable[pytest.TestReport], *, most: int) -> list[str]:
    """Return lines that say what took long: files, and how long each worker was at work, and until when."""
    files, workers, ends = Counter[str](), Counter[str](), dict[str, float]()
    began = float("inf")
    for report in reports:
        worker = getattr(report, "worker_id", "main")
        files[file_of(report.nodeid)] += report.duration  # type: ignore[assignment]  # seconds are not whole
        workers[worker] += report.duration  # type: ignore[assignment]  # the same
        began, ends[worker] = min(began, report.start), max(ends.get(worker, 0.0), report.stop)
    lines = [f"{seconds:7.1f}s {file}" for file, seconds in files.most_common(most or None)]
    lines += [f"{workers[one]:7.1f}s {one}, until {ends[one] - began:.1f}s" for one in sorted(workers)]
    return lines
