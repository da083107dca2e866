"""Lists a root in full, folder by folder, against what the journal remembers, in bounded memory.

The walk and the comparison run in worker threads in batches of folders; the journal is asked one
range query a folder, where anything was written since the last listing. A million finished files cost a stat
and a comparison each; nothing is kept but a mark of each folder. A folder of very many files is compared in
pieces, and what it lacks is looked for only where their number says so.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from sidecar.files import KeptFolders
from sidecar.homes import home_of, root_volume
from sidecar.journal.stores.files import Files
from sidecar.journal.stores.known import IdentityRow
from sidecar.journal.writer import AsyncJournal
from sidecar.watch.os.worker_threads import WorkerThreads

from .classify import Classifier, ListingBatch, classify_absent, classify_listing, classify_specials
from .listing import Listing, list_pieces
from .listing_costs import Unchanged, cost
from .mount_points import MountPoints

FILES_PER_BATCH = 4_000
FOLDERS_PER_BATCH = 256
FOLDERS_PER_PAGE = 1_000
# What the journal knows of each listing's files; None of those of which it was not asked.
Remembered = Sequence[set[IdentityRow] | None]


class Walk:
    """The folders below a start, in batches; depth first, following no symbolic link."""

    def __init__(
        self,
        root: str,
        start: str = "",
        *,
        places: MountPoints | None = None,
        unchanged: Unchanged | None = None,
        files_max: int | None = None,
    ) -> None:
        """With ``places`` each listing tells whether absence from it is clear.

        With ``unchanged`` it tells whether the journal need not be asked. A batch has hardly more than
        ``files_max`` files.
        """
        self._root, self._places, self._unchanged = root, places, unchanged
        self._files_max = FILES_PER_BATCH if files_max is None else files_max
        self._open: list[tuple[str, int | None]] = [(start, None)]  # a folder, and the device that it lies on
        self._pieces: Iterator[Listing] | None = None  # of the folder that is being listed
        self._device: int | None = None  # what that one lies on

    def next_batch(self) -> list[Listing]:
        """List more folders; an empty batch is the end."""
        batch, files, ground = list[Listing](), 0, root_volume(self._root)
        with KeptFolders() as kept:
            while self.is_open and files < self._files_max and len(batch) < FOLDERS_PER_BATCH:
                listing = self._next_piece(kept)
                files += len(listing.files)
                batch.append(listing)
        if ground is not None and ground == root_volume(self._root):  # else it was swapped meanwhile
            for listing in batch:
                listing.home = ground.home_on(listing.device)
        return batch

    @property
    def is_open(self) -> bool:
        """Whether there is more to list."""
        return bool(self._open) or self._pieces is not None

    def _next_piece(self, kept: KeptFolders) -> Listing:
        if self._pieces is None:
            folder, self._device = self._open.pop()
            self._pieces = list_pieces(self._root, folder, self._files_max, kept)
        listing = next(self._pieces)
        if listing.is_last:
            self._pieces = None
        self._open += [(inner, listing.device) for inner in listing.folders]
        if self._unchanged is not None:
            listing.is_unchanged = self._unchanged.has(listing)
        if self._places is not None:
            listing.clear = self._is_clear(self._places, listing, self._device)
        return listing

    def _is_clear(self, places: MountPoints, listing: Listing, device: int | None) -> bool:
        if not listing.whole and not listing.special:
            return False  # it vanished meanwhile
        place = None if listing.device is None or not listing.whole else (listing.device, listing.inode)
        places.see(listing.folder, place, device_above=device)
        return places.are_the_same(listing.folder)


@dataclass(frozen=True, slots=True, kw_only=True)
class Walked:
    """What a walk cost, in CPU seconds of all threads, and the inodes of folders that are not watched.

    ``unread`` tells why it could not read some folders.
    """

    spent_seconds: float
    unwatched: Mapping[str, int]
    unread: Mapping[str, OSError]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scanner:
    """Lists one root. ``take`` receives what each batch brings, in turn, and may hold the walk up.

    ``is_watched`` tells whether events of a folder, by its path and inode, are heard. ``unchanged`` is of
    full listings alone.
    """

    root: str
    classifier: Classifier
    journal: AsyncJournal
    threads: WorkerThreads
    take: Callable[[ListingBatch], Awaitable[None]]
    is_watched: Callable[[str, int], bool]
    unchanged: Unchanged | None = None

    async def scan(self, places: MountPoints | None) -> Walked:
        """List everything, report what is gone. Without ``places`` nothing that is gone is a removal."""
        began = time.process_time()
        if self.unchanged is not None:
            self.unchanged.begin(await self.journal.do(Files.writes))
        walked = await self.walk("", places=places)
        counted = walked.spent_seconds + await self._report_gone_folders(places)
        return replace(walked, spent_seconds=cost(counted, time.process_time() - began))

    async def walk(self, start: str, *, is_new: bool = False, places: MountPoints | None = None) -> Walked:
        """List everything at and below a folder. What had the name of a new one may have been watched."""
        walk, spent = Walk(self.root, start, places=places, unchanged=self.unchanged), 0.0
        unwatched, unread, met = dict[str, int](), dict[str, OSError](), Counter[str]()
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
            remembered, seconds = await self._remembered(batch)
            spent += seconds
            batches = self._compare(batch, remembered)
            while True:
                gathered, seconds = await self.threads.timed(partial(next, batches, None))
                spent += seconds
                if gathered is None:
                    break
                await self.take(gathered)
            for listing, known in zip(batch, remembered, strict=True):
                if listing.is_piece and known is not None:
                    spent += await self._report_gone_files(listing, len(known), met)

    def _compare(self, batch: Sequence[Listing], remembered: Remembered) -> Iterator[ListingBatch]:
        gathered = ListingBatch()
        for listing, known in zip(batch, remembered, strict=True):
            if known is None:
                classify_specials(self.classifier, listing, gathered)
            elif (yield from classify_listing(self.classifier, listing, known, gathered)) and self.unchanged:
                self.unchanged.add(listing)
        yield gathered

    async def _report_gone_folders(self, places: MountPoints | None) -> float:
        """A folder that is not there lists nothing: ask the journal which ones it remembers."""
        after, spent = "", 0.0
        while folders := await self.journal.do(Files.folders, self.root, after=after, limit=FOLDERS_PER_PAGE):
            after = folders[-1]
            gone, seconds = await self.threads.timed(partial(self._gone, folders))
            spent += seconds
            if gone:
                known, _ = await self.journal.do(Files.known_rows, self.root, gone)
                gathered = ListingBatch()
                gathered.homes.update(await self.threads.do(partial(self._homes, gone)))
                for folder in gone:
                    is_clear = places is not None and places.are_the_same(folder)
                    missing = [f"{folder}/{name}" for name, *_ in known[folder]]
                    (gathered.missing if is_clear else gathered.spared).extend(missing)
                await self.take(gathered)
        return spent

    async def _report_gone_files(self, piece: Listing, known: int, met: Counter[str]) -> float:
        """Look for what a folder lacks that is listed in pieces, if the journal knows more than was met."""
        after, spent, folder = "", 0.0, piece.folder
        met[folder] += known
        if not piece.is_last:
            return spent
        if await self.journal.do(Files.count_known, self.root, folder) == met.pop(folder) or not piece.whole:
            return spent
        while names := await self.journal.do(
            Files.names, self.root, folder, after=after, limit=FILES_PER_BATCH
        ):
            after = names[-1]
            gathered, seconds = await self.threads.timed(partial(classify_absent, self.root, piece, names))
            spent += seconds
            await self.take(gathered)
        return spent

    def _homes(self, folders: Sequence[str]) -> dict[str, str | None]:
        return {folder: home_of(self.root, folder) for folder in folders}

    async def _remembered(self, batch: Sequence[Listing]) -> tuple[Remembered, float]:
        """Return what the journal knows of the files of each listing, and the CPU seconds that it took."""
        folders = [one.folder for one in batch if not one.is_piece and not one.is_unchanged]
        whole, spent = await self.journal.do(Files.known_rows, self.root, folders) if folders else ({}, 0.0)
        remembered = [whole.get(listing.folder) for listing in batch]
        for number, listing in enumerate(batch):
            if listing.is_piece:
                folder, names = listing.folder, list(listing.files)
                known, seconds = await self.journal.do(Files.known_among, self.root, folder, names)
                remembered[number] = known[folder]
                spent += seconds
        return remembered, spent

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
