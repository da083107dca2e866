"""When ops go, and when they gather."""

from __future__ import annotations

import pytest

from sidecar.core.batching import WaitingOps, due_at


@pytest.mark.parametrize(
    ("count", "files_wait", "only_openings", "seconds"),
    [
        (1, False, False, 0.0),
        (99, False, False, 0.0),
        (1, True, False, 0.2),
        (99, True, False, 0.2),
        (100, True, False, 0.0),
        (1, False, True, 0.2),
        (1, True, True, 0.2),
        (100, False, True, 0.0),
    ],
)
def test_ops_go_at_once_unless_more_will_be_there_in_a_moment(
    count: int, files_wait: bool, only_openings: bool, seconds: float
) -> None:
    """A full call has nothing to gather for."""
    waiting = WaitingOps(count=count, since=5.0, files_wait=files_wait, only_openings=only_openings)
    assert due_at(waiting, most=100, wait_seconds=0.2) == 5.0 + seconds
