"""What sidecars left that are gone: judged like our own, and asked about once more before it goes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from sidecar.core.errors import ErrorKind, SidecarError
from sidecar.core.ids import sidecar_tag, transfer_id
from sidecar.core.inconsistencies import InconsistencyType
from sidecar.core.model import AssetType, EntityType, Slot
from sidecar.core.ops import AssetVersion, VersionStatus
from sidecar.core.reconcile_report import ReconcileReport
from sidecar.daemon import left_behind
from sidecar.daemon.left_behind import LeftBehind
from sidecar.daemon.reconciling import RETENTION
from sidecar.journal.stores.cleanup import Cleanup
from sidecar.journal.writer import JournalWriter
from sidecar.sync.backend import BackendStore, LeftObject
from tests.support import journals

DAY_MS = 24 * 3600 * 1000
NOW_MS = 100 * DAY_MS
ALL = frozenset(InconsistencyType)
SLOT = Slot(
    session_id="demo/lesson",
    entity_type=EntityType.SCENE,
    entity_id="s1",
    asset_type=AssetType.VIDEO_CHUNK,
    name="a.mp4",
)


def key_of(sidecar: str, n: int = 1) -> tuple[str, str]:
    """Return key and transfer of an object of a sidecar."""
    name = transfer_id(wall_ms=n, chance=b"12345", tag=sidecar_tag(sidecar))
    return f"demo/lesson/s1/{n:04}.{name}.mp4", name


@dataclass(slots=True)
class FakeBackend(BackendStore):
    """Convex as a backend sees it: what it says of each key, and what it was asked."""

    left: dict[str, LeftObject] = field(default_factory=dict)
    marks: bool = True
    error: SidecarError | None = None
    asked: list[list[str]] = field(default_factory=list)
    expired: list[tuple[str, int]] = field(default_factory=list)

    async def left_objects(
        self, bucket: str, keys: Sequence[str], project_ids: Sequence[str]
    ) -> Sequence[LeftObject | None]:
        """Answer by the table."""
        assert (bucket, list(project_ids)) == ("lessons", ["demo"])
        self.asked.append(list(keys))
        if self.error is not None:
            raise self.error
        return [self.left.get(key) for key in keys]

    async def expire_versions(self, project_id: str, versions: Sequence[tuple[Slot, int]]) -> Sequence[bool]:
        """Mark them, or not."""
        self.expired += [(project_id, version) for _, version in versions]
        return [self.marks] * len(versions)


@dataclass(slots=True, kw_only=True)
class Desk:
    """A journal with a scene of project ``demo``, and one who looks."""

    writer: JournalWriter
    backend: FakeBackend
    left: LeftBehind
    named: set[str] = field(default_factory=set)  # by the journal's rows

    async def look(
        self,
        *objects: tuple[str, float],
        types: frozenset[InconsistencyType] = ALL,
        now_ms: int | None = NOW_MS,
    ) -> ReconcileReport:
        """Take one turn over keys and their ages in days."""
        report = ReconcileReport()
        self.left.begin(now_ms=now_ms)
        for key, days in sorted(objects):
            self.left.take(key, 10, int(NOW_MS - days * DAY_MS))

        async def named(keys: Sequence[str]) -> set[str]:
            return self.named & set(keys)

        await self.left.look(report, types, named=named)
        return report

    async def debts(self) -> list[tuple[str, str]]:
        """Return keys and transfers of objects that are owed their deletion."""
        owed = await self.writer.do(Cleanup.claim_cleanup, limit=10_000, now=1e9)
        return sorted((task.key, task.transfer_id) for task in owed if task.delete_object)


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    """Nothing is left yet; whatever is superseded is retired."""
    journal = journals.open_journal(tmp_path)
    journals.ready(journal, "A")
    backend = FakeBackend()
    async with JournalWriter(journal) as writer:
        left = LeftBehind(
            backend, writer, "lessons", journals.TAG, lambda version, _: version.superseded_ms is not None
        )
        yield Desk(writer=writer, backend=backend, left=left)


def version(key: str, transfer: str, status: VersionStatus) -> LeftObject:
    """Return what Convex knows of a version of a gone sidecar's."""
    one = AssetVersion(
        slot=SLOT,
        version=3,
        transfer_id=transfer,
        bucket="lessons",
        key=key,
        size_bytes=10,
        checksum="crc64nvme:A",
        status=status,
        newer=1,
        superseded_ms=1 if status is VersionStatus.SUPERSEDED else None,
    )
    return LeftObject(project_id="demo", version=one)


