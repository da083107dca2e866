"""Who may write, and who may read."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sidecar.local.convex_server import ConvexServer, JwtTrust
from tests.support.convex import Caller, Refused, Sidecar, Signer, put

from .conftest import NARROW_WRITERS, STRANGERS, WRITERS, Connect

Callers = Callable[[str | None], Caller]
Mint = Callable[[], str]  # a token lives for five minutes: none is made before its test begins


def refusal(caller: Caller, path: str = "sidecar:ping", **args: object) -> tuple[int, str | None]:
    """Return the status and the code with which a call is refused."""
    call = caller.query if path == "sidecar:ping" else caller.mutation
    with pytest.raises(Refused) as refused:
        call(path, **args)
    return refused.value.status, refused.value.code


def test_no_token_is_unauthenticated(callers: Callers) -> None:
    """The functions say so in their own words, so that production does not redact it."""
    assert refusal(callers(None)) == (200, "UNAUTHENTICATED")
    register = {"sidecarId": "a", "journalId": "j"}
    assert refusal(callers(None), "sidecar:register", **register) == (200, "UNAUTHENTICATED")


@pytest.mark.parametrize(
    ("mint", "code"),
    [
        (lambda: WRITERS.token("a", ttl_seconds=-60), "InvalidAuthHeader"),
        (lambda: WRITERS.token("a", aud="another deployment"), "NoAuthProvider"),
        (lambda: Signer("https://unknown.test").token("a"), "NoAuthProvider"),
        (lambda: Signer(WRITERS.issuer).token("a"), "InvalidAuthHeader"),
        (lambda: "not.a.token", "InvalidAuthHeader"),
    ],
    ids=["expired", "audience", "issuer", "key", "garbage"],
)
def test_a_token_that_convex_does_not_accept_is_401(callers: Callers, mint: Mint, code: str) -> None:
    """Convex itself refuses it, before any function runs."""
    assert refusal(callers(f"Bearer {mint()}")) == (401, code)


def test_an_issuer_that_is_no_writer_is_forbidden(callers: Callers) -> None:
    """The application's own users have tokens too."""
    assert refusal(callers(f"Bearer {STRANGERS.token('a')}")) == (200, "FORBIDDEN")


def test_a_token_speaks_for_its_own_sidecar_only(callers: Callers) -> None:
    """The token's sub is the sidecarId."""
    caller = callers(f"Bearer {WRITERS.token('a')}")
    assert refusal(caller, "sidecar:register", sidecarId="b", journalId="j") == (200, "FORBIDDEN")


def test_an_issuer_writes_only_its_own_projects(connect: Connect) -> None:
    """One issuer per trust domain, mapped to its projects in sidecarAccess.ts."""
    lab = connect(signer=NARROW_WRITERS, project_id="lab", session_id="lab/1")
    assert lab.outcomes(put(key="lab/1/a.mp4")) == ["applied"]
    with pytest.raises(Refused) as refused:
        lab.apply(put(), projectId="p")
    assert refused.value.code == "FORBIDDEN"


def test_an_issuer_sees_only_its_own_projects_slots(connect: Connect, sidecar: Sidecar) -> None:
    """Also when it asks what a slot holds."""
    sidecar.apply(put())
    lab = connect(signer=NARROW_WRITERS, project_id="lab", session_id="lab/2")
    slot = {"sessionId": sidecar.session_id, "entityType": "scene", "entityId": "intro"}
    slot |= {"assetType": "video_chunk", "name": "a.mp4"}
    with pytest.raises(Refused) as refused:
        lab.caller.query("sidecar:currentAssets", slots=[slot])
    assert refused.value.code == "FORBIDDEN"


VERSIONS, EXPIRE, UNFINISHED = "sidecar:versions", "sidecar:expire", "sidecar:unfinishedScenes"


def version_of(sidecar: Sidecar, version: int = 1) -> dict[str, object]:
    """Name a version of ``put``'s slot."""
    slot = {"sessionId": sidecar.session_id, "entityType": "scene", "entityId": "intro"}
    return {**slot, "assetType": "video_chunk", "name": "a.mp4", "version": version}


