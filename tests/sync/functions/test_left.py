"""Which objects were left by sidecars that are gone: by project, and only where nobody may want them."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from sidecar.core.ids import sidecar_tag, transfer_id
from sidecar.local.convex_server import ConvexServer
from tests.support.convex import Caller, Refused, Sidecar, put

from .conftest import NARROW_WRITERS, WRITERS, Connect

DAY_MS = 24 * 3600 * 1000
_numbers = itertools.count(1)
P = {"projectId": "p", "rule": {"buckets": ["lessons"], "prefixes": ["p/"]}}
ANYTHING = {"projectId": "p", "rule": "anything"}


def key_of(*sidecars: str, folder: str = "p") -> str:
    """Return a key that names transfers of these sidecars."""
    names = [transfer_id(wall_ms=next(_numbers), chance=b"12345", tag=sidecar_tag(name)) for name in sidecars]
    return f"{folder}/lesson/{'/'.join(names)}.mp4"


@pytest.fixture
def admin(server: ConvexServer) -> Iterator[Caller]:
    """Whoever may look into the component."""
    with Caller(server.url, f"Convex {server.admin_key}") as caller:
        yield caller


Look = Callable[..., list[Any]]


@pytest.fixture
def look(admin: Caller) -> Look:
    """Ask about keys, as a backend of project ``p``."""

    def asked(*keys: str, bucket: str = "lessons", **over: Any) -> list[Any]:
        caller = {"producer": "platform|backend", "projects": ["p"]}
        args = {"caller": caller, "bucket": bucket, "keys": list(keys), "rules": [P], **over}
        found: list[Any] = admin.inside("sidecar:leftObjects", **args)
        return found

    return asked


def bury(admin: Caller, sidecar: Sidecar, *, days: float, issuer: str = WRITERS.issuer) -> None:
    """Let a sidecar be gone for so long."""
    since = int(time.time() * 1000 - days * DAY_MS)
    admin.inside("testing:bury", producer=f"{issuer}|{sidecar.sidecar_id}", goneSince=since)


def test_what_nobody_told_of_is_left_once_its_sidecar_is_gone_for_a_week(
    admin: Caller, look: Look, sidecar: Sidecar
) -> None:
    """Not while it lives, not while it may come back; its tag is the one that its keys carry."""
    key = key_of(sidecar.sidecar_id)
    assert look(key) == [None]
    bury(admin, sidecar, days=6.9)
    assert look(key) == [None]
    bury(admin, sidecar, days=7.1)
    assert look(key) == [{"projectId": "p", "version": None}]
    sidecar.apply()
    assert look(key) == [None]


def test_what_may_be_anybodys_stays(admin: Caller, look: Look, connect: Connect, sidecar: Sidecar) -> None:
    """A tag that nobody knows, or of one who lives; no tag; another project's, or a key without a rule."""
    bury(admin, sidecar, days=30)
    gone, living = sidecar.sidecar_id, connect().sidecar_id
    ours = key_of(gone)
    others = [key_of("unheard of"), key_of(gone, living), "p/x.mp4", key_of(gone, folder="q")]
    assert look(ours, *others) == [{"projectId": "p", "version": None}, None, None, None, None]
    assert look(ours, bucket="elsewhere") == [None]
    assert look(ours, rules=[ANYTHING]) == [None]
    assert look(ours, caller={"producer": "b", "projects": ["q"]}) == [None]
    twin = connect(gone, signer=NARROW_WRITERS, project_id="lab", session_id="lab/twin")
    assert look(ours) == [None]
    bury(admin, twin, days=30, issuer=NARROW_WRITERS.issuer)
    assert look(ours) != [None]


def test_a_version_of_one_that_is_gone_says_what_it_is(admin: Caller, look: Look, sidecar: Sidecar) -> None:
    """Shown still, by its slot or its scene's history; a key of several versions is nobody's alone."""
    first, second, fixed = (key_of(sidecar.sidecar_id) for _ in range(3))
    ops = [put(content="A", key=first), put(content="B", key=second)]
    ops += [put("b.mp4", content=content, key=fixed) for content in "CD"]
    assert sidecar.outcomes(*ops) == ["applied"] * 4
    assert look(first, second, fixed) == [None] * 3
    bury(admin, sidecar, days=8)
    older, newer, several = look(first, second, fixed)
    assert several is None
    shown = ("projectId", "s3Key", "status", "newer")
    told = [{**one, **one["version"]} for one in (older, newer)]
    assert [tuple(one[name] for name in shown) for one in told] == [
        ("p", first, "current", 1),  # the scene's history names it
        ("p", second, "current", 0),
    ]


def test_at_most_a_hundred_are_asked_about(look: Look, admin: Caller) -> None:
    """And by a deploy key as by a backend's token."""
    with pytest.raises(Refused, match="BATCH_TOO_LARGE"):
        look(*(f"p/{n}" for n in range(101)))
    args = {"bucket": "lessons", "keys": ["p/x.mp4"], "projectIds": ["p"]}
    assert admin.query("sidecar:leftObjectsInternal", **args) == [None]
