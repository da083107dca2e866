"""The invariants, told from the world, the bucket, the deployment and the journal's file alone.

Nothing of the daemon is imported here: rows are read with SQL, bytes are compared as bytes.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Sequence

from tests.support.memory_store import Upload

from .explore import Tally, explore
from .history import History, Plan, lived
from .rendering import FOREIGN_KEYS

CONVERGED_SECONDS = 240.0  # after the last trouble: breaker, backoff, a slow call and the scene's quiet
PUT_OFF_SECONDS = 60.0  # a clean-up that meets a fault, each beyond the first
FIXED_KEYS = "fixed/"  # what keys without a transfer's id begin with
FINAL = {"synced", "superseded", "gone"}
QUERIES = {
    "transfers": "SELECT id, transfer, state, key, upload_id FROM transfers",
    "outbox": "SELECT seq, kind, state FROM outbox",
    "debts": "SELECT key FROM debts WHERE due < 1e300",  # a drain leaves the last look to the next start
    "parts": "SELECT transfer, number FROM parts",
}
Rows = dict[str, list[sqlite3.Row]]


def problems(history: History) -> list[str]:
    """Return what is wrong with a history that has come to its end; nothing is the only good answer."""
    # A file in memory is as whole as its first life leaves it: only others are worth the time of all pages.
    rows, said = _read(history, whole=history.scenario.in_file or not history.plan.crashes)
    found = [*history.problems, *said, *torn(history), *_claims(history, rows)]
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
        *history.scenario.expects(history.outside),
    ]


def check(plan: Plan) -> tuple[list[str], int]:
    """Live a plan, looking at every crash and at the end; return what is wrong, and the number of lives."""
    with lived(plan, inspect=at_a_crash) as history:
        return problems(history), len(history.effects)


def check_everywhere(plan: Plan, *, crashes: int = 1, lives_max: int | None = None) -> Tally:
    """Live a plan, and on from every crash point of it, so many crashes deep, or so many lives."""
    return explore(plan, crashes=crashes, at_a_crash=at_a_crash, at_the_end=problems, lives_max=lives_max)


def at_a_crash(history: History) -> list[str]:
    """Return what must not even be wrong while the daemon lies dead."""
    rows, _ = _read(history)
    return [*torn(history), *_claims(history, rows)]


def torn(history: History) -> list[str]:
    """I2: no content was ever visible that was not one complete state of a file."""
    states = {state for states in history.outside.world.states.values() for state in states}
    return [
        f"I2: {key} showed {content[:20]!r}... ({len(content)} bytes)"
        for key, content in history.outside.bucket.shown
        if content not in states
    ]


def _read(history: History, *, whole: bool = False) -> tuple[Rows, list[str]]:
    """Return what the journal says and, of the ``whole`` of its file, what SQLite finds wrong."""
    outside = history.outside
    if outside.image is None:
        return {table: [] for table in QUERIES}, []
    journal = outside.ledger.look(outside.image)
    rows = {table: journal.execute(query).fetchall() for table, query in QUERIES.items()}
    said = [row[0] for row in journal.execute("PRAGMA integrity_check")] if whole else ["ok"]
    return rows, [] if said == ["ok"] else [f"I5: {line}" for line in said]


def _claims(history: History, rows: Rows) -> list[str]:
    """I5: the journal never says more than S3 and Convex know."""
    bucket, deployment, found = history.outside.bucket, history.outside.deployment, []
    told = {row.transfer for row in deployment.rows.values()}
    given_up = _given_up(history)
    for row in rows["transfers"]:
        if row["key"] in history.outside.disturbed:
            continue
        is_object = row["key"] in bucket.objects or row["transfer"] in given_up
        if row["state"] in {"uploaded", "synced"} and not is_object:
            found.append(f"I5: {row['state']} {row['key']} is no object")
        if row["state"] == "synced" and row["transfer"] not in told:
            found.append(f"I5: {row['transfer']} is synced, and Convex has no version of it")
    uploads = {row["id"]: row["upload_id"] for row in rows["transfers"]}
    for row in rows["parts"]:
        upload = bucket.uploads.get(uploads.get(row["transfer"]) or "")
        if upload is not None and row["number"] not in upload.parts:
            found.append(f"I5: part {row['number']} of {row['transfer']} is not at S3")
    return found


def _given_up(history: History) -> set[str]:
    """Return the transfers whose versions are marked as expired."""
    deployment = history.outside.deployment
    return {deployment.rows[name].transfer for name in deployment.expired}


def _lost(history: History) -> list[str]:
    """I1: the last complete state of every file is what its slot shows, byte by byte."""
    world, found = history.outside.world, []
    for path, place in world.present().items():
        shown = history.outside.deployment.assets.get(place.slot)
        if shown is None:
            found.append(f"I1: Convex shows nothing of {path}")
            continue
        object_ = history.outside.bucket.objects.get(shown.key)
        if object_ is None:
            found.append(f"I1: {path} is shown as {shown.key}, which is no object")
        elif object_[1] != world.states[path][-1] or shown.size_bytes != len(object_[1]):
            found.append(f"I1: {path} is shown with other bytes than its last ones")
    return found


def _doubled(history: History, rows: Rows) -> list[str]:
    """I3: one object and one version for each transfer that counts; no object and no version beside them."""
    bucket, deployment = history.outside.bucket, history.outside.deployment
    objects = Counter(spec.metadata["transfer"] for spec, _ in bucket.objects.values())
    versions = Counter(row.transfer for row in deployment.rows.values())
    given_up = _given_up(history)
    found = [
        f"I3: {row['transfer']} ({row['state']}) has {objects[row['transfer']]} objects and"
        f" {versions[row['transfer']]} versions"
        for row in rows["transfers"]
        if row["state"] == "synced"
        and row["transfer"] not in given_up
        and (objects[row["transfer"]], versions[row["transfer"]]) != (1, 1)
    ]
    found += [f"I3: object of {name} has no version" for name in objects if not versions[name]]
    found += [
        f"I3: version {row.version} of {row.slot[-1]} has no object {row.key}"
        for name, row in deployment.rows.items()
        if row.key not in bucket.objects and name not in deployment.expired
    ]
    found += [f"I3: {key} was sent {times} times" for key, times in _times_sent(history).items() if times > 1]
    found += [f"I3: op {op} took effect {n} times" for op, n in _times_heard(history).items() if n > 1]
    for path, place in history.outside.world.places.items():
        shown = [row.key for row in deployment.rows.values() if row.slot == place.slot]
        contents = [bucket.objects[key][1] for key in shown if key in bucket.objects]
        if not _in_order(contents, history.outside.world.states.get(path, ())):
            found.append(f"I3: the versions of {path} are not its contents in their order")
    return found


def _times_sent(history: History) -> Counter[str]:
    """How often each key became visible: each time is a version where there is versioning."""
    disturbed = history.outside.disturbed
    shown = [key for key, _ in history.outside.bucket.shown if key not in disturbed]
    return Counter(key for key in shown if not key.startswith(FIXED_KEYS))


def _times_heard(history: History) -> Counter[tuple[int, int]]:
    heard = history.outside.deployment.heard
    return Counter((op.epoch, op.seq) for op in heard if op.outcome != "stale")


def _in_order(contents: Sequence[bytes], states: Sequence[bytes]) -> bool:
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
        if upload.spec.key not in FOREIGN_KEYS and not _is_left_to_the_rule(history, upload_id, upload)
    ]
    still = {upload.spec.key for upload in bucket.uploads.values()}
    before = set(FOREIGN_KEYS) if history.plan.scenario == "foreign" else set()
    return found + [f"I4: the foreign upload of {key} was aborted" for key in sorted(before - still)]


def _is_left_to_the_rule(history: History, upload_id: str, upload: Upload) -> bool:
    """The one limit of I4: nothing tells whose the second upload of a doubled Create is; it must be empty."""
    is_fixed = upload.spec.key.startswith(FIXED_KEYS)
    return upload_id in history.outside.doubled and is_fixed and not upload.parts


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
    most = CONVERGED_SECONDS + PUT_OFF_SECONDS * max(0, len(history.plan.faults) - 1)
    return found + ([f"I6: it took {took:.0f} s"] if took > most else [])


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
    there = {path: path.rpartition("/")[2] for path in history.outside.world.files()}
    named = {path for path, name in there.items() if not name.startswith(".")}
    expected = set() if history.scenario.tidy else set(history.outside.world.present())
    odd = {path for path in there.keys() - named if there[path] not in {".complete", ".cancelled"}}
    return [f"I8: {path} is there or gone against all expectation" for path in sorted(named ^ expected | odd)]
