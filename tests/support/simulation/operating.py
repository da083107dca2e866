"""What an operator, a supervisor and a failing disk do: stops, lost journals, repairs, removals."""

from __future__ import annotations

from collections import Counter

from sidecar.core.ids import transfer_id
from sidecar.upload.store import ObjectSpec
from tests.support.memory_store import Upload

from .ledger import BUCKET, TAG
from .outside import Outside, Step
from .rendering import FILM, LONG_A, LONG_B, OTHER, SMALL, THUMB, A, B, C
from .scenario import Scenario, delete, down, during, mark, wish, write
from .world import Place

HOUR_MS = 3_600_000
ORPHAN = transfer_id(wall_ms=1, chance=b"12345", tag=TAG)
ORPHAN_KEY = f"demo/lesson/s1/video_chunk/chunk_009.mp4.{ORPHAN}"


# -- the journal ----------------------------------------------------------------------------------
def _loses(outside: Outside) -> None:
    outside.image = None


def _loses_with_a_scene(outside: Outside) -> None:
    """Nobody but Convex knows of the scene any more."""
    outside.image = None
    outside.world.delete(OTHER)


def _spoils(outside: Outside) -> None:
    """A page in the middle is not what was written."""
    if outside.image is not None:
        middle = len(outside.image) // 8192 * 4096
        outside.image = outside.image[:4096] + b"\xff" * (middle - 4096) + outside.image[middle:]


def _restores(outside: Outside) -> None:
    """Somebody puts an old copy back, if Convex can know that it is one."""
    if outside.backup is None:
        return
    told = [row.seq for row in outside.deployment.applied.values()]
    copy = outside.ledger.look(outside.backup)
    (given,) = copy.execute("SELECT max(seq) FROM sqlite_sequence WHERE name = 'outbox'").fetchone()
    if max(told, default=0) > (given or 0):
        outside.image = outside.backup


def _nothing_sent_twice(outside: Outside) -> list[str]:
    """What is in S3 is found there, not sent again."""
    sent = Counter(content for _, content in outside.bucket.shown)
    return [f"{content[:12]!r}... was sent {times} times" for content, times in sent.items() if times > 1]


def _nothing_is_unsaid(outside: Outside) -> list[str]:
    """Scenes that were shown as complete stay so, since nothing new comes to them."""
    found, good = _nothing_sent_twice(outside), set[tuple[str, str]]()
    for heard in outside.deployment.heard:
        if heard.kind == "facts" and heard.scene is not None and heard.outcome != "stale":
            if heard.scene in good and not heard.is_good:
                found.append(f"scene {heard.scene} was shown as complete, and then as not")
            good |= {heard.scene} if heard.is_good else set()
    return found


def _none_is_left_unfinished(outside: Outside) -> list[str]:
    """Every scene that Convex was told of comes to an end."""
    facts = outside.deployment.facts
    return [f"scene {scene} is on its way for ever" for scene in facts if facts[scene]["owed"]]


# -- what does not fit ----------------------------------------------------------------------------
def _disagree(outside: Outside) -> None:
    """S3 loses an object, Convex a row, and somebody's leftovers carry our tag."""
    outside.tell_time(outside.now)
    for name, row in list(outside.deployment.rows.items()):
        if row.slot == SMALL.slot:
            outside.disturbed.add(row.key)
            outside.bucket.objects.pop(row.key, None)
        elif row.slot == THUMB.slot:
            outside.disturbed.add(row.key)
            del outside.deployment.rows[name], outside.deployment.assets[row.slot]
            del outside.deployment.last[row.slot]
    metadata = {"transfer": ORPHAN}
    spec = ObjectSpec(
        bucket=BUCKET, key=ORPHAN_KEY, content_type="video/mp4", cache_control=None, metadata=metadata
    )
    outside.bucket.objects[ORPHAN_KEY] = (spec, C)
    outside.bucket.modified_ms[ORPHAN_KEY] = outside.bucket.now_ms - 2 * HOUR_MS
    outside.bucket.uploads["upload-of-old"] = Upload(spec)


def _forgets_soon(outside: Outside) -> None:
    """A scene's history is short here, so that few versions are enough for retention."""
    outside.deployment.history_max = 1


