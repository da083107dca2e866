"""Live one history again, or print how many effects each scenario has."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from .checker import at_a_crash, problems
from .faults import FAULTS, Fault
from .history import History, Plan, lived
from .power import WHEN, Crash
from .scenarios import SCENARIOS


def main(words: Sequence[str] | None = None) -> int:
    """Return 1 if the history has problems."""
    parser = argparse.ArgumentParser(prog="python -m tests.support.simulation", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("table", help="print the effects of every scenario, as the pinned table has them")
    replay = commands.add_parser("replay", help="live one history and print what happened")
    replay.add_argument("scenario", choices=sorted(SCENARIOS))
    replay.add_argument("--seed", type=int, default=0)
    crash = f"LIFE/EFFECT:({'|'.join(WHEN)})"
    replay.add_argument("--crash", type=_crash, action="append", default=[], help=crash)
    replay.add_argument(
        "--fault", type=_fault, action="append", default=[], help=f"CALL:({'|'.join(FAULTS)})"
    )
    replay.add_argument("--again", action="store_true", help="with one more life after the quiet")
    given = parser.parse_args(words)
    if given.command == "table":
        return _table()
    return _replay(
        Plan(
            scenario=given.scenario,
            seed=given.seed,
            crashes=tuple(given.crash),
            faults=tuple(given.fault),
            again=given.again,
        )
    )


def _table() -> int:
    for scenario in SCENARIOS:
        with lived(Plan(scenario=scenario), inspect=at_a_crash) as history:
            _say(f'    "{scenario}": {sum(map(len, history.effects))},')
    return 0


def _replay(plan: Plan) -> int:
    with lived(plan, inspect=at_a_crash) as history:
        _tell(history)
        found = problems(history)
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
    where, _, when = text.partition(":")
    life, _, effect = where.partition("/")
    if when not in WHEN or not (life.isdecimal() and effect.isdecimal()):
        raise argparse.ArgumentTypeError(f"{text} is not of the form 1/7:after")
    return Crash(life=int(life), effect=int(effect), when=when)


def _fault(text: str) -> Fault:
    call, _, how = text.partition(":")
    if how not in FAULTS or not call.isdecimal():
        raise argparse.ArgumentTypeError(f"{text} is not of the form 7:lost-after")
    return Fault(call=int(call), how=how)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    sys.exit(main())
