"""Every row of the decision table, and what must never be judged."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sidecar.core.inconsistencies import (
    ORPHAN_SECONDS,
    TABLE,
    WANTED,
    InconsistencyType,
    KeyEvidence,
    Repair,
    judge,
)
from sidecar.core.model import State
from sidecar.core.ops import VersionStatus

SYNCED = KeyEvidence(
    state=State.SYNCED,
    settled=True,
    on_disk=True,
    size_bytes=10,
    object_bytes=10,
    object_age_seconds=ORPHAN_SECONDS,
    version=VersionStatus.CURRENT,
)
OURS = KeyEvidence(object_bytes=10, object_age_seconds=ORPHAN_SECONDS)
CASES = {
    InconsistencyType.ORPHAN_UPLOAD: (KeyEvidence(upload=True), Repair.ABORT),
    InconsistencyType.LOST_OP: (replace(SYNCED, state=State.UPLOADED, settled=False), Repair.ENQUEUE),
    InconsistencyType.MISSING_OBJECT: (replace(SYNCED, object_bytes=None), Repair.UPLOAD),
    InconsistencyType.WRONG_SIZE: (replace(SYNCED, object_bytes=9), Repair.UPLOAD),
    InconsistencyType.LOST_BYTES: (replace(SYNCED, object_bytes=None, on_disk=False), Repair.NONE),
    InconsistencyType.MISSING_METADATA: (replace(SYNCED, version=None), Repair.ENQUEUE),
    InconsistencyType.DELETED_SCENE: (replace(OURS, version=VersionStatus.DELETED), Repair.EXPIRE),
    InconsistencyType.RETIRED: (
        replace(OURS, version=VersionStatus.SUPERSEDED, retired=True),
        Repair.EXPIRE,
    ),
    InconsistencyType.EXPIRED_OBJECT: (replace(OURS, version=VersionStatus.EXPIRED), Repair.DELETE),
    InconsistencyType.FORGOTTEN_OBJECT: (replace(OURS, forgotten=True), Repair.NONE),
    InconsistencyType.ORPHAN_OBJECT: (OURS, Repair.DELETE),
}


def test_every_row_has_its_case() -> None:
    """And every type its row."""
    assert set(CASES) == set(InconsistencyType) == {row.type for row in TABLE}


@pytest.mark.parametrize("kind", CASES)
def test_each_row_is_found_and_repaired_as_the_table_says(kind: InconsistencyType) -> None:
    """By evidence that no earlier row takes."""
    seen, repair = CASES[kind]
    row = judge(seen)
    assert row is not None
    assert (row.type, row.repair) == (kind, repair)


@pytest.mark.parametrize(
    "seen",
    [
        SYNCED,
        replace(OURS, version=VersionStatus.CURRENT),  # known to Convex alone: the journal was lost
        replace(OURS, version=VersionStatus.SUPERSEDED),  # kept by retention
        KeyEvidence(version=VersionStatus.EXPIRED),  # its object has gone
        KeyEvidence(version=VersionStatus.DELETED),
        replace(OURS, object_age_seconds=ORPHAN_SECONDS - 1),  # too young
        replace(OURS, object_age_seconds=None),  # the clocks disagree
        replace(OURS, is_pending=True),  # a clean-up task is under way
        replace(SYNCED, state=State.UPLOADED, settled=False, is_pending=True, version=None),
        replace(SYNCED, settled=False, version=None),  # synced while the listings were made
        KeyEvidence(state=State.READY, upload=True),
    ],
)
def test_what_is_as_it_should_be_is_left_alone(seen: KeyEvidence) -> None:
    """Also what may be only a moment's sight."""
    assert judge(seen) is None


@pytest.mark.parametrize("state", sorted(WANTED))
def test_what_the_journal_wants_is_never_an_orphan(state: State) -> None:
    """Neither its object nor its open upload, however old."""
    for seen in (
        replace(OURS, state=state, is_pending=True),
        KeyEvidence(state=state, upload=True, is_pending=True),
    ):
        row = judge(seen)
        assert row is None or row.repair is not Repair.DELETE


@pytest.mark.parametrize(
    ("status", "retired"),
    [(VersionStatus.CURRENT, False), (VersionStatus.CURRENT, True), (VersionStatus.SUPERSEDED, False)],
)
def test_what_convex_shows_is_never_deleted(status: VersionStatus, retired: bool) -> None:
    """Whatever journal and retention say of it; a superseded version goes only if retention gives it up."""
    for state in (None, *State):
        for size in (None, 9, 10):
            row = judge(
                KeyEvidence(
                    state=state,
                    size_bytes=10,
                    object_bytes=size,
                    object_age_seconds=1e9,
                    version=status,
                    retired=retired,
                )
            )
            assert row is None or row.repair not in {Repair.DELETE, Repair.EXPIRE}
