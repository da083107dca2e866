"""Who got through since, against the plain list of everything that happened."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.success_tracker import OthersSince, SuccessTracker

WHAT = ["begin", "step", "succeed", "fail"]
STEPS = st.lists(
    st.tuples(st.sampled_from(WHAT), st.sampled_from("abc"), st.sampled_from(["PUT", "HEAD"])), max_size=40
)


@given(steps=STEPS, asked=st.sampled_from("abc"), operation=st.sampled_from(["PUT", "HEAD"]))
def test_counters_answer_as_the_whole_history_would(
    steps: list[tuple[str, str, str]], asked: str, operation: str
) -> None:
    """Others succeeded and failed in this operation since this one's last failure, or since it began."""
    witnesses = SuccessTracker()
    since: int | None = None
    for position, (what, target, done) in enumerate(steps):
        match what:
            case "begin":
                witnesses.began(target)
            case "step":
                witnesses.stepped(target, done)
            case "succeed":
                witnesses.succeeded(target, done)
            case _:
                witnesses.failed(target, done, unspent=0)
        if target == asked:
            begins = what == "begin" and since is None
            since = position if what == "fail" or begins else (None if what == "succeed" else since)
    later = [] if since is None else [one for one in steps[since + 1 :] if one[1] != asked]
    counted = [what for what, _target, done in later if done == operation]
    assert witnesses.others_since(witnesses.memo(asked), operation) == OthersSince(
        succeeded=counted.count("step") + counted.count("succeed"), failed=counted.count("fail")
    )


@given(steps=st.lists(st.sampled_from(["begin", "step", "fail", "succeed"]), max_size=20))
def test_failures_in_a_row_are_counted_to_the_next_success(steps: list[str]) -> None:
    """A step on the way, such as a HEAD before each PUT, ends no row of failures."""
    witnesses, expected = SuccessTracker(), 0
    for what in steps:
        match what:
            case "begin":
                witnesses.began("a")
            case "step":
                witnesses.stepped("a", "HEAD")
            case "fail":
                witnesses.failed("a", "PUT", unspent=0)
                expected += 1
            case _:
                witnesses.succeeded("a", "PUT")
                expected = 0
    assert witnesses.memo("a").in_a_row == expected
