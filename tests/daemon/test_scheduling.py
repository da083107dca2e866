"""While a crowd is under way all threads are batch work to the kernel, and none of them is afterwards."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator

import pytest

from sidecar.daemon.scheduling import Scheduling


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    yield
    _choose(os.SCHED_OTHER)


def _threads() -> list[int]:
    """Return those that stay: others of the test run may end at any time."""
    return [thread.native_id for thread in threading.enumerate() if thread.native_id is not None]


def _choose(policy: int) -> None:
    for thread in _threads():
        os.sched_setscheduler(thread, policy, os.sched_param(0))


def policies() -> set[int]:
    """Return the policies of all threads."""
    return {os.sched_getscheduler(thread) for thread in _threads()}


def test_a_crowd_makes_all_threads_batch_work_until_it_is_over() -> None:
    """Also those that began during it."""
    scheduling, over = Scheduling(), threading.Event()
    threads = [threading.Thread(target=over.wait, daemon=True) for _ in range(2)]
    threads[0].start()
    scheduling.crowd(is_there=True)
    assert policies() == {os.SCHED_BATCH}
    threads[1].start()
    scheduling.crowd(is_there=False)
    assert policies() == {os.SCHED_OTHER}
    over.set()


def test_a_policy_that_somebody_chose_is_left_alone() -> None:
    _choose(os.SCHED_BATCH)  # nobody needs a right for it, nor to leave it
    scheduling = Scheduling()
    for is_there in (True, False):
        scheduling.crowd(is_there=is_there)
        assert policies() == {os.SCHED_BATCH}


def test_where_it_is_refused_nobody_asks_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A seccomp profile may refuse it: that costs CPU and nothing else."""
    asked = list[int]()

    def refuse(_thread: int, policy: int, _parameters: os.sched_param) -> None:
        asked.append(policy)
        raise PermissionError(1, "Operation not permitted")

    scheduling = Scheduling()
    with monkeypatch.context() as patched:
        patched.setattr(os, "sched_setscheduler", refuse)
        scheduling.crowd(is_there=True)
        scheduling.crowd(is_there=False)
    assert asked == [os.SCHED_BATCH]
