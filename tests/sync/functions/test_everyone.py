"""Every exported function, called by those whom it does not concern: nobody, another user, another issuer."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from sidecar.core.model import AssetType, EntityType, Slot
from sidecar.local.convex_server import FUNCTIONS, ConvexServer
from tests.support.convex import COMPONENT, Caller, Refused, Sidecar, facts, put

from .conftest import NARROW_WRITERS, STRANGERS

EXPORT = re.compile(r"^export const (\w+) = (\w*(?:[qQ]uery|[mM]utation|[aA]ction))\(", re.MULTILINE)
ALIASES = re.compile(r'^export \{ ([\w, ]+) \} from "\./(sidecar/\w+)";', re.MULTILINE)
FOUND = {
    f"{path.relative_to(FUNCTIONS).with_suffix('')}:{name}": kind
    for path in sorted(FUNCTIONS.rglob("*.ts"))
    for name, kind in EXPORT.findall(path.read_text())
}
WITHIN = sorted(name.removeprefix(f"{COMPONENT}/") for name in FOUND if name.startswith(f"{COMPONENT}/"))
EXPORTED = {name: kind for name, kind in FOUND.items() if not name.startswith(f"{COMPONENT}/")}
EXPORTED |= {
    f"{path.stem}:{name}": EXPORTED[f"{module}:{name}"]
    for path in sorted(FUNCTIONS.glob("*.ts"))
    for names, module in ALIASES.findall(path.read_text())
    for name in names.split(", ")
}
PUBLIC = sorted(name for name, kind in EXPORTED.items() if not kind.startswith("internal"))
INTERNAL = sorted(EXPORTED.keys() - set(PUBLIC))
PAGE = {"numItems": 5, "cursor": None}
NOTHING: list[Any] = [None, [], [None], {"page": [], "isDone": True, "continueCursor": ""}]
NOTHING += [{"chunks": [], "contiguous": 0, "expected": None, "isComplete": False}]
Callers = Callable[[str | None], Caller]


def arguments(name: str, sidecar: Sidecar, caller_id: str) -> dict[str, Any]:
    """Return a call for a session of project ``secret``; a function that is not named here fails."""
    session, scene = {"sessionId": sidecar.session_id}, {"sceneId": "intro"}
    slot = {
        **session,
        "entityType": "scene",
        "entityId": "intro",
        "assetType": "video_chunk",
        "name": "a.mp4",
    }
    who = {"sidecarId": caller_id}
    asset_id = Slot(
        session_id=sidecar.session_id,
        entity_type=EntityType.SCENE,
        entity_id="intro",
        asset_type=AssetType.VIDEO_CHUNK,
        name="a.mp4",
    ).digest
    calls: dict[str, dict[str, Any]] = {
        "assets:byEntity": {**session, "entityType": "scene", "entityId": "intro", "paginationOpts": PAGE},
        "assets:accessUrls": {"ids": [asset_id]},
        "assets:chunks": {**session, **scene},
        "scenes:get": {**session, **scene},
        "scenes:bySession": {**session, "paginationOpts": PAGE},
        "scenes:sceneHistory": {**session, **scene, "paginationOpts": PAGE},
        "sessions:get": session,
        "sessions:sessionsByProject": {"projectId": "secret", "paginationOpts": PAGE},
        "sidecar:register": {**who, "journalId": "theirs"},
        "sidecar:applyAssets": {**who, **session, "projectId": "secret", "epoch": 1, "ackedSeq": 0}
        | {"ops": [put(), facts()]},
        "sidecar:currentAssets": {"slots": [slot]},
        "sidecar:unfinishedScenes": {**who, "cursor": None},
        "sidecar:versions": {**who, "cursor": None},
        "sidecar:expire": {**who, "epoch": 1, "versions": [{**slot, "version": 1}]},
        "sidecar:heartbeat": {**who, "epoch": 1},
        "sidecar:listByProject": {"projectId": "secret", "cursor": None},
        "sidecar:listByEntity": {"projectId": "secret", "cursor": None, **session}
        | {"entityType": "scene", "entityId": "intro"},
        "sidecar:assetsById": {"ids": ["x"]},
        "sidecar:assetsByKey": {"bucket": "lessons", "keys": ["x"]},
        "sidecar:leftObjects": {"bucket": "lessons", "keys": ["x"], "projectIds": ["secret"]},
        "sidecar:removeAssets": {"projectId": "secret", "removals": [{"slot": slot, "expectedVersion": 1}]},
        "sidecar:expireVersions": {"projectId": "secret", "versions": [{**slot, "version": 1}]},
        "sidecar:forgetOlder": {"projectId": "secret", "versions": [{**slot, "version": 1}]},
        "sidecar:cleanupOrphanedAssets": {"projectId": "secret", "dryRun": False, "cursor": None},
        "sidecar:canRead": {"asset": "x", "viewer": None},
        "sidecar:failedCallbacks": {},
        "sidecar:recount": {"sessionId": sidecar.session_id, "progress": None},
        "sidecar:ping": {},
    }
    return calls[name.removeprefix("sidecar/")]


@pytest.fixture
def secret(connect: Callable[..., Sidecar]) -> Sidecar:
    """A session of a project that the suite's rule shows to nobody."""
    sidecar = connect(project_id="secret")
    sidecar.apply(put(), facts(complete=False, owed=1))
    return sidecar