def _first_is_retired(outside: Outside) -> list[str]:
    objects = {content for _, content in outside.bucket.objects.values()}
    old = outside.deployment.last.get(SMALL.slot, 0) > outside.deployment.history_max + 1
    is_retired = outside.deployment.expired and A not in objects
    return ["nothing was retired"] if old and not is_retired else []


# -- removal --------------------------------------------------------------------------------------
def _is_removed(outside: Outside) -> list[str]:
    return ["a removed asset is still shown"] if outside.shows_removed("tombstone") else []


def _is_deleted(outside: Outside) -> list[str]:
    left = [key for key, (_, content) in outside.bucket.objects.items() if content == A]
    return [*_is_removed(outside), *(f"{key} is still there" for key in left)]


def _before(outside: Outside) -> None:
    """A container starts beside a folder that is full."""
    for place, content in ((SMALL, A), (THUMB, C), (FILM, LONG_A), (OTHER, B)):
        outside.write(place, content)
    outside.world.mark("s2", at_ns=outside.now_ns)


RESTART = Step(at=30, act=lambda o: o.restart())
OPERATING: dict[str, Scenario] = {
    "start-up": Scenario(
        prepare=_before,
        steps=[
            RESTART,
            write(SMALL, B, 30.02),
            delete(THUMB, 30.03),
            write(Place(scene="s3", name="new.mp4"), C, 30.04),
        ],
    ),
    "drain": Scenario(
        steps=[write(SMALL, A), write(FILM, LONG_A), during("s3.part", lambda o: o.drain(), 2)],
        in_file=True,
    ),
    "drain-in-vain": Scenario(
        steps=[write(SMALL, A), Step(at=5, act=lambda o: o.drain())],
        trouble=down("s3.", 0, 60),
        calm_at=60,
        in_file=True,
    ),
    "journal-lost": Scenario(
        steps=[
            write(SMALL, A),
            write(FILM, LONG_A, 1),
            write(OTHER, B, 1),
            mark("s2", 2),
            Step(at=100, act=lambda o: o.restart()),  # the scenes are complete by then
        ],
        befalls=_loses,
        expects=_nothing_is_unsaid,
        in_file=True,
    ),
    "journal-lost-with-a-scene": Scenario(
        steps=[
            write(SMALL, A),
            write(OTHER, B),
            RESTART,  # before the quiet that completes a scene
            wish("reconcile", 4000),  # what only the lost journal knew of is an orphan after an hour
        ],
        befalls=_loses_with_a_scene,
        expects=_none_is_left_unfinished,
        reconciles=True,
        in_file=True,
    ),
    "journal-spoilt": Scenario(
        steps=[
            write(SMALL, A),
            write(SMALL, B, 10),
            RESTART,
            write(THUMB, C, 30.05),
            wish("reconcile", 4000),  # what only the lost journal knew of is an orphan after an hour
        ],
        befalls=_spoils,
        reconciles=True,
        in_file=True,
    ),
    "journal-restored": Scenario(
        steps=[
            write(SMALL, A),
            Step(at=5, act=lambda o: o.back_up()),
            write(SMALL, B, 10),
            write(THUMB, C, 11),
            RESTART,
            wish("reconcile", 4000),  # what the copy does not know of is an orphan after an hour
        ],
        befalls=_restores,
        reconciles=True,
        in_file=True,
    ),
    "reconcile": Scenario(
        steps=[
            write(SMALL, A),
            write(THUMB, C),
            write(OTHER, B),
            Step(at=20, act=_disagree),
            wish("reconcile", 21),
        ],
        reconciles=True,
        in_file=True,
    ),
    "retention": Scenario(
        prepare=_forgets_soon,
        steps=[write(SMALL, A), write(SMALL, B, 10), write(SMALL, C, 20), wish("reconcile", 200)],
        expects=_first_is_retired,
        reconciles=True,
        in_file=True,
    ),
    "removal-tombstone": Scenario(
        steps=[write(SMALL, A), write(THUMB, C), delete(SMALL, 10)],
        removal="tombstone",
        expects=_is_removed,
    ),
    "removal-delete": Scenario(
        steps=[write(SMALL, A), write(THUMB, C), delete(SMALL, 10), mark("s1", 11)],
        removal="delete",
        expects=_is_deleted,
    ),
    "removal-undone": Scenario(
        steps=[
            write(FILM, LONG_A),
            delete(FILM, 10),
            during("convex.apply", lambda o: o.write(FILM, LONG_B), 3),
        ],
        removal="delete",
    ),
}