async def test_only_what_is_old_and_of_others_is_asked_about(desk: Desk) -> None:
    """Not what is younger than a week, not our own, not what is no sidecar's."""
    old, young, ours = key_of("gone", 1)[0], key_of("gone", 2)[0], f"demo/x.{'0' * 18}{journals.TAG}.mp4"
    await desk.look((old, 7.1), (young, 6.9), (ours, 50), ("demo/readme.txt", 50))
    assert desk.backend.asked == [[old]]
    assert await desk.debts() == []


async def test_what_the_journal_names_is_its_own(desk: Desk) -> None:
    """Its sidecar had another name before; the comparison of our own judges it."""
    key, other = key_of("renamed")[0], key_of("gone", 2)[0]
    desk.named = {key}
    await desk.look((key, 30), (other, 30))
    assert desk.backend.asked == [[other]]
    desk.named.add(other)
    await desk.look((key, 30), (other, 30))
    assert len(desk.backend.asked) == 1


async def test_an_object_of_which_nobody_told_goes_after_a_second_look(desk: Desk) -> None:
    """Where `reconcile` was to repair; in a turn of retention it is only found."""
    key, transfer = key_of("gone")
    desk.backend.left[key] = LeftObject(project_id="demo", version=None)
    report = await desk.look((key, 8), types=RETENTION)
    assert (dict(report.found), await desk.debts()) == ({"orphan object": 1}, [])
    report = await desk.look((key, 8))
    assert desk.backend.asked[-2:] == [[key], [key]]
    assert (dict(report.repaired), await desk.debts()) == ({"orphan object": 1}, [(key, transfer)])
    assert dict((await desk.look((key, 8))).found) == {}


async def test_one_that_somebody_wants_at_the_second_look_stays(desk: Desk) -> None:
    """Its sidecar came back in between."""
    key, _ = key_of("gone")

    class Changing(dict[str, LeftObject]):
        def get(self, key: str, default: LeftObject | None = None) -> LeftObject | None:  # type: ignore[override]
            return self.pop(key, default)

    desk.backend.left = Changing({key: LeftObject(project_id="demo", version=None)})
    assert dict((await desk.look((key, 8))).repaired) == {}
    assert (len(desk.backend.asked), await desk.debts()) == (2, [])


@pytest.mark.parametrize(
    ("status", "found", "is_marked", "is_owed"),
    [
        (VersionStatus.SUPERSEDED, "retired", True, True),
        (VersionStatus.SUPERSEDED, "retired", False, False),
        (VersionStatus.DELETED, "deleted scene", True, True),
        (VersionStatus.EXPIRED, "expired object", None, True),
        (VersionStatus.CURRENT, None, None, False),
    ],
)
async def test_a_version_is_judged_as_our_own_are(
    desk: Desk, status: VersionStatus, found: str | None, is_marked: bool | None, is_owed: bool
) -> None:
    """Retention of each periodic run reaches it; Convex marks it first, or it stays."""
    key, transfer = key_of("gone")
    desk.backend.left[key], desk.backend.marks = version(key, transfer, status), is_marked is not False
    report = await desk.look((key, 30), types=RETENTION)
    assert list(report.found) == ([found] if found else [])
    assert await desk.debts() == ([(key, transfer)] if is_owed else [])
    assert desk.backend.expired == ([] if is_marked is None else [("demo", 3)])


async def test_nothing_is_judged_by_age_while_clocks_disagree(desk: Desk) -> None:
    """Nor asked about."""
    await desk.look((key_of("gone")[0], 30), now_ms=None)
    assert desk.backend.asked == []


async def test_who_is_no_backend_compares_as_before(desk: Desk) -> None:
    """And so does one whose functions do not know the question; any other error is the comparison's."""
    key, _ = key_of("gone")
    for error in (failure_of(ErrorKind.FORBIDDEN), failure_of(ErrorKind.UNKNOWN, redacted=True)):
        desk.backend.error = error
        assert dict((await desk.look((key, 30))).found) == {}
    desk.backend.error = failure_of(ErrorKind.NETWORK)
    with pytest.raises(SidecarError):
        await desk.look((key, 30))


def failure_of(kind: ErrorKind, *, redacted: bool = False) -> SidecarError:
    """Return an error of the call."""
    return SidecarError(kind, "no", operation="call", target="sidecar:leftObjects", redacted=redacted)


async def test_a_turn_is_bounded_and_the_next_goes_on(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """In hundreds, from key to key; behind the last one it begins anew."""
    monkeypatch.setattr(left_behind, "ASKED_MAX", 150)
    keys = [key_of("gone", n)[0] for n in range(1, 201)]
    turns = []
    for _ in range(3):
        await desk.look(*((key, 30) for key in keys))
        turns.append([key for asked in desk.backend.asked for key in asked])
        assert max(map(len, desk.backend.asked)) == min(100, len(turns[-1]))
        desk.backend.asked.clear()
    assert turns == [keys[:150], keys[150:], keys[:150]]
