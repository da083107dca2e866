"""Run tests in a copy of the tree, and judge whether a bug was caught."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from .bugs import ROOT, Bug, apply
from .witness import REPORT

TAIL_CHARACTERS = 2_000
# What a patch that does not even run fails with: no test deserves praise for that.
CLUMSY = {
    *("AttributeError", "ImportError", "IndentationError", "ModuleNotFoundError"),
    *("NameError", "SyntaxError", "TypeError", "UnboundLocalError"),
}


class Verdict(StrEnum):
    """What became of a bug."""

    CAUGHT = "caught"
    MISSED = "missed"  # its tests pass with it
    BROKEN = "broken"  # they fail as by a typing error: the patch is no good
    STALE = "stale"  # it does not apply any more
    UNSOUND = "unsound"  # its tests fail, or are not there, without it
    SLOW = "slow"  # the time limit came first
    SKIPPED = "skipped"  # this machine cannot run its tests


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one test. ``errors`` are the names of the classes that it failed with."""

    test: str
    when: str
    outcome: str  # passed | failed | skipped
    errors: Sequence[str]
    text: str

    @property
    def is_bite(self) -> bool:
        """Whether the test said no, and not the interpreter; a text may quote what a daemon ended with."""
        clumsy = CLUMSY & set(self.errors) or any(f"{word}(" in self.text for word in CLUMSY)
        return self.outcome == "failed" and self.when == "call" and not clumsy


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run of pytest. ``status`` is its exit status, None where the limit ended it."""

    status: int | None
    outcomes: Sequence[Outcome]
    seconds: float
    tail: str

    def of(self, tests: Sequence[str]) -> list[Outcome]:
        """Return the outcomes of some tests; an id without brackets names all its parameters."""
        return [one for one in self.outcomes if any(_names(test, one.test) for test in tests)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """A bug and what became of it; ``by`` is the test that caught it, ``why`` says the rest."""

    bug: Bug
    verdict: Verdict
    by: str = ""
    why: str = ""
    seconds: float = 0.0


def copy_tree(target: Path) -> None:
    """Copy what git knows or would add, as it is now."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listing = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listing.split("\0")):
        source, place = ROOT / name, target / name
        if source.is_file():
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, place)


async def run_tests(
    tree: Path, tests: Sequence[str], *, limit_seconds: float, words: Sequence[str] = ()
) -> Run:
    """Run tests of a tree against its own product; whatever it started ends with it."""
    report = tree / "teeth.jsonl"
    report.unlink(missing_ok=True)
    command = [sys.executable, "-m", "pytest", "-p", "tests.teeth.witness", "-p", "no:cacheprovider"]
    path = os.pathsep.join(filter(None, [str(tree), os.environ.get("PYTHONPATH")]))
    began = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        *[*command, "--tb=short", *words, *tests],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": path, REPORT: str(report)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        printed, status = await _until_over(process, limit_seconds)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
    lines = report.read_text().splitlines() if report.exists() else []
    return Run(
        status=status,
        outcomes=[Outcome(**json.loads(line)) for line in lines],
        seconds=time.monotonic() - began,
        tail=printed[-TAIL_CHARACTERS:],
    )


async def try_bug(bug: Bug, *, clean: Path, before: Run, tree: Path, limit_seconds: float) -> Result:
    """Put a bug into a copy of the clean tree and see whether its tests bite. ``before``: without it."""
    if unfit := unfit_for(bug, before):
        return unfit
    await asyncio.to_thread(shutil.copytree, clean, tree)
    if refusal := await asyncio.to_thread(apply, bug, tree):
        return Result(bug=bug, verdict=Verdict.STALE, why=refusal)
    try:
        run = await run_tests(tree, bug.bites, limit_seconds=limit_seconds, words=["-x"])
    finally:
        await asyncio.to_thread(shutil.rmtree, tree)
    return judge(bug, run)


def not_found(tests: Sequence[str], collected: Run) -> list[str]:
    """Return the tests that pytest could not find; of no such function it names no parameters."""
    refused = [line for line in collected.tail.splitlines() if line.startswith("ERROR: not found: ")]
    return [
        test
        for test in tests
        if any(line.endswith((f"/{test}", f"/{test.partition('[')[0]}")) for line in refused)
    ]


def unfit_for(bug: Bug, before: Run) -> Result | None:
    """Return what already the clean tree says of a bug's tests, if they prove nothing."""
    outcomes = before.of(bug.bites)
    if failed := [one for one in outcomes if one.outcome == "failed"]:
        why = f"without the bug: {failed[0].test}: {failed[0].text}"
        return Result(bug=bug, verdict=Verdict.UNSOUND, by=failed[0].test, why=why)
    if not outcomes:
        return Result(bug=bug, verdict=Verdict.UNSOUND, why=f"its tests did not run:\n{before.tail}")
    if all(one.outcome == "skipped" for one in outcomes):
        return Result(bug=bug, verdict=Verdict.SKIPPED, why=outcomes[0].text)
    return None


def judge(bug: Bug, run: Run) -> Result:
    """Tell whether one of a bug's tests failed as a test fails."""
    bitten = [one for one in run.outcomes if one.is_bite]
    if run.status is None:
        return Result(bug=bug, verdict=Verdict.SLOW, seconds=run.seconds, why=run.tail)
    if run.status == 0:
        return Result(bug=bug, verdict=Verdict.MISSED, seconds=run.seconds)
    if run.status == 1 and bitten:
        first = bitten[0]
        return Result(bug=bug, verdict=Verdict.CAUGHT, by=first.test, why=first.text, seconds=run.seconds)
    return Result(bug=bug, verdict=Verdict.BROKEN, why=run.tail, seconds=run.seconds)


async def _until_over(process: asyncio.subprocess.Process, limit_seconds: float) -> tuple[str, int | None]:
    printed = bytearray()
    assert process.stdout is not None
    try:
        async with asyncio.timeout(limit_seconds):
            while piece := await process.stdout.read(65_536):
                printed += piece
            return printed.decode(errors="replace"), await process.wait()
    except TimeoutError:
        return printed.decode(errors="replace"), None


def _names(test: str, node: str) -> bool:
    return node == test or node.startswith((f"{test}[", f"{test}::"))
