"""SIGKILL of the real daemon before, after or in the middle of its N-th effect; then a start on the rest.

By default a seeded sample; ``--kills 2000 --seed 7`` for another, ``--crash=all`` for every effect of
every scenario. A failure names the kills that show it again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import pytest

from sidecar.settings import SettingsError, from_mapping
from tests.support.shim.board import Kill

from .checker import check, check_between
from .lab import Case, Lab
from .plans import every, sample
from .scenarios import SCENARIOS, Scenario

AT_ONCE = 4  # lives mostly wait
SHOWN_MAX = 5
_numbers = count()


def run(lab: Lab, scenario: Scenario, kills: Sequence[Kill], tally: Counter[str]) -> int:
    """Play a scenario through some kills, check, and return the effects of its first life."""
    case = Case(
        lab=lab,
        name=f"{scenario.name}-{next(_numbers)}",
        kills=list(kills),
        settings=scenario.settings,
        rescan=scenario.rescan,
    )
    case.after_kill = lambda: check_between(case)
    try:
        scenario.script(case)
        if not case.drained:
            case.until("all is quiet", case.quiet)
        case.end()
        check(case)
    except Exception as error:
        log = case.log.read_text()[-3000:] if case.log.exists() else "(no log)"
        raise AssertionError(
            f"{scenario.name}, {list(kills)}: {error}\nkilled {case.killed_at}\n{log}"
        ) from error
    finally:
        case.close()
        tally["kills"] += len(case.killed_at)
        tally["lives"] += len(case.effects)
    return case.effects[0]


def _refusal(scenario: Scenario) -> str | None:
    """Return why this version does not take the scenario's settings."""
    basis = {"s3": {"bucket": "bucket"}, "convex": {"url": "http://127.0.0.1:1", "auth": {"mode": "none"}}}
    try:
        from_mapping({"watch": [{"root": "/renders"}], **basis, **scenario.settings})
    except SettingsError as error:
        return str(error)
    return None


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_no_kill_loses_tears_doubles_or_leaks_anything(
    lab: Lab, tally: Counter[str], scenario: Scenario, pytestconfig: pytest.Config
) -> None:
    """Every file is one equal object and one version row; no upload stays open; the journal is whole."""
    if (refusal := _refusal(scenario)) is not None:
        pytest.skip(f"this version cannot do it: {refusal}")
    lab.convex.control("reset", {})
    effects = run(lab, scenario, [], tally)
    share = -(-pytestconfig.getoption("--kills") // len(SCENARIOS))
    if pytestconfig.getoption("--crash") == "all":
        plans = list(every(effects))
    else:
        plans = list(sample(effects, kills=share, seed=f"{scenario.name} {pytestconfig.getoption('--seed')}"))
    with ThreadPoolExecutor(1 if scenario.alone else AT_ONCE) as pool:
        runs = [pool.submit(run, lab, scenario, plan, tally) for plan in plans]
    failures = [str(error) for done in runs if (error := done.exception())]
    assert not failures, f"{len(failures)} of {len(plans)}:\n\n" + "\n\n".join(failures[:SHOWN_MAX])
