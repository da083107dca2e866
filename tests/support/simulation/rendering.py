"""What the renderer does while the remotes are well, or not."""

from __future__ import annotations

from sidecar.core.model import AssetType
from sidecar.upload.store import ObjectSpec
from tests.support.memory_store import Upload

from .ledger import BUCKET, TAG
from .outside import Outside, Step
from .scenario import Scenario, delete, down, during, from_part, mark, once, text, wish, write
from .world import Place

FOREIGN_KEYS = ("other/0123456789ABCDEFGHJKMNPQRS.mp4", "demo/lesson/s1/plain.mp4", "tool.bin")
FORGOTTEN_KEY = f"demo/lesson/s9/film.mp4.01JZZZZZZZ12345678{TAG}"
SMALL = Place(scene="s1", name="chunk_001.mp4")
FILM = Place(scene="s1", name="film.mp4")
THUMB = Place(scene="s1", name="thumb.png", kind=AssetType.THUMBNAIL)
FIXED = Place(scene="s1", name="film.mp4", fixed=True)
OTHER = Place(scene="s2", name="chunk_001.mp4")
MANIFEST = Place(scene="s1", name="manifest.json", kind=AssetType.MANIFEST)
A, B, C = (text(word, 300) for word in "ABC")
LIGHT_A, LIGHT_B = (text(word, 60) for word in ("a", "b"))  # in one body that is read with its opening
LONG_A, LONG_B = (text(word, 3500) for word in ("LA", "LB"))  # four parts


def _foreign(outside: Outside) -> None:
    for key in (*FOREIGN_KEYS, FORGOTTEN_KEY):
        spec = ObjectSpec(bucket=BUCKET, key=key, content_type="x/y", cache_control=None, metadata={})
        outside.bucket.uploads[f"before-{key}"] = Upload(spec)


def _refusing(outside: Outside) -> None:
    outside.deployment.refused[SMALL.name] = "SOME_CODE"


def _relent(outside: Outside) -> None:
    outside.deployment.refused.clear()
    outside.wish("requeue")


RENDERING: dict[str, Scenario] = {
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
    "resume": Scenario(steps=[write(FILM, LONG_A)], trouble=from_part(3, 20), calm_at=20),
    "grow": Scenario(
        steps=[write(FILM, A, complete=False), write(FILM, LONG_A, 3, in_place=True)],
    ),
    "replace-ready": Scenario(
        steps=[write(SMALL, A), write(SMALL, B, 10)], trouble=down("s3.", 0, 30), calm_at=30
    ),
    "light-replaced": Scenario(
        steps=[
            write(SMALL, LIGHT_A),
            write(SMALL, LIGHT_B, 10),
            during("s3.put", lambda o: o.write(SMALL, LIGHT_A, in_place=True), 2),
        ],
        trouble=down("s3.", 0, 30),
        calm_at=30,
    ),
    "light-deleted": Scenario(
        steps=[write(SMALL, LIGHT_A), write(THUMB, LIGHT_B), delete(SMALL, 10)],
        trouble=down("s3.", 0, 30),
        calm_at=30,
    ),
    "replace-synced": Scenario(steps=[write(SMALL, A), write(SMALL, B, 10), write(SMALL, C, 20)]),
    "replace-under-put": Scenario(
        steps=[write(SMALL, A), during("s3.put", lambda o: o.write(SMALL, B, in_place=True))]
    ),
    "swap-under-put": Scenario(steps=[write(SMALL, A), during("s3.put", lambda o: o.write(SMALL, B))]),
    "replace-under-part": Scenario(
        steps=[write(FILM, LONG_A), during("s3.part", lambda o: o.write(FILM, LONG_B, in_place=True), 4)]
    ),
    "big-then-small": Scenario(
        steps=[write(FILM, LONG_A), during("s3.part", lambda o: o.write(FILM, B), 3)],
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
        steps=[write(SMALL, A), write(THUMB, C), delete(SMALL, 10)],
        trouble=down("s3.", 0, 30),
        calm_at=30,
    ),
    "delete-synced": Scenario(steps=[write(SMALL, A), write(THUMB, C), delete(SMALL, 10)]),
    "delete-under-part": Scenario(
        steps=[write(FILM, LONG_A), during("s3.part", lambda o: o.world.delete(FILM), 3)],
    ),
    "dead-told": Scenario(
        steps=[write(SMALL, A), write(THUMB, C), Step(at=40, act=_relent)], prepare=_refusing, calm_at=40
    ),
    "taken-back": Scenario(
        steps=[write(SMALL, A), write(THUMB, C), Step(at=40, act=_relent)],
        prepare=_refusing,
        calm_at=40,
        takes_back=True,
    ),
    "dead-sent": Scenario(
        steps=[write(SMALL, A), wish("requeue", 100)],
        trouble=down("s3.put", 0, 90, "refused-corrupt"),
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
            mark("s1", 2),
            write(SMALL, B, 30),
            mark("s1", 31),
        ]
    ),
    "manifest": Scenario(
        steps=[write(SMALL, A), write(OTHER, B), write(MANIFEST, b'{"scenes": 2}', 3)],
    ),
    "restart": Scenario(
        steps=[
            write(SMALL, A),
            write(THUMB, C),
            Step(at=30, act=lambda o: o.restart()),
            write(SMALL, B, 30.05),
            write(OTHER, C, 30.06),
        ]
    ),
    "tidy": Scenario(steps=[write(SMALL, A), write(THUMB, C), write(SMALL, B, 90)], tidy=True),
    "tidy-rewrite": Scenario(steps=[write(SMALL, A), write(SMALL, B, 60.8)], tidy=True),
    "prune": Scenario(
        steps=[
            write(SMALL, A),
            write(SMALL, B, 10),
            delete(SMALL, 50),
            write(SMALL, B, 200),  # by now the journal knows nothing of it, and Convex shows it
        ],
        prune=True,
    ),
    "foreign": Scenario(steps=[write(FILM, LONG_A)], prepare=_foreign),
}
