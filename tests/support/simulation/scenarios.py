"""What the renderer, the remotes and the operator do in each history. Times are virtual seconds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sidecar.core.model import AssetType
from sidecar.upload.store import ObjectSpec
from tests.support.memory_store import Upload

from .convex import Deployment
from .journal import BUCKET, TAG
from .s3 import Bucket
from .world import Place, Step, World

FOREIGN_KEYS = ("other/0123456789ABCDEFGHJKMNPQRS.mp4", "demo/lesson/s1/plain.mp4", "tool.bin")
FORGOTTEN_KEY = f"demo/lesson/s9/film.mp4.01JZZZZZZZ12345678{TAG}"
SMALL = Place(scene="s1", name="chunk_001.mp4")
FILM = Place(scene="s1", name="film.mp4")
THUMB = Place(scene="s1", name="thumb.png", kind=AssetType.THUMBNAIL)
FIXED = Place(scene="s1", name="film.mp4", fixed=True)
OTHER = Place(scene="s2", name="chunk_001.mp4")
MANIFEST = Place(scene="s1", name="manifest.json", kind=AssetType.MANIFEST)
Outage = Callable[[str, float, int], str | None]


def _calm(_name: str, _now: float, _nth: int) -> str | None:
    return None


def _nothing_there(_bucket: Bucket, _deployment: Deployment) -> None:
    """The bucket and the deployment are empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """``trouble`` spoils calls (name, time, how often that name was called); it is over at ``calm_at``."""

    steps: Sequence[Step]
    trouble: Outage = _calm
    calm_at: float = 0.0
    prepare: Callable[[Bucket, Deployment], None] = _nothing_there
    tidy: bool = False

    @property
    def settled_at(self) -> float:
        """From here on nothing is in the daemon's way."""
        return max([self.calm_at, *(step.at for step in self.steps if step.at is not None)])


