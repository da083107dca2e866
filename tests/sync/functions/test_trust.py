"""What a sidecar says of sessions and objects is believed within its project only, whatever it says."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from sidecar.local.convex_server import FUNCTIONS, ConvexServer
from tests.support.convex import COMPONENT, Caller, Sidecar, Signer, auth_config, facts, put

ALPHA, BETA = Signer("https://alpha.test"), Signer("https://beta.test")
ACCESS = """
export const canReadSession = async () => true;
const PROJECTS: Record<string, string[]> = {
  "https://alpha.test": ["alpha", "al", "open"],
  "https://beta.test": ["beta"],
};
export const projectsOf = (issuer: string) => PROJECTS[issuer] ?? [];
"""
KEYS = """
export const ownsSession = (_issuer: string, projectId: string, sessionId: string) =>
  sessionId.startsWith(`${projectId}/`) || sessionId === `global-${projectId}`;
export const keysOf = (projectId: string): any => projectId === "al" ? undefined : projectId === "open" ? ({
  buckets: "any", prefixes: ["open/"], hosts: ["cdn.test"],
}) : ({
  buckets: [`${projectId}-media`, "shared"],
  prefixes: [`${projectId}/`, `team/${projectId}/`],
  hosts: ["cdn.test", "cdn.test/lessons/", "http://127.0.0.1:9000"],
});
"""
APPLICATION = """
import { v } from "convex/values";
import { internalMutation } from "./_generated/server";
import { ensureSession } from "./sidecar/application";
export const create = internalMutation({
  args: { sessionId: v.string(), projectId: v.string() },
  handler: async (ctx, session) => await ensureSession(ctx, session),
});
"""
TESTING = """
import { v } from "convex/values";
import { internalMutation } from "./_generated/server";
export const corrupt = internalMutation({
  args: { sessionId: v.string(), s3Key: v.string(), to: v.string() },
  handler: async (ctx, { sessionId, s3Key, to }) => {
    const rows = await ctx.db.query("assetVersions").collect();
    const row = rows.find((one) => one.sessionId === sessionId && one.s3Key === s3Key);
    if (row) await ctx.db.patch(row._id, { s3Key: to });
  },
});
"""
_numbers = itertools.count(1)
Connect = Callable[..., Sidecar]


def serve(folder: Path, access: str) -> ConvexServer:
    """Return the packaged functions with these rules."""
    functions = folder / "convex"
    shutil.copytree(FUNCTIONS, functions)
    (functions / "sidecarAccess.ts").write_text(access)
    (functions / "application.ts").write_text(APPLICATION)
    (functions / COMPONENT / "testing.ts").write_text(TESTING)
    (functions / "auth.config.ts").write_text(auth_config(ALPHA, BETA))
    return ConvexServer(functions_dir=functions)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConvexServer]:
    """Two issuers, each with projects of its own, and with keysOf and ownsSession."""
    with serve(tmp_path_factory.mktemp("trust"), ACCESS + KEYS) as running:
        yield running


@pytest.fixture(scope="module")
def old_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConvexServer]:
    """The same issuers with a sidecarAccess.ts that was written before there were these rules."""
    with serve(tmp_path_factory.mktemp("old"), ACCESS) as running:
        yield running


@pytest.fixture
def connect(request: pytest.FixtureRequest) -> Iterator[Connect]:
    """Make registered sidecars of an issuer."""
    with ExitStack() as stack:

        def one(signer: Signer, session_id: str, project_id: str, *, to: str = "server") -> Sidecar:
            running: ConvexServer = request.getfixturevalue(to)
            name = f"sidecar-{next(_numbers)}"
            caller = stack.enter_context(Caller(running.url, f"Bearer {signer.token(name)}"))
            return Sidecar(caller, sidecar_id=name, session_id=session_id, project_id=project_id)

        yield one


def naming(bucket: str, key: str, url: str | None = None, name: str = "a.mp4") -> dict[str, Any]:
    """Return an op that names this object."""
    op = put(name, key=key)
    asset = op["asset"] | {"bucket": bucket, "s3Url": url or f"https://{bucket}.s3.amazonaws.com/{key}"}
    return {**op, "asset": asset}


def codes(sidecar: Sidecar, *ops: dict[str, Any]) -> list[str | None]:
    """Send ops; return why each was rejected."""
    return [result.get("code") for result in sidecar.apply(*ops)]


@pytest.mark.parametrize("to", ["server", "old_server"])
def test_nobody_claims_anothers_unborn_session(connect: Connect, to: str) -> None:
    """Neither under the other's prefix nor under a name that merely begins like its own."""
    number = next(_numbers)
    for session in (f"beta/{number}", f"alphabet/{number}", f"lesson-{number}"):
        thief = connect(ALPHA, session, "alpha", to=to)
        assert codes(thief, naming("shared", "alpha/a"), facts()) == ["FOREIGN_SESSION"] * 2
    owner = connect(BETA, f"beta/{number}", "beta", to=to)
    assert owner.outcomes(naming("shared", "beta/a")) == ["applied"]
    late = connect(ALPHA, f"beta/{number}", "alpha", to=to)
    assert codes(late, naming("shared", "alpha/a")) == ["SESSION_OF_OTHER_PROJECT"]


