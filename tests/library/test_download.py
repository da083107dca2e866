"""A download is there whole or not at all, whoever else writes beside it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sidecar import S3Storage
from sidecar.journal.db.fsync import fsync_path
from sidecar.library import download as module
from sidecar.upload.store import ObjectHead

OFF: dict[str, Any] = {"s3": {"bucket": "lessons"}, "convex": {"sync": "off"}}
PIECES = 4


class Slow:
    """A bucket whose objects are four pieces of their own name; each reader lets the others go on."""

    def __init__(self, sizes: dict[str, int]) -> None:
        self._sizes = sizes

    async def head(self, key: str) -> ObjectHead | Any:
        """Say how large it is."""
        return SimpleNamespace(
            size_bytes=PIECES * self._sizes[key], checksum=None, stored=SimpleNamespace(etag='"e"')
        )

    async def read(self, key: str, *, etag: str) -> AsyncIterator[bytes]:
        """Yield a piece, then let others go on."""
        del etag
        for _ in range(PIECES):
            await asyncio.sleep(0.01)
            yield key.encode() * self._sizes[key]


async def downloading(storage: S3Storage, monkeypatch: pytest.MonkeyPatch, bucket: Slow) -> None:
    """Let a storage read from a bucket."""

    async def objects() -> Slow:
        return bucket

    monkeypatch.setattr(storage.connection.reading, "objects", objects)


async def test_downloads_to_one_path_at_once_leave_one_of_them_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one process, and in containers whose processes have equal ids."""
    target = tmp_path / "film.mp4"
    async with S3Storage(OFF | {"journal": {"path": str(tmp_path / "j.db")}}) as storage:
        await downloading(storage, monkeypatch, Slow({"a": 50_000, "b": 50_000}))
        await asyncio.gather(*(storage.download(key, target) for key in "abab"))
    assert target.read_bytes() in {b"a" * 200_000, b"b" * 200_000}
    assert list(tmp_path.glob(".*part")) == []


async def test_a_link_in_the_place_of_what_is_being_downloaded_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever may write the folder could have other files overwritten."""
    theirs, target = tmp_path / "theirs", tmp_path / "film.mp4"
    theirs.write_text("theirs")
    async with S3Storage(OFF | {"journal": {"path": str(tmp_path / "j.db")}}) as storage:
        await downloading(storage, monkeypatch, Slow({"a": 1}))
        monkeypatch.setattr("secrets.token_hex", lambda _: "guessed")
        for name in (".guessed.part", f".film.mp4.{os.getpid()}.part"):
            (tmp_path / name).symlink_to(theirs)
        with pytest.raises(FileExistsError):
            await storage.download("a", target)
    assert theirs.read_text() == "theirs"
    assert (tmp_path / ".guessed.part").is_symlink()


async def test_a_download_that_is_there_stays_after_a_power_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is on disk before it has its name, and the name before the call returns."""
    steps: list[str] = []
    flush, folder = module._flush, fsync_path

    def flushed(file: Any) -> None:
        flush(file)
        steps.append(f"file, named: {(tmp_path / 'film.mp4').exists()}")

    def named(path: Path) -> None:
        folder(path)
        steps.append(f"{path.name}, named: {(path / 'film.mp4').exists()}")

    monkeypatch.setattr(module, "_flush", flushed)
    monkeypatch.setattr(module, "fsync_path", named)
    async with S3Storage(OFF | {"journal": {"path": str(tmp_path / "j.db")}}) as storage:
        await downloading(storage, monkeypatch, Slow({"a": 1}))
        await storage.download("a", tmp_path / "film.mp4")
    assert steps == ["file, named: False", f"{tmp_path.name}, named: True"]