@pytest.mark.parametrize(
    ("mint", "code"),
    [
        (None, "UNAUTHENTICATED"),
        (lambda: STRANGERS.token("a"), "FORBIDDEN"),
        (lambda: WRITERS.token("another"), "FORBIDDEN"),
    ],
    ids=["nobody", "no writer", "another sidecar"],
)
def test_versions_are_told_and_expired_for_their_own_sidecar_only(
    callers: Callers, mint: Mint | None, code: str
) -> None:
    """What a sidecar asks about its own rows takes the token of that sidecar."""
    caller = callers(mint and f"Bearer {mint()}")
    with pytest.raises(Refused) as told:
        caller.query(VERSIONS, sidecarId="a", cursor=None)
    with pytest.raises(Refused) as left:
        caller.query(UNFINISHED, sidecarId="a", cursor=None)
    with pytest.raises(Refused) as expired:
        caller.mutation(EXPIRE, sidecarId="a", epoch=1, versions=[])
    assert [(one.value.status, one.value.code) for one in (told, left, expired)] == [(200, code)] * 3


def test_nobody_expires_what_another_sidecar_wrote(connect: Connect) -> None:
    """Not under an id of its own, nor under the same id of another issuer; nor is it shown to them."""
    writer = connect("owner")
    for content in "AB":
        writer.apply(put(content=content))
    twin = connect("owner", signer=NARROW_WRITERS, project_id="lab", session_id="lab/4")
    for other in (connect(), twin):
        args = {"sidecarId": other.sidecar_id, "epoch": other.epoch, "versions": [version_of(writer)]}
        assert other.caller.mutation(EXPIRE, **args) == [False]
        page = other.caller.query(VERSIONS, sidecarId=other.sidecar_id, cursor=None)
        assert page["versions"] == []
    page = writer.caller.query(VERSIONS, sidecarId="owner", cursor=None)
    assert [row["status"] for row in page["versions"]] == ["current", "current"]


def test_the_functions_of_reconciling_have_twins_that_are_not_public(callers: Callers) -> None:
    """With a token nobody calls them."""
    caller = callers(f"Bearer {WRITERS.token('a')}")
    with pytest.raises(Refused):
        caller.query("sidecar:versionsInternal", sidecarId="a", cursor=None)
    with pytest.raises(Refused):
        caller.query("sidecar:unfinishedScenesInternal", sidecarId="a", cursor=None)
    with pytest.raises(Refused):
        caller.mutation("sidecar:expireInternal", sidecarId="a", epoch=1, versions=[])


def test_one_issuer_cannot_fence_anothers_sidecar(connect: Connect) -> None:
    """The same sidecarId under two issuers is two sidecars."""
    mine = connect("twin")
    theirs = connect("twin", signer=NARROW_WRITERS, project_id="lab", session_id="lab/3")
    theirs.register("journal-2")
    assert mine.outcomes(put()) == ["applied"]


def test_internal_functions_are_not_public(callers: Callers) -> None:
    """Neither a token nor nobody reaches them."""
    caller = callers(f"Bearer {WRITERS.token('a')}")
    args = {"sidecarId": "a", "journalId": "j"}
    assert refusal(caller, "sidecar:registerInternal", **args) == (200, None)


@pytest.mark.parametrize("mint", [None, lambda: STRANGERS.token("viewer")], ids=["nobody", "not allowed"])
def test_what_may_not_be_read_looks_absent(connect: Connect, callers: Callers, mint: Mint | None) -> None:
    """canReadSession decides for every query; a refusal does not tell that the session exists."""
    secret = connect(project_id="secret" if mint else "p")
    secret.apply(put())
    reader, session = callers(mint and f"Bearer {mint()}"), {"sessionId": secret.session_id}
    assert reader.query("sessions:get", **session) is None
    assert reader.query("scenes:get", **session, sceneId="intro") is None
    assert reader.query("scenes:bySession", **session) == []
    opts = {"numItems": 10, "cursor": None}
    page = reader.query(
        "assets:byEntity", **session, entityType="scene", entityId="intro", paginationOpts=opts
    )
    assert (page["page"], page["isDone"]) == ([], True)


def test_as_installed_nobody_reads_and_the_configured_issuer_writes() -> None:
    """The packaged sidecarAccess.ts and auth.config.ts, with nothing but the three variables."""
    signer = Signer("https://render.example")
    trust = JwtTrust(issuer=signer.issuer, jwks_data_uri=signer.jwks_data_uri(), audience="render-sidecar")
    with ConvexServer(jwt=trust) as server, Caller(server.url, f"Bearer {signer.token('a')}") as caller:
        sidecar = Sidecar(caller, sidecar_id="a", session_id="p/s")
        assert sidecar.outcomes(put(key="p/s/a.mp4"), put("b.mp4", key="q/b.mp4")) == ["applied", "rejected"]
        assert caller.query("scenes:get", sessionId="p/s", sceneId="intro") is None