def test_the_application_says_whose_a_session_is(server: ConvexServer, connect: Connect) -> None:
    """By its rule, or by making it: then its name may be anything."""
    assert connect(ALPHA, "global-alpha", "alpha").outcomes(naming("shared", "alpha/a")) == ["applied"]
    with Caller(server.url, f"Convex {server.admin_key}") as application:
        application.mutation("application:create", sessionId="made-7", projectId="beta")
    assert codes(connect(ALPHA, "made-7", "alpha"), facts()) == ["SESSION_OF_OTHER_PROJECT"]
    assert connect(BETA, "made-7", "beta").outcomes(naming("shared", "beta/a")) == ["applied"]


FOREIGN = [
    ("beta-media", "beta/a.mp4"),
    ("shared", "beta/a.mp4"),
    ("beta-media", "alpha/a.mp4"),
    ("shared", "alphabet/a.mp4"),
    ("shared", "/alpha/a.mp4"),
    ("shared", "alpha"),
    ("shared", "alpha/../beta/a.mp4"),
    ("shared", "alpha/./a.mp4"),
    ("shared", "alpha/..\\beta\\a.mp4"),
    ("shared", "alpha/.."),
]


@pytest.mark.parametrize(("bucket", "key"), FOREIGN)
def test_an_op_that_names_anothers_object_is_rejected_alone(
    server: ConvexServer, connect: Connect, bucket: str, key: str
) -> None:
    """By bucket, by key, by a key that a browser would read as another; nothing of it is stored."""
    session = f"alpha/{next(_numbers)}"
    thief = connect(ALPHA, session, "alpha")
    rejected, applied = thief.apply(
        naming(bucket, key), naming("alpha-media", "team/alpha/b.mp4", name="b.mp4")
    )
    assert (rejected["outcome"], rejected["code"]) == ("rejected", "FOREIGN_OBJECT")
    assert "keysOf" in rejected["message"]
    assert applied["outcome"] == "applied"
    for table in ("assets", "assetVersions"):
        rows = [row["s3Key"] for row in server.table(f"renderSidecar/{table}") if row["sessionId"] == session]
        assert rows == ["team/alpha/b.mp4"]


def test_without_the_rule_a_project_keeps_below_its_name(connect: Connect) -> None:
    """A sidecarAccess.ts of yesterday, and an issuer that may not write everything."""
    sidecar = connect(ALPHA, f"alpha/{next(_numbers)}", "alpha", to="old_server")
    assert codes(sidecar, naming("any", "beta/a.mp4"), naming("any", "alpha/a.mp4")) == [
        "FOREIGN_OBJECT",
        None,
    ]


def test_a_project_that_the_rule_does_not_know_has_no_objects(connect: Connect) -> None:
    """No answer is no permission."""
    assert codes(connect(ALPHA, f"al/{next(_numbers)}", "al"), naming("shared", "al/a")) == ["FOREIGN_OBJECT"]


KEY = "alpha/a b/ü.mp4"
PATH = "alpha/a%20b/%C3%BC.mp4"
DERIVED = f"https://shared.s3.amazonaws.com/{PATH}"


@pytest.mark.parametrize(
    ("url", "stored"),
    [
        (f"https://cdn.test/{PATH}", None),
        (f"https://cdn.test/lessons/{PATH}", None),
        (f"http://127.0.0.1:9000/shared/{PATH}", None),
        (f"https://shared.s3.eu-west-1.amazonaws.com/{PATH}", None),
        (f"https://s3.eu-west-1.amazonaws.com/shared/{PATH}", None),
        (f"https://shared.s3.dualstack.eu-west-1.amazonaws.com/{PATH}", None),
        (f"https://shared.s3-accelerate.amazonaws.com/{PATH}", None),
        (f"http://cdn.test/{PATH}", DERIVED),
        (f"https://cdn.test/beta/{PATH}", DERIVED),
        (f"https://evil.test/{PATH}", DERIVED),
        (f"https://cdn.test.evil.test/{PATH}", DERIVED),
        (f"https://cdn.test@evil.test/{PATH}", DERIVED),
        ("https://cdn.test/beta/a.mp4", DERIVED),
        (f"https://cdn.test/beta/a.mp4?{PATH}", DERIVED),
        (f"https://cdn.test/beta/a.mp4#/{PATH}", DERIVED),
        (f"https://beta-media.s3.eu-west-1.amazonaws.com/{PATH}", DERIVED),
        (f"https://s3.eu-west-1.amazonaws.com/beta-media/{PATH}", DERIVED),
        (f"https://shared.s3.amazonaws.com.evil.test/{PATH}", DERIVED),
        ("javascript:alert(1)", DERIVED),
        ("no address", DERIVED),
        (f"https://cdn.test/%zz/{PATH}", DERIVED),
    ],
)
def test_an_address_is_the_objects_own_on_a_known_host_or_derived(
    server: ConvexServer, connect: Connect, url: str, stored: str | None
) -> None:
    """No asset is lost by a wrong address, and no player is sent elsewhere."""
    session = f"alpha/{next(_numbers)}"
    assert connect(ALPHA, session, "alpha").outcomes(naming("shared", KEY, url)) == ["applied"]
    (row,) = [row for row in server.table("renderSidecar/assets") if row["sessionId"] == session]
    assert row["s3Url"] == (stored or url)


