"""Remembers which folders lay there just as the journal knows them, so that it need not be asked again.

A listing of an idle tree costs a stat of each file. To fetch what the journal knows of each, and to compare
the two, costs half of that once more, for nothing while neither changed. Of the journal's side one number
tells that nothing at all was written; of the other a mark of what was listed, a 64-bit hash, is compared.
"""

from __future__ import annotations

from .listing import Listing

FOLDERS_KEPT = 50_000  # some 70 bytes each; the others are asked for by each listing


class Unchanged:
    """Marks of folders of one root. A listing asks and tells it in worker threads, one after the other."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._marks, self._writes = set[int](), -1

    def begin(self, writes: int) -> None:
        """Begin a listing; ``writes`` is ``Files.writes`` of this moment: if it differs, believe nothing."""
        if writes != self._writes:
            self._marks.clear()
        self._writes = writes

    def has(self, listing: Listing) -> bool:
        """Tell whether a folder lies there as it lay when it was as the journal knows it still."""
        return _is_whole(listing) and _mark(listing) in self._marks

    def add(self, listing: Listing) -> None:
        """Take in that a folder is as the journal knew it at or after ``begin``."""
        if _is_whole(listing) and len(self._marks) < FOLDERS_KEPT:
            self._marks.add(_mark(listing))


def _is_whole(listing: Listing) -> bool:
    return listing.whole and not listing.is_piece


def _mark(listing: Listing) -> int:
    return hash((listing.folder, frozenset(listing.files.values())))
