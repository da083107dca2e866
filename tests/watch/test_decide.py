"""The decision when a file is complete."""

from __future__ import annotations

import pytest

from sidecar.watch.complete.decide import Abandon, Complete, ProbeEvidence, Wait, WaitPolicy, decide
from sidecar.watch.complete.probe import ProbePolicy
from sidecar.watch.formats.base import COMPLETE, UNKNOWN, Structure, incomplete
from sidecar.watch.os.write_lease import WriterCheck

PATIENCE = WaitPolicy(settle_seconds=0.25, abandon_after_seconds=900.0)
TORN = incomplete("the MP4 has no moov box")


def decision(lease: WriterCheck, structure: Structure, quiet: float) -> Complete | Wait | Abandon:
    """Decide with the default patience."""
    return decide(ProbeEvidence(lease=lease, structure=structure, quiet_seconds=quiet), PATIENCE)


@pytest.mark.parametrize("structure", [COMPLETE, UNKNOWN, TORN])
def test_a_file_with_a_writer_is_never_complete_nor_abandoned(structure: Structure) -> None:
    """However long it has been quiet, whatever its structure says."""
    for quiet in (0.0, 1.0, 1e6):
        found = decision(WriterCheck.BUSY, structure, quiet)
        assert isinstance(found, Wait)
        assert found.why == "a process still has it open for writing"
        assert found.again_seconds <= 0.1


def test_a_whole_file_without_writer_goes_at_once() -> None:
    """No settling where lease and structure both prove it."""
    assert decision(WriterCheck.FREE, COMPLETE, 0.0) == Complete()


def test_a_whole_file_settles_where_leases_cannot_be_had() -> None:
    """A preallocating or rewriting writer may still be there."""
    assert isinstance(decision(WriterCheck.UNAVAILABLE, COMPLETE, 0.2), Wait)
    assert decision(WriterCheck.UNAVAILABLE, COMPLETE, 0.25) == Complete()


@pytest.mark.parametrize("lease", [WriterCheck.FREE, WriterCheck.UNAVAILABLE])
def test_a_format_without_end_mark_settles(lease: WriterCheck) -> None:
    """The reason tells how far it is."""
    assert decision(lease, UNKNOWN, 0.1) == Wait(why="quiet for 0.10 of 0.25 s", again_seconds=0.15)
    assert decision(lease, UNKNOWN, 0.25) == Complete()


@pytest.mark.parametrize("lease", [WriterCheck.FREE, WriterCheck.UNAVAILABLE])
def test_a_torn_file_waits_and_is_abandoned_in_the_end(lease: WriterCheck) -> None:
    """Never complete; looked at ever more rarely."""
    soon, later = decision(lease, TORN, 0.0), decision(lease, TORN, 100.0)
    assert isinstance(soon, Wait)
    assert isinstance(later, Wait)
    assert soon.again_seconds < later.again_seconds <= 5
    assert isinstance(decision(lease, TORN, 900.0), Abandon)


@pytest.mark.parametrize(
    ("rule", "root", "scanning", "exact", "expected"),
    [
        (None, 0.25, False, True, 0.25),
        (None, 0.25, False, False, 2.0),
        (None, 0.25, True, False, 10.0),
        (None, 0.25, True, True, 0.25),
        (None, 1.0, True, False, 1.0),
        (3.0, 0.25, True, False, 3.0),
    ],
)
def test_the_settle_time_is_the_rules_then_the_roots_then_what_the_volume_calls_for(
    rule: float | None, root: float, scanning: bool, exact: bool, expected: float
) -> None:
    """The default means 2 s without leases and 10 s where only listings see changes."""
    policy = ProbePolicy(settle_seconds=root, scanning=scanning, abandon_after_seconds=900.0)
    assert policy.wait_policy(rule, exact=exact).settle_seconds == expected