def test_a_bucket_with_dots_is_addressed_by_path(old_server: ConvexServer, connect: Connect) -> None:
    """Its name is in no certificate."""
    session = f"al/{next(_numbers)}"
    op = naming("a.b", "al/x.mp4", "http://elsewhere.test/al/x.mp4?signed")
    assert connect(ALPHA, session, "al", to="old_server").outcomes(op) == ["applied"]
    (row,) = [row for row in old_server.table("renderSidecar/assets") if row["sessionId"] == session]
    assert row["s3Url"] == "https://s3.amazonaws.com/a.b/al/x.mp4"


@pytest.mark.parametrize(
    "bucket", ["3232235777/", "evil。com/", "evil.test:80", "a b", "..", "-a-", "a" * 256, ""]
)
def test_a_bucket_is_a_name_and_no_host(old_server: ConvexServer, connect: Connect, bucket: str) -> None:
    """It stands at the beginning of an address that the functions derive."""
    session = f"al/{next(_numbers)}"
    op = naming(bucket, "al/x.mp4", "http://elsewhere.test/al/x.mp4?signed")
    assert codes(connect(ALPHA, session, "al", to="old_server"), op)[0] is not None
    assert [row for row in old_server.table("renderSidecar/assets") if row["sessionId"] == session] == []


def test_a_bucket_that_is_no_part_of_a_host_is_addressed_by_path(
    old_server: ConvexServer, connect: Connect
) -> None:
    """Names of former times."""
    session = f"al/{next(_numbers)}"
    op = naming("Old_Media", "al/x.mp4", "http://elsewhere.test/al/x.mp4?signed")
    assert connect(ALPHA, session, "al", to="old_server").outcomes(op) == ["applied"]
    (row,) = [row for row in old_server.table("renderSidecar/assets") if row["sessionId"] == session]
    assert row["s3Url"] == "https://s3.amazonaws.com/Old_Media/al/x.mp4"


@pytest.mark.parametrize(
    ("url", "stored"),
    [
        ("https://cdn.test/open/a.mp4", "https://cdn.test/open/a.mp4"),
        ("https://cdn.test/beta/open/a.mp4", "https://beta.s3.amazonaws.com/open/a.mp4"),
    ],
)
def test_where_any_bucket_may_be_named_it_is_no_part_of_a_path(
    server: ConvexServer, connect: Connect, url: str, stored: str
) -> None:
    """A bucket called like another project would lead to that one's objects on a shared host."""
    session = f"open/{next(_numbers)}"
    assert connect(ALPHA, session, "open").outcomes(naming("beta", "open/a.mp4", url)) == ["applied"]
    (row,) = [row for row in server.table("renderSidecar/assets") if row["sessionId"] == session]
    assert row["s3Url"] == stored


def test_an_object_is_looked_at_again_before_it_may_go(server: ConvexServer, connect: Connect) -> None:
    """A version that was written before there was the rule is not marked as expired, whoever asks."""
    session = f"alpha/{next(_numbers)}"
    writer = connect(ALPHA, session, "alpha")
    writer.apply(naming("shared", "alpha/1"), naming("shared", "alpha/2", name="b.mp4"))
    for number in range(12):  # a scene's history shows ten
        for name in ("a.mp4", "b.mp4"):
            op = naming("shared", f"alpha/{name}-{number}", name=name)
            op["asset"]["checksum"] = f"crc64nvme:{number}"
            writer.apply(op)
    with Caller(server.url, f"Convex {server.admin_key}") as application:
        application.inside("testing:corrupt", sessionId=session, s3Key="alpha/1", to="beta/1")
    slot: dict[str, Any] = {
        "sessionId": session,
        "entityType": "scene",
        "entityId": "intro",
        "assetType": "video_chunk",
    }
    versions = [slot | {"name": name, "version": 1} for name in ("a.mp4", "b.mp4")]
    args = {"sidecarId": writer.sidecar_id, "epoch": writer.epoch, "versions": versions}
    assert writer.caller.mutation("sidecar:expire", **args) == [False, True]
