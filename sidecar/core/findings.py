"""Names what may be found at one path: the watch stage looks, the endpoint answers with the same words."""

from __future__ import annotations

from enum import StrEnum


class Finding(StrEnum):
    """What the watch stage makes of one path as it is now."""

    MISSING = "missing"  # nothing there
    FOLDER = "folder"
    IGNORED = "ignored"  # by watch[].ignore
    UNMATCHED = "unmatched"  # no rule takes it, nor its extension
    MISPLACED = (
        "misplaced"  # no rule takes it, but one takes its extension; or another value than a pinned field
    )
    REFUSED = "refused"  # a link, a FIFO, unreadable, a slot that is taken, a name over the store's limits
    HELD = "held"  # not sent yet by design: playlists and what belongs to them
    WAITING = "waiting"  # a candidate: open, settling or incomplete
    MATCHED = "matched"  # a regular file with a route; the journal knows the rest
