"""What a new journal finds in S3: sent again by nobody, and looked for at little cost."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sidecar.core.ids import sidecar_tag, transfer_id
from sidecar.core.model import KnownContent, State, Transfer
from sidecar.journal.journal import Journal
from sidecar.journal.stores.lookups import Lookups
from sidecar.journal.stores.recovery import Recovery
from sidecar.upload.cleanup import earlier_objects
from sidecar.upload.cleanup.earlier_objects import EarlierObjects
from sidecar.upload.store import ObjectSpec
from tests.support.memory_store import MemoryStore

from .rig import SIDECAR, Rig, content, rig_on, running


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    """Open a rig over the fake that the contract suite holds to the truth, on a journal that is new."""
    async with rig_on(MemoryStore(), tmp_path, bucket="lessons") as opened:
        await opened.writer.do(Recovery.begin_recovery)
        yield opened


async def searched(rig: Rig, transfers: list[Transfer]) -> None:
    """Let transfers go as the recall stage does that has nobody to ask."""
    await rig.writer.do(Lookups.end_lookups, {transfer.row_id: KnownContent() for transfer in transfers})


async def test_what_is_there_is_not_sent_again_and_a_folder_is_listed_once(rig: Rig) -> None:
    """Twenty files of two scenes: two listings, and a HEAD for what may be it."""
    first = [await rig.file(content(n), f"c{n}.mp4", scene=f"s{n % 2}") for n in range(1, 21)]
    await rig.writer.do(Lookups.end_lookups, dict.fromkeys(one.row_id for one in first))
    async with running(rig.stage()):
        for one in first:
            await rig.until(one, State.UPLOADED)
    for one in first[5:]:  # their objects are known to nobody but S3
        await rig.writer.run(_forget, one)
    rig.store.calls.clear()
    again = [await rig.noticed(rig.path(one)) for one in first[5:]]
    await searched(rig, again)
    async with running(rig.stage()):
        found = [await rig.until(one, State.UPLOADED) for one in again]
    assert [one.key for one in found] == [one.key for one in first[5:]]
    assert rig.store.calls.count("put") == 0
    assert rig.store.calls.count("list objects") == 2


def _forget(journal: Journal, transfer: Transfer) -> None:
    journal.db.execute("DELETE FROM outbox WHERE transfer = ?", [transfer.row_id])
    journal.db.execute("DELETE FROM transfers WHERE id = ?", [transfer.row_id])
    journal.db.execute("DELETE FROM files WHERE transfer = ?", [transfer.row_id])


async def test_others_objects_and_folders_of_long_ago_cost_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only keys with our tag are kept, and only of the folders that were asked for last."""
    monkeypatch.setattr(earlier_objects, "FOLDERS_MAX", 2)
    store, tag = MemoryStore(), sidecar_tag(SIDECAR)
    ours = transfer_id(wall_ms=1, chance=b"12345", tag=tag)
    theirs = transfer_id(wall_ms=1, chance=b"12345", tag=sidecar_tag("another"))
    for folder in "abc":
        for name in (ours, theirs, "plain"):
            key = f"{folder}/x.{name}.mp4"
            spec = ObjectSpec(bucket="lessons", key=key, content_type="x/y", cache_control=None, metadata={})
            store.objects[key] = (spec, b"")
    known = EarlierObjects(store=store, tag=tag)
    for folder in "aabbcca":
        assert [one.key for one in await known.below(f"{folder}/x.")] == [f"{folder}/x.{ours}.mp4"]
    assert store.log.count("list objects") == 4
    assert await known.below("a/y.") == []
