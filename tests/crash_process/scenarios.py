"""What a renderer does while the daemon dies and lives: each is a script that any kill may interrupt."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .lab import MIB, Case

Script = Callable[[Case], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """``alone``: it changes what the lives of a server share, so no two of it run at once.

    ``rescan`` is the least time between two listings.
    """

    name: str
    script: Script
    settings: dict[str, Any] = field(default_factory=dict)
    alone: bool = False
    rescan: str = "30s"


def blob(size: int, seed: object) -> bytes:
    """Return bytes that no structure check takes for anything."""
    return random.Random(str(seed)).randbytes(size)


def text(seed: object) -> bytes:
    """Return a small complete file."""
    return f"# {seed}\nprint({random.Random(str(seed)).random()})\n".encode()


def _source(case: Case, scene: int, name: str = "scene.py") -> str:
    return f"{case.name}/lesson/s{scene}/source/{name}"


def _video(case: Case, scene: int = 1, name: str = "c1.mp4") -> str:
    return f"{case.name}/lesson/s{scene}/video/{name}"


def _alive(case: Case) -> None:
    case.until("the daemon is ready", lambda: case.ask("/readyz") is not None)


def small(case: Case) -> None:
    """Write three small files into folders that did not exist."""
    _alive(case)
    for n in range(3):
        case.write(_source(case, n), text(n))


def multipart(case: Case) -> None:
    """Write one file of three parts."""
    case.write(_video(case), blob(12 * MIB, "a"))


def two_multiparts(case: Case) -> None:
    """Write two files of parts beside a small one: parts of both are on their way at once."""
    _alive(case)
    case.write(_video(case, 1), blob(11 * MIB, "a"))
    case.write(_video(case, 2), blob(10 * MIB, "b"))
    case.write(_source(case, 2), text("c"))


def replace(case: Case) -> None:
    """Put newer content in place after each was announced."""
    for n in range(3):
        case.write(_source(case, 1), text(n))
        case.until(f"version {n + 1} is synced", lambda: case.synced(_source(case, 1)))


def a_b_a(case: Case) -> None:
    """Come back to content that was announced before: three versions."""
    for n in (0, 1, 0):
        case.write(_source(case, 1), text(n))
        case.until("it is synced", lambda: case.synced(_source(case, 1)))


def overtake(case: Case) -> None:
    """Put newer content in place while parts of the older one are on their way."""
    path = _video(case)
    case.write(path, blob(12 * MIB, "old"))
    case.until("an upload is under way", lambda: case.has("SELECT 1 FROM transfers WHERE may_upload") or
               case.synced(path))  # fmt: skip
    case.write(path, blob(11 * MIB, "new"))


def overtake_small(case: Case) -> None:
    """Replace a file again and again, waiting for nothing."""
    path = _source(case, 1)
    for n in range(6):
        case.write(path, text(n))
        case.until("it was seen", lambda: case.has("SELECT 1 FROM files"))


def batch(case: Case) -> None:
    """Write many files of one session: their ops share calls."""
    _alive(case)
    for n in range(16):
        case.write(_source(case, n % 4, f"f{n}.py"), text(n))
    case.write(f"{case.name}/lesson/manifest.json", b'{"scenes": 4}')


def scan(case: Case) -> None:
    """Find at the start what lies there."""
    for n in range(10):
        case.write(_source(case, n), text(n))
    case.write(_video(case), blob(6 * MIB, "v"))


def grow(case: Case) -> None:
    """Let a file grow under an open writer; only the closed one is complete."""
    _alive(case)
    path, data = _video(case, name="c1.webm"), blob(6 * MIB, "grow")
    (case.root / path).parent.mkdir(parents=True)
    case.state(path, data)
    with (case.root / path).open("wb", buffering=0) as file:
        for start in range(0, len(data), MIB):
            file.write(data[start : start + MIB])
            os.fsync(file.fileno())
    case.seal(path)


REFUSAL = {
    "action": "error",
    "path": "sidecar:applyAssets",
    "times": 1_000_000,
    "status": 200,
    "body": '{"status":"error","errorMessage":"no","errorData":{"code":"INVALID","message":"no"}}',
}


def dead_letter(case: Case) -> None:
    """Let Convex refuse an asset for good, then requeue it."""
    case.lab.convex.control("faults", [REFUSAL])
    try:
        case.write(_source(case, 1), text(1))
        case.until("it is a dead letter", lambda: case.has("SELECT 1 FROM transfers WHERE state = 'dead'"))
    finally:
        case.lab.convex.control("faults", [])
    case.until("it is requeued", lambda: bool(
        (case.ask("/dead-letters/requeue", {"all": True}) or {}).get("requeued")
        or not case.has("SELECT 1 FROM transfers WHERE state = 'dead'")
    ))  # fmt: skip


def drain(case: Case) -> None:
    """Write, and end the daemon: it ships what is owed first."""
    for n in range(4):
        case.write(_source(case, n), text(n))
    case.write(_video(case), blob(6 * MIB, "v"))
    case.drain()


def delete(case: Case) -> None:
    """Let synced files be deleted: never one whose bytes are not at S3 and told to Convex."""
    for n in range(3):
        case.deleted.add(_source(case, n))
        case.write(_source(case, n), text(n))
    case.until("the files are gone", lambda: not any((case.root / path).exists() for path in case.deleted))


def remove(case: Case) -> None:
    """Delete two synced files for good, a third one until its removal is under way."""
    paths = [_source(case, n) for n in range(4)]
    for path in paths:
        case.write(path, text(path))
    case.until("all are synced", lambda: all(map(case.synced, paths)))
    for path in paths[:3]:
        case.remove(path)
    case.until("a removal is under way", lambda: case.has(
        "SELECT 1 FROM outbox WHERE kind = 'remove' UNION SELECT 1 FROM transfers WHERE state = 'gone'"
    ))  # fmt: skip
    case.write(paths[0], text(paths[0]))


SCENARIOS = (
    Scenario(name="small", script=small),
    Scenario(name="multipart", script=multipart),
    Scenario(name="two-multiparts", script=two_multiparts),
    Scenario(name="replace", script=replace),
    Scenario(name="a-b-a", script=a_b_a),
    Scenario(name="overtake", script=overtake),
    Scenario(name="overtake-small", script=overtake_small),
    Scenario(name="batch", script=batch),
    Scenario(name="scan", script=scan),
    Scenario(name="grow", script=grow),
    Scenario(name="dead-letter", script=dead_letter, alone=True),
    Scenario(name="drain", script=drain),
    Scenario(
        name="delete",
        script=delete,
        settings={"local_files": {"after_sync": "delete", "delete_after": "50ms"}},
    ),
    Scenario(name="remove", script=remove, settings={"removal": "delete"}, rescan="50ms"),
)
