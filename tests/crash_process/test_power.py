"""A power cut at the N-th effect: the process ends and every page that was not synced is lost.

Journal and renders lie on an ext4 image that is shut down without flushing; the renders were synced by
whoever wrote them. By default a few cuts; ``--crash=all`` makes a hundred.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path

import pytest

from tests.support.shim.board import Kill

from .checker import check, check_between, states
from .disks import PowerDisk
from .lab import Case, Lab
from .plans import sample
from .scenarios import SCENARIOS, Scenario

NAMES = ("small", "multipart", "replace", "batch", "scan", "overtake")
_numbers = count()
DURABLE = {"uploaded": {"uploaded", "synced", "superseded"}, "delivered": {"synced"}}


@pytest.fixture
def disk(lab: Lab) -> Iterator[PowerDisk]:
    """Make a disk; its image may lie in memory, what is lost are the pages above it."""
    with tempfile.TemporaryDirectory(dir=lab.folder) as folder:
        disk = PowerDisk(Path(folder))
        yield disk
        disk.close()


def promised(case: Case) -> dict[str, set[str]]:
    """Return what the log said of transfers: a line is written only after its commit."""
    promises: dict[str, set[str]] = {}
    for line in case.log.read_text().splitlines():
        if line.startswith("{") and line.endswith("}"):
            entry = json.loads(line)
            if entry["event"] in DURABLE:
                promises[entry["transfer"]] = DURABLE[entry["event"]]
    return promises


def play(lab: Lab, disk: PowerDisk, scenario: Scenario, kills: Sequence[Kill], tally: Counter[str]) -> int:
    """Play a scenario on the disk, cutting its power at each kill; return the effects of the first life."""
    name = f"power-{scenario.name}-{next(_numbers)}"
    place = disk.mount / name
    place.mkdir()
    loud = {"logging": {"level": "debug"}}  # single steps promise, too
    case = Case(lab=lab, name=name, kills=list(kills), disk=place, settings=loud)

    def cut() -> None:
        disk.cut()
        found, said = states(case), promised(case)
        tally["promises kept"] += len(said)
        for transfer, allowed in said.items():
            assert found.get(transfer) in allowed, f"{transfer} was said to be {allowed}: {found}"
        check_between(case)

    for folder in (disk.mount, place, case.root):
        case.flush(folder)
    case.after_kill = cut
    try:
        scenario.script(case)
        case.until("all is quiet", case.quiet)
        case.end()
        check(case)
    except Exception as error:
        log = case.log.read_text()[-3000:] if case.log.exists() else "(no log)"
        raise AssertionError(f"{list(kills)}: {error}\n{case.killed_at}\n{log}") from error
    finally:
        tally["lines that promise"] += len(promised(case)) if case.log.exists() else 0
        case.close()
        shutil.rmtree(place)
        tally["power cuts"] += len(case.killed_at)
    return case.effects[0]


@pytest.mark.parametrize("scenario", [s for s in SCENARIOS if s.name in NAMES], ids=lambda s: s.name)
def test_a_power_cut_takes_nothing_back_that_was_said(
    lab: Lab, tally: Counter[str], disk: PowerDisk, scenario: Scenario, pytestconfig: pytest.Config
) -> None:
    """What the log called uploaded or synced is so in the journal after the cut; the next life converges."""
    lab.convex.control("reset", {})
    effects = play(lab, disk, scenario, [], tally)
    assert tally["lines that promise"], "the log promised nothing: what would be compared?"
    total = 102 if pytestconfig.getoption("--crash") == "all" else 18
    seed = f"power {scenario.name} {pytestconfig.getoption('--seed')}"
    for kills in sample(effects, kills=total // len(NAMES), seed=seed):
        play(lab, disk, scenario, kills, tally)
