"""What a wait and a drain make of the journal's numbers."""

from __future__ import annotations

from sidecar.core.account import FileClass
from sidecar.core.model import State
from sidecar.status.unfinished import Unfinished, count_unfinished, refused_now, undelivered_counts
from sidecar.watch.root import RootAway

from .fake import FakeCandidate

AWAY = {"/away": RootAway(kind="missing", why="it is not there")}


def test_each_file_counts_once() -> None:
    """What cannot be read in a root that is away is refused, and not stuck as well."""
    counts = {
        ("/here", State.DISCOVERED): 3,
        ("/here", State.READY): 4,
        ("/here", State.DEAD): 1,
        ("/away", State.DISCOVERED): 2,
        ("/away", State.UPLOADED): 5,
        ("/away", State.ABANDONED): 1,
    }
    unreadable = [
        FakeCandidate("p/x.mp4", "so it is", root=root, file_class=FileClass.REFUSED).real()
        for root in ("/here", "/away")
    ]
    refused = refused_now([*unreadable, FakeCandidate("p/y.mp4", "open", root="/here").real()])
    found = count_unfinished(counts, refused, AWAY)
    assert found == Unfinished(total=16, given_up=2, refused=2, stuck=1)
    assert found.coming == 11


def test_of_a_root_that_is_not_ours_nothing_comes() -> None:
    """Convex is told nothing of it either."""
    away = {"/away": RootAway(kind="not ours", why="another sidecar has it")}
    counts = {("/away", State.UPLOADED): 5, ("/away", State.DEAD): 1}
    assert count_unfinished(counts, [], away).coming == 0


def test_without_convex_an_upload_is_the_end() -> None:
    """With it an uploaded file is owed."""
    counts = {("/here", State.UPLOADED): 5, ("/here", State.READY): 1}
    assert undelivered_counts(counts, syncing=True) == counts
    assert undelivered_counts(counts, syncing=False) == {("/here", State.READY): 1}
