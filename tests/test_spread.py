"""Dear files come first, in pieces, and no worker is left with a long rest."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from .support import spread

ROOT = Path(__file__).resolve().parent.parent
KILLS = "tests/crash_process/test_kills.py"


class Worker:
    """What the scheduler asks of one."""

    def __init__(self, name: str) -> None:
        self.gateway = SimpleNamespace(id=name)
        self.shutting_down = False
        self.given: list[int] = []

    def send_runtest_some(self, indices: list[int]) -> None:
        """Take tests by their numbers."""
        self.given += indices

    def shutdown(self) -> None:
        """Be told that nothing more will come."""
        self.shutting_down = True


def begun(tests: list[str], workers: int) -> tuple[spread.Spread, list[Worker]]:
    """Begin to give tests out."""
    config = SimpleNamespace(
        getvalue=lambda _name: [f"{workers}*popen"],
        option=SimpleNamespace(loadscopereorder=True, debug=False),
    )
    scheduler = spread.Spread(cast("pytest.Config", config), _Log())
    nodes = [Worker(f"gw{n}") for n in range(workers)]
    for node in nodes:
        scheduler.add_node(cast("Any", node))
    for node in nodes:
        scheduler.add_node_collection(cast("Any", node), tests)
    scheduler.schedule()
    return scheduler, nodes


class _Log:
    """A log that keeps nothing."""

    def __getattr__(self, name: str) -> _Log:
        return self

    def __call__(self, *_: object) -> None:
        """Take a line."""


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let three files have a known price."""
    seconds = {KILLS: 80.0, "tests/a.py": 60.0, "tests/b.py": 20.0}
    monkeypatch.setattr(spread, "SECONDS", seconds)


def test_a_dear_file_is_cut_and_comes_first() -> None:
    """In runs of tests, in their order; a quick file stays whole."""
    tests = [f"tests/quick.py::{n}" for n in range(40)] + [f"tests/a.py::{n}" for n in range(7)]
    assert [[test.partition("::")[2] for test in piece] for piece in spread.pieces(tests).values()] == [
        *(["4", "5", "6"], ["0", "1"], ["2", "3"]),
        [str(n) for n in range(40)],
    ]


def test_every_test_is_given_out_once_whoever_asks() -> None:
    """To the end, by three workers."""
    tests = [f"{file}::{n}" for file in ("tests/quick.py", "tests/a.py", KILLS) for n in range(9)]
    scheduler, workers = begun(tests, 3)
    done = 0
    while any(worker.given[done:] for worker in workers):
        for worker in workers:
            for index in worker.given[done : done + 1]:
                scheduler.mark_test_complete(cast("Any", worker), index)
        done += 1
    assert sorted(index for worker in workers for index in worker.given) == list(range(len(tests)))
    assert not scheduler.has_pending


def test_no_more_workers_enter_a_room_than_it_holds() -> None:
    """While there is something else to do."""
    tests = [f"{file}::{n}" for file in ("tests/b.py", "tests/c.py", KILLS) for n in range(8)]
    _, workers = begun(tests, 3)
    inside = [worker for worker in workers if any(tests[index].startswith(KILLS) for index in worker.given)]
    assert len(inside) == spread.ROOMS["tests/crash_process"] == 2


def test_what_took_long_is_told() -> None:
    """Files by their seconds, and until when each worker was at work."""
    reports = [_report("tests/a.py::1", 2.0, 10.0), _report("tests/b.py::1", 3.0, 12.0, worker="gw1")]
    assert spread.told([*reports, _report("tests/a.py::2", 2.5, 13.0)], most=1) == [
        "    4.5s tests/a.py",
        "    4.5s gw0, until 5.5s",
        "    3.0s gw1, until 5.0s",
    ]


def _report(test: str, seconds: float, start: float, *, worker: str = "gw0") -> pytest.TestReport:
    report = pytest.TestReport(
        nodeid=test,
        location=("", 0, ""),
        keywords={},
        outcome="passed",
        longrepr=None,
        when="call",
        duration=seconds,
        start=start,
        stop=start + seconds,
    )
    report.worker_id = worker  # type: ignore[attr-defined]  # as xdist does
    return report


def test_the_files_that_are_known_to_be_dear_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever moves a file takes its price along."""
    monkeypatch.undo()
    assert [file for file in spread.SECONDS if not (ROOT / file).is_file()] == []