def text(word: str, size: int) -> bytes:
    """Return bytes that name themselves and differ in every part."""
    return b"".join(b"%s %d\n" % (word.encode(), n) for n in range(size // 4))[:size]


A, B, C = (text(word, 300) for word in "ABC")
LONG_A, LONG_B = (text(word, 3500) for word in ("LA", "LB"))  # four parts


def write(
    place: Place, content: bytes, at: float = 0.0, *, in_place: bool = False, complete: bool = True
) -> Step:
    """Write a file at a time."""
    return Step(at=at, act=lambda w: w.write(place, content, in_place=in_place, complete=complete))


def during(call: str, act: Callable[[World], None], nth: int = 1) -> Step:
    """Do something while a call is on its way."""
    return Step(call=call, nth=nth, act=act)


def down(prefix: str, begin: float, end: float, how: str = "lost-before") -> Outage:
    """All calls of a remote (or one kind of them) fail for a while."""
    return lambda name, now, _nth: how if name.startswith(prefix) and begin <= now < end else None


def once(call: str, nth: int, how: str) -> Outage:
    """Spoil one call."""
    return lambda name, _now, n: how if (name, n) == (call, nth) else None


def _from_part(nth: int, until: float) -> Outage:
    """S3 goes away in the middle of a multipart upload."""
    return lambda name, now, n: "lost-before" if now < until and name == "s3.part" and n >= nth else None


def _foreign(bucket: Bucket, _deployment: Deployment) -> None:
    for key in (*FOREIGN_KEYS, FORGOTTEN_KEY):
        spec = ObjectSpec(bucket=BUCKET, key=key, content_type="x/y", cache_control=None, metadata={})
        bucket.uploads[f"before-{key}"] = Upload(spec)


def _refusing(_bucket: Bucket, deployment: Deployment) -> None:
    deployment.refused[SMALL.name] = "SOME_CODE"


def _relent(world: World) -> None:
    assert world.deployment is not None
    world.deployment.refused.clear()
    world.wish("requeue")


SCENARIOS: dict[str, Scenario] = {
    "small": Scenario(steps=[write(SMALL, A)]),
    "batch": Scenario(
        steps=[
            *(write(Place(scene="s1", name=f"chunk_{n:03}.mp4"), text(f"{n}", 100 + n)) for n in range(4)),
            write(THUMB, C),
            write(OTHER, B),
        ]
    ),
    "multipart": Scenario(steps=[write(FILM, LONG_A)]),
    "fixed-key": Scenario(steps=[write(FIXED, LONG_A)]),
    "resume": Scenario(steps=[write(FILM, LONG_A)], trouble=_from_part(3, 20), calm_at=20),
    "grow": Scenario(
        steps=[write(FILM, A, complete=False), write(FILM, LONG_A, 3, in_place=True)],
    ),
    "replace-ready": Scenario(
        steps=[write(SMALL, A), write(SMALL, B, 10)], trouble=down("s3.", 0, 30), calm_at=30
    ),
    "replace-synced": Scenario(steps=[write(SMALL, A), write(SMALL, B, 10), write(SMALL, C, 20)]),
    "replace-under-put": Scenario(
        steps=[write(SMALL, A), during("s3.put", lambda w: w.write(SMALL, B, in_place=True))]
    ),
    "swap-under-put": Scenario(steps=[write(SMALL, A), during("s3.put", lambda w: w.write(SMALL, B))]),
    "replace-under-part": Scenario(
        steps=[write(FILM, LONG_A), during("s3.part", lambda w: w.write(FILM, LONG_B, in_place=True), 4)]
    ),
    "big-then-small": Scenario(
        steps=[write(FILM, LONG_A), during("s3.part", lambda w: w.write(FILM, B), 3)],
    ),
    "aba": Scenario(steps=[write(SMALL, A), write(SMALL, B, 10), write(SMALL, A, 20)]),
    "aba-unsent": Scenario(
        steps=[write(SMALL, A), write(SMALL, B, 10), write(SMALL, A, 15)],
        trouble=down("s3.", 9, 40),
        calm_at=40,
    ),
    "aba-untold": Scenario(
        steps=[write(SMALL, A), write(SMALL, B, 10), write(SMALL, A, 15)],
        trouble=down("convex.", 9, 40),
        calm_at=40,
    ),
    "reply-lost": Scenario(
        steps=[write(SMALL, A), write(SMALL, B, 2)], trouble=once("convex.apply", 1, "lost-after")
    ),
    "delete-ready": Scenario(
        steps=[write(SMALL, A), write(THUMB, C), Step(at=10, act=lambda w: w.delete(SMALL))],
        trouble=down("s3.", 0, 30),
        calm_at=30,
    ),
    "delete-synced": Scenario(
        steps=[write(SMALL, A), write(THUMB, C), Step(at=10, act=lambda w: w.delete(SMALL))]
    ),
    "delete-under-part": Scenario(
        steps=[write(FILM, LONG_A), during("s3.part", lambda w: w.delete(FILM), 3)],
    ),
    "dead-told": Scenario(
        steps=[write(SMALL, A), write(THUMB, C), Step(at=40, act=_relent)], prepare=_refusing, calm_at=40
    ),
    "dead-sent": Scenario(
        steps=[write(SMALL, A), Step(at=100, act=lambda w: w.wish("requeue"))],
        trouble=down("s3.put", 0, 90, "refused-invalid"),
        calm_at=100,
    ),
    "dead-replaced": Scenario(
        steps=[
            write(SMALL, A),
            write(THUMB, C),
            write(SMALL, B, 30),
            write(SMALL, A, 50),
            Step(at=70, act=_relent),
        ],
        prepare=_refusing,
        calm_at=70,
    ),
    "marker": Scenario(
        steps=[
            write(SMALL, A),
            write(THUMB, C, 1),
            Step(at=2, act=lambda w: w.mark("s1")),
            write(SMALL, B, 30),
            Step(at=31, act=lambda w: w.mark("s1")),
        ]
    ),
    "manifest": Scenario(
        steps=[write(SMALL, A), write(OTHER, B), write(MANIFEST, b'{"scenes": 2}', 3)],
    ),
    "restart": Scenario(
        steps=[
            write(SMALL, A),
            write(THUMB, C),
            Step(at=30, act=lambda w: w.restart()),
            write(SMALL, B, 30.05),
            write(OTHER, C, 30.06),
        ]
    ),
    "tidy": Scenario(steps=[write(SMALL, A), write(THUMB, C), write(SMALL, B, 90)], tidy=True),
    "tidy-rewrite": Scenario(steps=[write(SMALL, A), write(SMALL, B, 60.8)], tidy=True),
    "foreign": Scenario(steps=[write(FILM, LONG_A)], prepare=_foreign),
}
