"""What may stay open at S3 in the end: the one limit of I4, and nothing beside it.

Under a key without ``{transfer}`` nothing tells whose the second upload of a doubled Create is: it is left to
the bucket's rule. No answer named it, so no part went there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from tests.support.simulation.checker import at_a_crash, problems
from tests.support.simulation.faults import Fault, fitting
from tests.support.simulation.history import History, Plan, lived

from .conftest import live_all
from .faulting import undisturbed

CREATE = "s3.create"
THROTTLED = Fault(call=1, how="throttled-after")  # Convex is asked once more: all later calls move by one


@pytest.mark.parametrize("before", [(), (THROTTLED,)], ids=["alone", "after another fault"])
@pytest.mark.parametrize("again", [False, True], ids=["one life", "another start"])
def test_a_create_that_comes_twice_under_a_fixed_key_leaves_an_empty_upload(
    before: tuple[Fault, ...], *, again: bool
) -> None:
    """Everything else is as ever: no sweep takes the upload for ours, and none of our parts is in it."""
    with _doubled("fixed-key", *before, again=again) as history:
        assert problems(history) == []
        uploads = history.outside.bucket.uploads
        assert [(upload.spec.key, upload.parts) for upload in uploads.values()] == [
            ("fixed/demo/lesson/s1/film.mp4", {})
        ]


@pytest.mark.parametrize("how", [how for how in fitting(CREATE) if how != "twice"])
def test_any_other_fate_of_a_create_under_a_fixed_key_leaves_nothing(how: str) -> None:
    """Whoever gave a Create up looks again."""
    number = _create("fixed-key")
    live_all(
        Plan(scenario="fixed-key", faults=faults)
        for faults in (
            (Fault(call=number, how=how),),
            (THROTTLED, Fault(call=number + 1, how=how)),
        )
    )


def test_a_create_that_comes_twice_under_a_key_of_ours_leaves_nothing() -> None:
    """The transfer's id in the key tells whose the second upload is."""
    with _doubled("multipart") as history:
        assert problems(history) == []
        assert history.outside.doubled
        assert not history.outside.bucket.uploads


def _with_a_part(history: History) -> None:
    for upload in history.outside.bucket.uploads.values():
        upload.parts[1] = b"paid for"


def _opened_by_ourselves(history: History) -> None:
    history.outside.doubled.clear()


def _under_a_key_of_ours(history: History) -> None:
    for upload in history.outside.bucket.uploads.values():
        upload.spec = replace(upload.spec, key="demo/lesson/s1/film.mp4")


@pytest.mark.parametrize("spoil", [_with_a_part, _opened_by_ourselves, _under_a_key_of_ours])
def test_the_limit_excuses_no_other_upload(spoil: Callable[[History], None]) -> None:
    """The checker still says what is open if it is paid for, if an answer named it, or if its key is ours."""
    with _doubled("fixed-key") as history:
        spoil(history)
        (problem,) = problems(history)
        assert problem.startswith("I4: upload ")
        assert problem.endswith(" is open")


def _create(scenario: str) -> int:
    return undisturbed(scenario).calls.index(CREATE) + 1


@contextmanager
def _doubled(scenario: str, *before: Fault, again: bool = False) -> Iterator[History]:
    """Live a scenario whose Create comes twice, after other faults that each repeat a call."""
    twice = Fault(call=_create(scenario) + len(before), how="twice")
    plan = Plan(scenario=scenario, faults=(*before, twice), again=again)
    with lived(plan, inspect=at_a_crash) as history:
        assert history.calls[twice.call - 1] == CREATE
        yield history
