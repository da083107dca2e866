"""Lists a root in full, folder by folder, against what the journal remembers, in bounded memory.

The walk and the comparison run in worker threads in batches of folders; the journal is asked one
range query a folder. A million finished files cost a stat and a comparison each; nothing is kept.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from sidecar.homes import home_of, root_volume
from sidecar.journal.stores.files import Files
from sidecar.journal.stores.known import IdentityRow
from sidecar.journal.writer import AsyncJournal
from sidecar.watch.os.worker_threads import WorkerThreads

from .classify import Classifier, ListingBatch, classify_listing
from .listing import Listing, list_folder
from .mount_points import MountPoints

FILES_PER_BATCH = 4_000
FOLDERS_PER_BATCH = 256
FOLDERS_PER_PAGE = 1_000
Remembered = Mapping[str, set[IdentityRow]]  # folder -> what the journal knows of its files


class Walk:
    """The folders below a start, in batches; depth first, following no symbolic link."""

    def __init__(self, root: str, start: str = "", *, places: MountPoints | None = None) -> None:
        """With ``places`` each listing tells whether absence from it is clear."""
        self._root, self._places = root, places
        self._open: list[tuple[str, int | None]] = [(start, None)]  # a folder, and the device that it lies on

    def next_batch(self) -> list[Listing]:
        """List more folders; an empty batch is the end."""
        batch, files, ground = list[Listing](), 0, root_volume(self._root)
        while self._open and files < FILES_PER_BATCH and len(batch) < FOLDERS_PER_BATCH:
            folder, device = self._open.pop()
            listing = list_folder(self._root, folder)
            self._open += [(inner, listing.device) for inner in listing.folders]
            if self._places is not None:
                listing.clear = self._is_clear(self._places, listing, device)
            files += len(listing.files)
            batch.append(listing)
        if ground is not None and ground == root_volume(self._root):  # else it was swapped meanwhile
            for listing in batch:
                listing.home = ground.home_on(listing.device)
        return batch

    def _is_clear(self, places: MountPoints, listing: Listing, device: int | None) -> bool:
        if not listing.whole and not listing.special:
            return False  # it vanished meanwhile
        place = None if listing.device is None or not listing.whole else (listing.device, listing.inode)
        places.see(listing.folder, place, device_above=device)
        return places.are_the_same(listing.folder)


@dataclass(frozen=True, slots=True, kw_only=True)
class Walked:
    """What a walk cost, in CPU seconds of the worker threads, and the inodes of folders not watched.

    ``unread`` tells why it could not read some folders.
    """

    spent_seconds: float
    unwatched: Mapping[str, int]
    unread: Mapping[str, OSError]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scanner:
    """Lists one root. ``take`` receives what each batch brings, in turn, and may hold the walk up.

    ``is_watched`` tells whether events of a folder, by its path and inode, are heard.
    """

    root: str
    classifier: Classifier
    journal: AsyncJournal
    threads: WorkerThreads
    take: Callable[[ListingBatch], Awaitable[None]]
    is_watched: Callable[[str, int], bool]

    async def scan(self, places: MountPoints | None) -> Walked:
        """List everything, report what is gone. Without ``places`` nothing that is gone is a removal."""
        walked = await self.walk("", places=places)
        spent = walked.spent_seconds + await self._report_gone_folders(places)
        return replace(walked, spent_seconds=spent)

    async def walk(self, start: str, *, is_new: bool = False, places: MountPoints | None = None) -> Walked:
        """List everything at and below a folder. What had the name of a new one may have been watched."""
        walk, spent = Walk(self.root, start, places=places), 0.0
        unwatched, unread = dict[str, int](), dict[str, OSError]()
        while True:
            batch, seconds = await self.threads.timed(walk.next_batch)
            spent += seconds
            if not batch:
                return Walked(spent_seconds=spent, unwatched=unwatched, unread=unread)
            unread |= {one.folder: one.unread for one in batch if one.unread is not None}
            unwatched |= {
                one.folder: one.inode
                for one in batch
                if one.whole and (is_new or not self.is_watched(one.folder, one.inode))
            }
            remembered = await self._remembered([listing.folder for listing in batch])
            batches = self._compare(batch, remembered)
            while True:
                gathered, seconds = await self.threads.timed(partial(next, batches, None))
                spent += seconds
                if gathered is None:
                    break
                await self.take(gathered)

    def _compare(self, batch: Sequence[Listing], remembered: Remembered) -> Iterator[ListingBatch]:
        gathered = ListingBatch()
        for listing in batch:
            yield from classify_listing(self.classifier, listing, remembered[listing.folder], gathered)
        yield gathered

    async def _report_gone_folders(self, places: MountPoints | None) -> float:
        """A folder that is not there lists nothing: ask the journal which ones it remembers."""
        after, spent = "", 0.0
        while folders := await self.journal.do(Files.folders, self.root, after=after, limit=FOLDERS_PER_PAGE):
            after = folders[-1]
            gone, seconds = await self.threads.timed(partial(self._gone, folders))
            spent += seconds
            if gone:
                remembered, gathered = await self._remembered(gone), ListingBatch()
                gathered.homes.update(await self.threads.do(partial(self._homes, gone)))
                for folder in gone:
                    is_clear = places is not None and places.are_the_same(folder)
                    missing = [f"{folder}/{name}" for name, *_ in remembered[folder]]
                    (gathered.missing if is_clear else gathered.spared).extend(missing)
                await self.take(gathered)
        return spent

    def _homes(self, folders: Sequence[str]) -> dict[str, str | None]:
        return {folder: home_of(self.root, folder) for folder in folders}

    async def _remembered(self, folders: Sequence[str]) -> Remembered:
        return await self.journal.do(Files.known_in, self.root, folders)

    def _gone(self, folders: Sequence[str]) -> list[str]:
        return [folder for folder in folders if self._is_gone(folder)]

    def _is_gone(self, folder: str) -> bool:
        try:
            os.lstat(os.path.join(self.root, folder))  # noqa: PTH118 - surrogate escapes
        except (FileNotFoundError, NotADirectoryError):
            return True
        except OSError:
            return False  # it cannot be seen, which is not absence
        return False
