"""The seeded bugs do not rot: each still fits the product and names tests that are there.

That each is caught is shown by ``python -m tests.teeth``, not here.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .bugs import ROOT, Bug, apply, load
from .trial import Outcome, Run, Verdict, judge, not_found, unfit_for

BUGS = load()
needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="patches are applied by git")


@needs_git
@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_a_seeded_bug_still_fits(bug: Bug) -> None:
    """Whoever changes the lines around it brings the patch along; it touches nothing but the product."""
    assert apply(bug, ROOT, check=True) is None
    assert all(name.startswith("sidecar/") for name in bug.touches)


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_the_tests_that_are_to_bite_are_there(bug: Bug) -> None:
    """A test that is renamed takes the headers along that name it."""
    for test in bug.bites:
        file, _, rest = test.partition("::")
        text = (ROOT / file).read_text()
        assert f"def {rest.partition('[')[0]}" in text, test


def outcome(result: str, *, error: str = "AssertionError", when: str = "call", text: str = "") -> Outcome:
    """Return what the witness writes down."""
    return Outcome(test="t.py::one", when=when, outcome=result, errors=[error], text=text)


def run(status: int | None, *outcomes: Outcome) -> Run:
    """Return a run of pytest."""
    return Run(status=status, outcomes=outcomes, seconds=1.0, tail="")


@pytest.mark.parametrize(
    ("ended", "verdict"),
    [
        (run(0, outcome("passed")), Verdict.MISSED),
        (run(1, outcome("failed")), Verdict.CAUGHT),
        (run(1, outcome("failed", error="Failed", text="DID NOT RAISE")), Verdict.CAUGHT),
        (run(1, outcome("failed", error="ImportError")), Verdict.BROKEN),
        (run(1, outcome("failed", text="life 1 broke: NameError('x')")), Verdict.BROKEN),
        (run(1, outcome("failed", when="setup")), Verdict.BROKEN),
        (run(2), Verdict.BROKEN),
        (run(None), Verdict.SLOW),
    ],
)
def test_only_a_test_that_says_no_counts(ended: Run, verdict: Verdict) -> None:
    """A patch that breaks the product so that it cannot even be run proves nothing of the tests."""
    assert judge(BUGS[0], ended).verdict is verdict


def test_tests_that_fail_or_do_not_run_without_the_bug_prove_nothing() -> None:
    """Fails, skipped, not found: each is told apart before a patch is applied."""
    bug = Bug(name="b", patch=Path("b.patch"), what="w", costs="c", bites=["t.py::one"])
    found = [unfit_for(bug, run(0, one)) for one in map(outcome, ("failed", "skipped", "passed"))]
    assert [one and one.verdict for one in found] == [Verdict.UNSOUND, Verdict.SKIPPED, None]
    missing = unfit_for(bug, run(4))
    assert missing is not None
    assert missing.verdict is Verdict.UNSOUND


def test_a_test_that_is_not_there_is_named_and_the_others_are_run() -> None:
    """Pytest runs none of the tests of a command that names one which it cannot find."""
    tail = (
        "ERROR: not found: /copy/t.py::none\n(no match)\nERROR: not found: /copy/t.py::one[b]\n(no match)\n"
    )
    collected = Run(status=4, outcomes=[], seconds=1.0, tail=tail)
    tests = ["t.py::none[a]", "t.py::one[a]", "t.py::one[b]"]
    assert not_found(tests, collected) == ["t.py::none[a]", "t.py::one[b]"]


@needs_git
def test_the_command_shows_that_a_bug_is_caught() -> None:
    """The whole way, with a bug whose tests are quick."""
    command = [sys.executable, "-m", "tests.teeth", "--only", "035-", "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (result,) = json.loads(done.stdout)
    assert (result["verdict"], result["bug"]) == ("caught", "035-resumed-part-not-verified")
    assert result["by"] == "tests/core/test_parts.py::test_only_parts_with_the_same_bytes_are_kept"
