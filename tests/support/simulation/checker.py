"""The invariants, told from the world, the bucket, the deployment and the journal's file alone.

Nothing of the daemon is imported here: rows are read with sqlite3, bytes are compared as bytes.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import closing
from typing import Any

from .history import History, Plan, live_through
from .scenarios import FOREIGN_KEYS

CONVERGED_SECONDS = 240.0  # after the last trouble: breaker, backoff, a slow call and the scene's quiet
Rows = dict[str, list[dict[str, Any]]]
FINAL = {"synced", "superseded", "gone"}


def problems(history: History) -> list[str]:
    """Return what is wrong with a history that has come to its end; nothing is the only good answer."""
    rows, damage = _read(history)
    found = [*history.problems, *damage, *torn(history), *_claims(history, rows)]
    if history.ending.how != "quiet":
        return [*found, f"I6: it ended {history.ending.how}"]
    return [
        *found,
        *_lost(history),
        *_doubled(history, rows),
        *_order(history),
        *_uploads(history),
        *_owed(history, rows),
        *_scenes(history),
        *_files(history),
    ]


def check(plan: Plan) -> tuple[list[str], int]:
    """Live a plan, looking at every crash and at the end; return what is wrong, and the number of lives."""
    history = live_through(plan, inspect=at_a_crash)
    try:
        return problems(history), len(history.effects)
    finally:
        history.close()


def at_a_crash(history: History) -> list[str]:
    """Return what must not even be wrong while the daemon lies dead."""
    rows, damage = _read(history)
    return [*damage, *torn(history), *_claims(history, rows)]


def torn(history: History) -> list[str]:
    """I2: no content was ever visible that was not one complete state of a file."""
    states = {state for states in history.outside.world.states.values() for state in states}
    return [
        f"I2: {key} showed {content[:20]!r}... ({len(content)} bytes)"
        for key, content in history.outside.bucket.seen
        if content not in states
    ]


def _read(history: History) -> tuple[Rows, list[str]]:
    """Return the journal's tables, and what SQLite finds wrong with its file."""
    with closing(sqlite3.connect(history.outside.world.folder / "journal.db")) as journal:
        journal.row_factory = sqlite3.Row
        rows = {
            table: [dict(row) for row in journal.execute(f"SELECT * FROM {table}")]  # noqa: S608 - our names
            for table in ("transfers", "outbox", "debts", "parts")
        }
        said = [row[0] for row in journal.execute("PRAGMA integrity_check")]
    return rows, [] if said == ["ok"] else [f"I5: {line}" for line in said]


def _claims(history: History, rows: Rows) -> list[str]:
    """I5: the journal never says more than S3 and Convex know."""
    bucket, deployment, found = history.outside.bucket, history.outside.deployment, []
    told = {row["transfer"] for row in deployment.versions}
    for row in rows["transfers"]:
        if row["state"] in {"uploaded", "synced"} and row["key"] not in bucket.objects:
            found.append(f"I5: {row['state']} {row['key']} is no object")
        if row["state"] == "synced" and row["transfer"] not in told:
            found.append(f"I5: {row['transfer']} is synced, and Convex has no version of it")
    uploads = {row["id"]: row["upload_id"] for row in rows["transfers"]}
    for row in rows["parts"]:
        upload = bucket.uploads.get(uploads.get(row["transfer"]) or "")
        if upload is not None and row["number"] not in upload.parts:
            found.append(f"I5: part {row['number']} of {row['transfer']} is not at S3")
    return found


def _lost(history: History) -> list[str]:
    """I1: the last complete state of every file is what its slot shows, byte by byte."""
    world, found = history.outside.world, []
    for path, place in world.present().items():
        shown = history.outside.deployment.assets.get(place.slot)
        if shown is None:
            found.append(f"I1: Convex shows nothing of {path}")
            continue
        object_ = history.outside.bucket.objects.get(shown["s3Key"])
        if object_ is None:
            found.append(f"I1: {path} is shown as {shown['s3Key']}, which is no object")
        elif object_[1] != world.states[path][-1] or shown["size"] != len(object_[1]):
            found.append(f"I1: {path} is shown with other bytes than its last ones")
    return found


