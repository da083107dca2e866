"""Who got through since, against the plain list of everything that happened."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.witnesses import Witnesses

STEPS = st.lists(
    st.tuples(st.sampled_from(["begin", "succeed", "fail"]), st.sampled_from("abc")), max_size=40
)


@given(steps=STEPS, asked=st.sampled_from("abc"))
def test_two_records_answer_as_the_whole_history_would(steps: list[tuple[str, str]], asked: str) -> None:
    """Another target succeeded since this one's last failure, or since its attempt began."""
    witnesses = Witnesses()
    since: int | None = None
    for position, (what, target) in enumerate(steps):
        if what == "begin":
            witnesses.began(target)
        elif what == "succeed":
            witnesses.succeeded(target)
        else:
            witnesses.failed(target, unspent=0)
        if target == asked:
            begins = what == "begin" and since is None
            since = position if what == "fail" or begins else (None if what == "succeed" else since)
    later = steps[since + 1 :] if since is not None else []
    expected = any(what == "succeed" and target != asked for what, target in later)
    assert witnesses.others_since(witnesses.memo(asked), asked) == expected
