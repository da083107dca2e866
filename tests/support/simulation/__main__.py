"""Live one history again, or print how many effects each scenario has."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from .checker import at_a_crash, problems
from .history import History, Plan, live_through
from .power import FAULTS, WHEN, Crash, Fault
from .scenarios import SCENARIOS


def main(words: Sequence[str] | None = None) -> int:
    """Return 1 if the history has problems."""
    parser = argparse.ArgumentParser(prog="python -m tests.support.simulation", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("table", help="print the effects of every scenario, as the pinned table has them")
    replay = commands.add_parser("replay", help="live one history and print what happened")
    replay.add_argument("scenario", choices=sorted(SCENARIOS))
    replay.add_argument("--seed", type=int, default=0)
    replay.add_argument("--crash", type=_crash, action="append", default=[], help=f"N:({'|'.join(WHEN)})")
    replay.add_argument("--fault", type=_fault, action="append", default=[], help=f"N:({'|'.join(FAULTS)})")
    replay.add_argument("--again", action="store_true", help="with one more life after the quiet")
    given = parser.parse_args(words)
    if given.command == "table":
        return _table()
    return _replay(
        Plan(
            scenario=given.scenario,
            seed=given.seed,
            crashes=given.crash,
            faults=given.fault,
            again=given.again,
        )
    )


def effects_of(scenario: str) -> int:
    """Return the number of effects of the first life without crash or fault."""
    history = live_through(Plan(scenario=scenario))
    history.close()
    return sum(map(len, history.effects))


def _table() -> int:
    for scenario in SCENARIOS:
        _say(f'    "{scenario}": {effects_of(scenario)},')
    return 0


def _replay(plan: Plan) -> int:
    history = live_through(plan, inspect=at_a_crash)
    try:
        _tell(history)
        found = problems(history)
    finally:
        history.close()
    for line in found or ["all is well"]:
        _say(line)
    return 1 if found else 0


def _tell(history: History) -> None:
    for number, (effects, (began, last)) in enumerate(zip(history.effects, history.spans, strict=True), 1):
        _say(f"life {number}, {began:.2f} s to {last:.2f} s:")
        for n, name in enumerate(effects, 1):
            _say(f"  effect {n} {name}")
    for n, name in enumerate(history.calls, 1):
        _say(f"call {n} {name}")


def _crash(text: str) -> Crash:
    effect, _, when = text.partition(":")
    if when not in WHEN:
        raise argparse.ArgumentTypeError(f"{text} is not of the form 7:after")
    return Crash(effect=int(effect), when=when)


def _fault(text: str) -> Fault:
    call, _, how = text.partition(":")
    if how not in FAULTS:
        raise argparse.ArgumentTypeError(f"{text} is not of the form 7:lost-after")
    return Fault(call=int(call), how=how)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    sys.exit(main())