def _doubled(history: History, rows: Rows) -> list[str]:
    """I3: one object and one version for each transfer that counts; no object and no version beside them."""
    bucket, deployment = history.outside.bucket, history.outside.deployment
    objects = Counter(spec.metadata["transfer"] for spec, _ in bucket.objects.values())
    versions = Counter(row["transfer"] for row in deployment.versions)
    found = [
        f"I3: {row['transfer']} ({row['state']}) has {objects[row['transfer']]} objects and"
        f" {versions[row['transfer']]} versions"
        for row in rows["transfers"]
        if row["state"] == "synced" and (objects[row["transfer"]], versions[row["transfer"]]) != (1, 1)
    ]
    found += [f"I3: object of {name} has no version" for name in objects if not versions[name]]
    found += [
        f"I3: version {row['version']} of {row['slot'][-1]} has no object {row['s3Key']}"
        for row in deployment.versions
        if row["s3Key"] not in bucket.objects
    ]
    found += [f"I3: {key} was sent {times} times" for key, times in _times_sent(history).items() if times > 1]
    found += [f"I3: op {op} took effect {n} times" for op, n in _times_heard(history).items() if n > 1]
    for path, place in history.outside.world.places.items():
        shown = [row["s3Key"] for row in deployment.versions if row["slot"] == place.slot]
        contents = [bucket.objects[key][1] for key in shown if key in bucket.objects]
        if not _in_order(contents, history.outside.world.states.get(path, [])):
            found.append(f"I3: the versions of {path} are not its contents in their order")
    return found


def _times_sent(history: History) -> Counter[str]:
    """How often each key became visible: each time is a version where there is versioning."""
    return Counter(key for key, _ in history.outside.bucket.seen if not key.startswith("fixed/"))


def _times_heard(history: History) -> Counter[tuple[int, int]]:
    heard = history.outside.deployment.heard
    return Counter((op.epoch, op.seq) for op in heard if op.outcome != "stale")


def _in_order(contents: list[bytes], states: list[bytes]) -> bool:
    remaining = iter(states)
    return all(any(content == state for state in remaining) for content in contents)


def _order(history: History) -> list[str]:
    """That a scene is ready was told after everything that was said of the scene before."""
    found, facts = [], dict[tuple[str, str], tuple[int, int]]()
    for heard in history.outside.deployment.heard:
        if heard.scene is None or heard.outcome == "stale":
            continue
        if (heard.epoch, heard.seq) < facts.get(heard.scene, (0, 0)):
            found.append(f"facts {facts[heard.scene]} of {heard.scene} were told before op {heard.seq}")
        if heard.kind == "facts" and heard.is_good:  # bad news overtakes a dead letter
            facts[heard.scene] = (heard.epoch, heard.seq)
    return found


def _uploads(history: History) -> list[str]:
    """I4: nothing of ours is open; what others have open is untouched."""
    bucket = history.outside.bucket
    found = [
        f"I4: upload {upload_id} of {upload.spec.key} is open"
        for upload_id, upload in bucket.uploads.items()
        if upload.spec.key not in FOREIGN_KEYS
    ]
    still = {upload.spec.key for upload in bucket.uploads.values()}
    before = set(FOREIGN_KEYS) if history.plan.scenario == "foreign" else set()
    return found + [f"I4: the foreign upload of {key} was aborted" for key in sorted(before - still)]


def _owed(history: History, rows: Rows) -> list[str]:
    """I6: nothing is owed, and it did not take long."""
    found = [
        f"I6: {row['transfer']} is still {row['state']}"
        for row in rows["transfers"]
        if row["state"] not in FINAL
    ]
    found += [f"I6: op {row['seq']} ({row['kind']}) is still {row['state']}" for row in rows["outbox"]]
    found += [f"I6: a debt is left: {row['key']}" for row in rows["debts"]]
    began, last = history.spans[-1]
    took = last - max(began, history.scenario.settled_at)
    return found + ([f"I6: it took {took:.0f} s"] if took > CONVERGED_SECONDS else [])


def _scenes(history: History) -> list[str]:
    """The scenes are shown as complete, with nothing owed and no error."""
    found = []
    for scene in sorted(history.outside.world.scenes()):
        facts = history.outside.deployment.facts.get(("demo/lesson", scene))
        if facts is None or not facts["complete"] or facts["owed"] or facts["error"]:
            found.append(f"I6: scene {scene} is shown as {facts}")
    return found


def _files(history: History) -> list[str]:
    """I8: files are there, unless they were to be deleted: then nothing is left of them."""
    root = history.outside.world.root
    there = {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}
    named = {path for path in there if not path.rpartition("/")[2].startswith(".")}
    expected = set() if history.scenario.tidy else set(history.outside.world.present())
    odd = {path for path in there - named if path.rpartition("/")[2] not in {".complete", ".cancelled"}}
    return [f"I8: {path} is there or gone against all expectation" for path in sorted(named ^ expected | odd)]
