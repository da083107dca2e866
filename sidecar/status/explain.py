"""Answers /explain: why a path is where it is, also one that never became a transfer."""

from __future__ import annotations

from sidecar.core.account import FileClass, class_of
from sidecar.core.findings import Finding
from sidecar.core.model import State, Transfer
from sidecar.core.paths import absolute
from sidecar.core.removal import Removal, RemovalState
from sidecar.watch.scan.path_lookup import PathFinding

from .asset_models import Explanation
from .journal_history import Remembered, remembered
from .locate import locate, roots_in_words
from .pages import asset
from .source import StatusSource, is_syncing
from .wording import count, failure, meaning, size

_PARKED = (
    "it waits for the end of its scene, or for a playlist: it may be a segment of one."
    " `playlist: none` in its rule says that none will come."
)
_NOT_SENT = {Finding.IGNORED, Finding.UNMATCHED, Finding.MISPLACED, Finding.REFUSED, Finding.HELD}


async def explain(source: StatusSource, path: str) -> Explanation:
    """Explain an absolute path, or one below any root. Raises BadRequestError."""
    found = await locate(source, path)
    if found is None:
        return await _outside(source, path)
    root, inside = found
    finding = await source.watch.explain(root, inside)
    known = await remembered(source, root, inside)
    steps = [f"It lies below the root {root}.", *_now(finding), *_so_far(source, known)]
    return Explanation(
        path=absolute(root, inside),
        root=root,
        verdict=_verdict(source, finding, known),
        file_class=_class(source, finding, known),
        finding=Finding(finding.finding),
        state=known.newest.state if known.newest else None,
        steps=steps,
        asset=asset(known.newest, known.removal) if known.newest else None,
        history=list(known.history),
        older=[asset(row, None) for row in known.rows[1:]],
    )


async def _outside(source: StatusSource, path: str) -> Explanation:
    return Explanation(
        path=path,
        root=None,
        verdict="Not watched: it lies below none of the roots.",
        file_class=None,
        finding=None,
        state=None,
        steps=await roots_in_words(source, path),
        asset=None,
        history=[],
        older=[],
    )


def _class(source: StatusSource, finding: PathFinding, known: Remembered) -> FileClass | None:
    """Return what became of a file: by its newest transfer, unless it changed and is not sent any more."""
    if finding.finding == Finding.FOLDER or (finding.file_class is not None and not finding.as_it_was):
        return finding.file_class
    if known.newest is not None and known.newest.state not in {State.SUPERSEDED, State.GONE}:
        return class_of(known.newest.state, syncing=is_syncing(source))
    if known.newest is not None and finding.finding == Finding.MISSING:
        return None
    return FileClass.SETTLING if finding.finding == Finding.MATCHED else finding.file_class


def _verdict(source: StatusSource, finding: PathFinding, known: Remembered) -> str:
    row, seen = known.newest, Finding(finding.finding)
    if seen in _NOT_SENT and not (finding.as_it_was and row is not None):
        return f"Not sent ({seen}): {finding.why}"
    if seen is Finding.FOLDER:
        return f"A folder; {count(known.below, 'file')} below it not synced."
    if row is None:
        return _unknown(seen, finding.why)
    if seen is Finding.WAITING:
        earlier = " An earlier version is synced." if row.state is State.SYNCED else ""
        return f"Waiting to be complete: {finding.why}{earlier}"
    return _gone(known.removal) if known.removal else _journaled(source, row, seen)


def _journaled(source: StatusSource, row: Transfer, seen: Finding) -> str:
    verdict = _of(source, row)
    if seen is Finding.MISSING and row.state is not State.GONE:
        return f"{verdict.rstrip('.')}. Its file is not there any more."
    return verdict


def _unknown(seen: Finding, why: str) -> str:
    match seen:
        case Finding.MISSING:
            return "There is no such file, and the journal never saw one."
        case Finding.WAITING:
            return f"Waiting to be complete: {why}"
        case _:
            return f"Not in the journal yet: {why}"


def _gone(removal: Removal) -> str:
    """Return the verdict on a file that was removed, and that Convex still shows."""
    match removal.state:
        case RemovalState.ASKED:
            return (
                "It is gone, with too many others at once: Convex shows it until `sidecar removal confirm`"
                " or `sidecar removal dismiss` tells what was meant."
            )
        case RemovalState.OWED:
            return "It is gone; Convex is still to be told."
        case RemovalState.REFUSED:
            return f"It is gone, and Convex goes on showing it: {removal.error}"


def _of(source: StatusSource, row: Transfer) -> str:
    """Return the verdict on a transfer by its state."""
    match row.state:
        case State.SYNCED:
            return (
                f"Synced: S3 holds it and Convex knows it as version {row.version}."
                if row.version
                else "Synced."
            )
        case State.READY:
            return f"Complete; {_progress(source, row)}"
        case State.UPLOADED:
            return _unsynced(source, row)
        case State.DEAD:
            return f"A dead letter, given up after {count(row.failures, 'attempt')}: {failure(row)}"
        case State.GONE:
            removed = "Removed: its file was deleted, and Convex gave its asset up."
            return removed if row.is_removed else "Deleted before it could be read."
        case _:
            abandoned = "Abandoned: " if row.state is State.ABANDONED else ""
            return f"{abandoned}{meaning(row)}.".capitalize()


def _unsynced(source: StatusSource, row: Transfer) -> str:
    if not is_syncing(source):
        return "In S3; Convex is not told, by convex.sync: off."
    if (missing := source.waits_for(row.route.slot.session_id, row.route.scene_id)) is not None:
        return f"In S3; Convex is told once it is there (convex.on_unknown_entity: wait): {missing}."
    return f"In S3; Convex is still to be told.{_trouble(source, 'convex')}"


def _progress(source: StatusSource, row: Transfer) -> str:
    if (obstacle := source.obstacle(row.display)) is not None:
        return f"waiting for its file to be readable. {obstacle}"
    if row.parked:
        return _PARKED
    trouble = _trouble(source, "s3")
    for upload in source.uploads():
        if upload.transfer_id == row.transfer_id and (upload.sent_bytes or not trouble):
            share = upload.sent_bytes / upload.size_bytes if upload.size_bytes else 0
            return f"uploading, {share:.0%} of {size(upload.size_bytes)} sent.{trouble}"
    return f"waiting for its upload.{trouble}"


def _trouble(source: StatusSource, remote: str) -> str:
    door = source.remotes.get(remote)
    return f" {door.reason}" if door is not None and door.reason else ""


def _now(finding: PathFinding) -> list[str]:
    rule = [f"It matches {finding.rule}."] if finding.rule else []
    return [*rule, f"Now: {finding.finding}: {finding.why}"]


def _so_far(source: StatusSource, known: Remembered) -> list[str]:
    if (row := known.newest) is None:
        return []
    state = meaning(row, syncing=is_syncing(source))
    steps = [f"Its newest transfer is {row.transfer_id}: {state}.", f"Its object key is {row.key}."]
    if row.state is State.READY:
        steps.append(f"It is {_progress(source, row)}")
    if row.error_kind is not None:
        steps.append(f"Its last error: {failure(row)}.")
    if row.state is State.DEAD:
        steps.append("`sidecar dead-letters requeue --path` sends it again once the cause is gone.")
    if len(known.rows) > 1:
        steps.append(f"Before it came {count(len(known.rows) - 1, 'transfer')}.")
    return steps