def state(server: ConvexServer, sidecar: Sidecar) -> list[Any]:
    """Return what there is of the session."""
    tables = ("scenes", "videoSessions", "assets", "assetVersions", "sceneFacts", "sidecarCounters")
    return [
        row
        for table in tables
        for row in server.table(f"{COMPONENT}/{table}")
        if row["sessionId"] == sidecar.session_id
    ]


@pytest.mark.parametrize("caller", ["nobody", "another user", "another issuer"])
@pytest.mark.parametrize("name", PUBLIC)
def test_nothing_is_told_or_changed(
    server: ConvexServer, callers: Callers, secret: Sidecar, name: str, caller: str
) -> None:
    """Another issuer's sidecar hears of its own things only."""
    who = f"eve-{re.sub(r'[^a-zA-Z]', '-', name)}"  # else what another test registers is known here
    tokens = {
        "nobody": None,
        "another user": STRANGERS.token(who),
        "another issuer": NARROW_WRITERS.token(who),
    }
    token, before = tokens[caller], state(server, secret)
    client = callers(token and f"Bearer {token}")
    call = getattr(client, EXPORTED[name])
    code: str | None = None
    answer: Any = None
    try:
        answer = call(name, **arguments(name, secret, who))
    except Refused as refused:
        code = refused.code
    assert state(server, secret) == before
    name = name.removeprefix("sidecar/")
    if name == "sessions:sessionsByProject":
        assert answer["page"] == []  # it may tell that a project has further pages
    elif not name.startswith("sidecar:"):
        assert code is None
        assert answer in NOTHING
    elif caller == "another issuer" and name in OWN:
        assert secret.session_id not in str(answer)
    else:
        expected = {"nobody": {"UNAUTHENTICATED"}, "another user": {"FORBIDDEN"}}
        assert code in expected.get(caller, {"FORBIDDEN", "UNREGISTERED"})


# A sidecar of any issuer may ask these, of itself.
OWN = {"sidecar:register", "sidecar:ping", "sidecar:versions", "sidecar:unfinishedScenes"}


@pytest.mark.parametrize("name", INTERNAL)
def test_what_is_internal_is_not_there(callers: Callers, name: str) -> None:
    """For anybody with a token, or without one."""
    for authorization in (None, f"Bearer {STRANGERS.token('eve')}", f"Bearer {NARROW_WRITERS.token('eve')}"):
        client = callers(authorization)
        for call in (client.query, client.mutation, client.action):
            with pytest.raises(Refused) as refused:
                call(name)
            assert refused.value.code is None
            assert "Could not find public function" in str(refused.value.message)


@pytest.mark.parametrize("name", WITHIN)
def test_what_is_in_the_component_is_nobodys_to_call(callers: Callers, name: str) -> None:
    """Only the wrappers call it: they know who is asking, and it does not."""
    for authorization in (None, f"Bearer {STRANGERS.token('eve')}", f"Bearer {NARROW_WRITERS.token('eve')}"):
        client = callers(authorization)
        for call in (client.query, client.mutation):
            for path in (name, f"{COMPONENT}/{name}"):
                if path in EXPORTED:
                    continue  # a wrapper has the name
                with pytest.raises(Refused, match="Could not find public function"):
                    call(path)
        with pytest.raises(Refused) as refused:
            client.inside(name)
        assert refused.value.status == 403
