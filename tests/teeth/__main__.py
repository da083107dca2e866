"""Seed each bug in turn and show that the suite catches it. Exit status 0 only if all are caught."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from .bugs import Bug, load
from .trial import Result, Run, Verdict, copy_tree, not_found, run_tests, try_bug

FINE = {Verdict.CAUGHT, Verdict.SKIPPED}


def main(words: Sequence[str] | None = None) -> int:
    """Return 0 if each bug was caught (or this machine cannot tell, which is said), else 1."""
    parser = argparse.ArgumentParser(prog="python -m tests.teeth", description=__doc__)
    parser.add_argument(
        "--only", action="append", default=[], metavar="NAME", help="a bug's name, or its beginning"
    )
    parser.add_argument("-n", type=int, default=1, metavar="N", help="bugs at once")
    parser.add_argument(
        "--limit", type=float, default=180.0, metavar="SECONDS", help="of the tests of one bug"
    )
    parser.add_argument("--json", action="store_true", help="print the results as one JSON document")
    given = parser.parse_args(words)
    bugs = [bug for bug in load() if not given.only or bug.name.startswith(tuple(given.only))]
    if not bugs:
        parser.error(f"no bug is called {', '.join(given.only)}")
    results = asyncio.run(try_all(bugs, at_once=given.n, limit_seconds=given.limit))
    if given.json:
        sys.stdout.write(f"{json.dumps([_plain(result) for result in results], indent=1)}\n")
    else:
        sys.stdout.write("\n".join(["", *_table(results), ""]))
    return 0 if all(result.verdict in FINE for result in results) else 1


async def try_all(bugs: Sequence[Bug], *, at_once: int, limit_seconds: float) -> list[Result]:
    """Run the tests of all bugs without them, then those of each with it; tell of each as it ends."""
    with tempfile.TemporaryDirectory(prefix="teeth-") as folder:
        clean = Path(folder) / "clean"
        copy_tree(clean)
        before = await _without(bugs, clean, at_once=at_once, limit_seconds=limit_seconds)
        slots, done = asyncio.Semaphore(at_once), Counter[str]()

        async def one(bug: Bug) -> Result:
            async with slots:
                result = await try_bug(
                    bug, clean=clean, before=before, tree=Path(folder) / bug.name, limit_seconds=limit_seconds
                )
            done["bugs"] += 1
            _say(f"{done['bugs']:3}/{len(bugs)} {_line(result)}", *_trouble(result))
            return result

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(bug)) for bug in bugs]
    return [task.result() for task in tasks]


async def _without(bugs: Sequence[Bug], clean: Path, *, at_once: int, limit_seconds: float) -> Run:
    tests = sorted({test for bug in bugs for test in bug.bites})
    _say(f"{len(bugs)} bugs; first their {len(tests)} tests without them ...")
    words = ["-n", str(at_once)] if at_once > 1 else []
    # If one is not there, pytest runs none, and with workers it does not even say why.
    collected = await run_tests(clean, tests, limit_seconds=limit_seconds, words=["--collect-only", "-q"])
    absent = not_found(tests, collected)
    _say(*[f"there is no test {test}" for test in absent])
    tests = [test for test in tests if test not in absent]
    run = await run_tests(clean, tests, limit_seconds=limit_seconds * len(bugs), words=words)
    if failed := [one.test for one in run.outcomes if one.outcome == "failed"]:
        _say(f"{len(failed)} of them failed; once more, alone ...")  # the machine may have been starved
        again = await run_tests(clean, failed, limit_seconds=limit_seconds * len(failed))
        good = [one for one in run.outcomes if one.test not in failed]
        run = replace(run, outcomes=[*good, *again.outcomes], seconds=run.seconds + again.seconds)
    counts = Counter(one.outcome for one in run.outcomes)
    _say(f"{', '.join(f'{n} {what}' for what, n in counts.items())} in {run.seconds:.0f} s")
    return run


def _line(result: Result) -> str:
    return f"{result.verdict:8}{result.bug.name:50}{result.seconds:6.1f} s  {result.by}"


def _trouble(result: Result) -> list[str]:
    return [] if result.verdict is Verdict.CAUGHT else [f"    {line}" for line in result.why.splitlines()]


def _table(results: Sequence[Result]) -> list[str]:
    counts = Counter(result.verdict for result in results)
    total = ", ".join(f"{n} {verdict}" for verdict, n in sorted(counts.items()))
    return [*map(_line, results), f"{len(results)} bugs: {total}"]


def _plain(result: Result) -> dict[str, Any]:
    return {
        "bug": result.bug.name,
        "what": result.bug.what,
        "verdict": result.verdict,
        "by": result.by,
        "why": result.why,
        "seconds": round(result.seconds, 1),
    }


def _say(*lines: str) -> None:
    """Progress goes to standard error, so that standard output is the result alone."""
    for line in lines:
        sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
