"""Addresses that a browser opens: signed by the functions, opened at a real S3 server, and ending there."""

from __future__ import annotations

import base64
import itertools
import json
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from botocore.auth import S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.signers import CloudFrontSigner
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from sidecar.local.convex_server import FUNCTIONS, ConvexServer
from sidecar.local.seaweed import SeaweedServer
from tests.support.convex import (
    COMPONENT,
    Caller,
    Refused,
    Sidecar,
    Signer,
    auth_config,
    facts,
    put,
)
from tests.support.patience import DEADLINE_SECONDS

RENDERERS = Signer("https://renderers.test")
ACCESS = """
declare const process: { env: Record<string, string | undefined> };
export const canReadSession = async (ctx: any, session: any) =>
  (await ctx.auth.getUserIdentity())?.subject === (session.ownerId ?? session.sessionId.split("/")[1]);
export const projectsOf = (issuer: string) => issuer === "https://renderers.test" ? "all" : [];
export const keysOf = (projectId: string) =>
  ({ buckets: "any" as const, prefixes: [`${projectId}/`], hosts: HOSTS[projectId] ?? "any" as const });
const HOSTS: Record<string, string[]> = { tight: ["cdn.test"] };
export const canReadAsset = async (ctx: any, asset: any) => asset.assetType !== "source_code";
const { env } = process;
const s3 = { by: "s3" as const, lifeSeconds: 600, region: "us-east-1", endpoint: env.ENDPOINT,
  accessKeyId: env.KEY_ID, secretAccessKey: env.SECRET };
const cdn = { by: "cloudfront" as const, lifeSeconds: 600, base: "https://d1.cloudfront.net/",
  keyPairId: "K1" };
const URLS: Record<string, any> = {
  p: s3,
  brief: { ...s3, lifeSeconds: 2 },
  amazon: { ...s3, endpoint: undefined, region: "eu-central-1", sessionToken: "a token+/=" },
  pkcs1: { ...cdn, privateKey: env.PKCS1 },
  pkcs8: { ...cdn, privateKey: env.PKCS8 },
  stable: { by: "public" },
  tight: { by: "public" },
  cdn: { by: "public", base: "https://cdn.test/lessons/" },
  keyless: { ...s3, secretAccessKey: undefined },
  nonsense: { ...cdn, privateKey: `${env.SECRET}, no key` },
  endless: { ...s3, lifeSeconds: 604801 },
};
export const urlsOf = ({ projectId }: any) => URLS[projectId];
"""
TESTING = """
import { v } from "convex/values";
import { internalMutation } from "./_generated/server";
export const give = internalMutation({
  args: { sessionId: v.string(), ownerId: v.string() },
  handler: async (ctx, { sessionId, ownerId }) => {
    const rows = await ctx.db.query("videoSessions").collect();
    await ctx.db.patch(rows.find((row) => row.sessionId === sessionId)!._id, { ownerId });
  },
});
export const move = internalMutation({
  args: { from: v.string(), to: v.string() },
  handler: async (ctx, { from, to }) => {
    const rows = await ctx.db.query("assets").collect();
    await ctx.db.patch(rows.find((row) => row.s3Key === from)!._id, { s3Key: to });
  },
});
export const address = internalMutation({
  args: { bucket: v.string(), s3Key: v.string(), s3Url: v.string() },
  handler: async (ctx, { bucket, s3Key, s3Url }) => {
    const rows = await ctx.db.query("assets").collect();
    await ctx.db.patch(rows.find((row) => row.bucket === bucket && row.s3Key === s3Key)!._id, { s3Url });
  },
});
"""
_numbers = itertools.count(1)
Callers = Callable[[str | None], Caller]
_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def _pem(form: serialization.PrivateFormat) -> str:
    pem = _KEY.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()
    return pem if form is serialization.PrivateFormat.PKCS8 else pem.replace("\n", "\\n")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, seaweed: SeaweedServer) -> Iterator[ConvexServer]:
    """Functions that sign for the real S3 server."""
    functions = tmp_path_factory.mktemp("urls") / "convex"
    shutil.copytree(FUNCTIONS, functions)
    (functions / "sidecarAccess.ts").write_text(ACCESS)
    (functions / COMPONENT / "testing.ts").write_text(TESTING)
    (functions / "auth.config.ts").write_text(auth_config(RENDERERS))
    environment = {
        "ENDPOINT": seaweed.endpoint_url,
        "KEY_ID": seaweed.access_key,
        "SECRET": seaweed.secret_key,
        "PKCS1": _pem(serialization.PrivateFormat.TraditionalOpenSSL),
        "PKCS8": _pem(serialization.PrivateFormat.PKCS8),
    }
    with ConvexServer(functions_dir=Path(functions), environment=environment) as running:
        yield running


@pytest.fixture
def callers(server: ConvexServer) -> Iterator[Callers]:
    """Make clients by their Authorization header; closed at the end."""
    with ExitStack() as stack:
        yield lambda authorization: stack.enter_context(Caller(server.url, authorization))


class Lesson:
    """A session of a project with one viewer, and its objects in the real S3 server."""

    def __init__(self, callers: Callers, seaweed: SeaweedServer, bucket: str, project_id: str) -> None:
        """Let a sidecar begin it."""
        number = next(_numbers)
        name, self.session_id = f"sidecar-{number}", f"{project_id}/viewer-{number}"
        writer = callers(f"Bearer {RENDERERS.token(name)}")
        self.sidecar = Sidecar(writer, sidecar_id=name, session_id=self.session_id, project_id=project_id)
        self.viewer = callers(f"Bearer {RENDERERS.token(f'viewer-{number}')}")
        self._s3, self.bucket = seaweed, bucket

    def ship(self, key: str = "a.mp4", content: bytes = b"chunk", **over: Any) -> str:
        """Put an object and its row; return the asset's id."""
        whole = f"{self.sidecar.project_id}/{key}"
        self._s3.client().put_object(Bucket=self.bucket, Key=whole, Body=content)
        op = put(over.pop("name", key.rpartition("/")[2]), key=whole, **over)
        op["asset"] |= {"bucket": self.bucket, "s3Url": f"https://stable.test/{self.bucket}/{whole}"}
        (result,) = self.sidecar.apply(op)
        assert result["outcome"] == "applied", result
        return str(result["assetId"])

    def urls(self, *ids: str, viewer: Caller | None = None) -> list[Any]:
        """Ask as the viewer does."""
        answer: list[Any] = (viewer or self.viewer).action("assets:accessUrls", ids=list(ids))
        return answer


@pytest.fixture
def lesson(callers: Callers, seaweed: SeaweedServer, bucket: str) -> Callable[..., Lesson]:
    """Begin a session of a project, by default one that is signed for the real S3 server."""

    def begin(project_id: str = "p") -> Lesson:
        return Lesson(callers, seaweed, bucket, project_id)

    return begin


Begin = Callable[..., Lesson]
KEYS = ["a.mp4", "with space/ü+&?#=%41/(x)!'*~.mp4", "a//b.mp4", "日本/🎬.mp4"]


@pytest.mark.parametrize("key", KEYS)
def test_a_signed_address_opens_the_very_object_and_no_other(lesson: Begin, key: str) -> None:
    """Also a part of it; without the signature, with another method or another key S3 refuses."""
    one = lesson()
    before = time.time() * 1000
    (told,) = one.urls(asset_id := one.ship(key, b"0123456789"))
    assert told.keys() == {"id", "version", "url", "signedAt", "expiresAt"}
    assert told["id"] == asset_id
    assert before - 1000 <= told["signedAt"] <= time.time() * 1000
    assert told["expiresAt"] == told["signedAt"] + 600_000
    assert httpx.get(told["url"]).content == b"0123456789"
    assert httpx.get(told["url"], headers={"Range": "bytes=2-4"}).content == b"234"
    bare, _, query = told["url"].partition("?")
    one.ship("other.mp4")
    refused = [httpx.get(bare), httpx.put(told["url"], content=b"x")]
    refused += [httpx.get(f"{bare.rpartition(one.bucket)[0]}{one.bucket}/p/other.mp4?{query}")]
    refused += [httpx.get(told["url"].replace("X-Amz-Expires=600", "X-Amz-Expires=6000"))]
    assert [answer.status_code for answer in refused] == [403] * 4


def test_an_address_tells_the_version_that_it_opens(lesson: Begin) -> None:
    """The id stays; who asked before the second version can tell that the address is of the first."""
    one = lesson()
    made = (one.ship(f"{n}.mp4", name="a.mp4", media={"checksum": f"crc64nvme:{n}"}) for n in (1, 2))
    first, second = (one.urls(asset_id)[0] for asset_id in made)
    assert first["id"] == second["id"]
    assert (first["version"], second["version"]) == (1, 2)


def test_an_address_ends_with_its_life(lesson: Begin) -> None:
    """At the S3 server's clock, which is this machine's."""
    one = lesson("brief")
    (told,) = one.urls(one.ship())
    assert told["expiresAt"] - told["signedAt"] == 2000
    opened = httpx.get(told["url"]).status_code
    deadline = time.monotonic() + DEADLINE_SECONDS
    while httpx.get(told["url"]).status_code != 403:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert opened == 200
    assert time.time() * 1000 >= told["expiresAt"]
    assert httpx.get(one.urls(told["id"])[0]["url"]).status_code == 200, "a new one opens"


def test_nothing_is_signed_that_the_caller_may_not_see(lesson: Begin, callers: Callers) -> None:
    """Nobody, another user, an asset that viewers may not see, one that is not there: null, in its place."""
    one, other = lesson(), lesson()
    chunk, source = one.ship(), one.ship("scene.py", assetType="source_code")
    theirs = other.ship("theirs.mp4")
    answers = one.urls(source, chunk, "nonsense", theirs, chunk)
    assert [told and told["id"] for told in answers] == [None, chunk, None, None, chunk]
    for stranger in (callers(None), other.viewer, one.sidecar.caller):
        assert one.urls(chunk, source, viewer=stranger) == [None, None]
    assert one.urls() == []


def test_a_revocation_refuses_new_addresses_and_issued_ones_live_to_their_end(
    lesson: Begin, server: ConvexServer, callers: Callers
) -> None:
    """That is what a short life is for."""
    one = lesson()
    (told,) = one.urls(chunk := one.ship())
    callers(f"Convex {server.admin_key}").inside(
        "testing:give", sessionId=one.session_id, ownerId="somebody else"
    )
    assert one.urls(chunk) == [None]
    assert httpx.get(told["url"]).status_code == 200


def test_what_is_not_the_projects_is_not_signed(
    lesson: Begin, server: ConvexServer, callers: Callers
) -> None:
    """A row that came there before the rule, or past it; a scene that was deleted."""
    one = lesson()
    moved, deleted = one.ship("mine.mp4"), one.ship("gone.mp4", entityId="gone")
    owner = callers(f"Convex {server.admin_key}")
    for key in ("q/theirs.mp4", "p/../q/theirs.mp4"):
        owner.inside("testing:move", **{"from": "p/mine.mp4", "to": key})
        assert one.urls(moved) == [None]
        owner.inside("testing:move", **{"from": key, "to": "p/mine.mp4"})
    assert None not in one.urls(moved, deleted)
    owner.mutation("scenes:remove", sessionId=one.session_id, sceneId="gone")
    assert one.urls(deleted) == [None]


def test_amazons_address_is_the_one_that_botocore_signs(lesson: Begin) -> None:
    """Its host, a session token, the signature: to the letter. Opened nowhere: there is no Amazon here."""
    one = lesson("amazon")
    (told,) = one.urls(one.ship("ä b+(1).mp4"))
    query = {name: values[0] for name, values in parse_qs(urlsplit(told["url"]).query).items()}
    assert (query["X-Amz-Security-Token"], query["X-Amz-Expires"]) == ("a token+/=", "600")
    when = datetime.strptime(query["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    assert when.timestamp() * 1000 == told["signedAt"]
    url = f"https://{one.bucket}.s3.eu-central-1.amazonaws.com/amazon/%C3%A4%20b%2B%281%29.mp4"
    assert told["url"].partition("?")[0] == url
    assert query["X-Amz-Signature"] == _botocores(url, query, one)


def _botocores(url: str, query: dict[str, str], one: Lesson) -> str:
    """Sign the same request at the same moment with botocore's parts."""
    key_id = query["X-Amz-Credential"].partition("/")[0]
    keys = Credentials(key_id, one._s3.secret_key, query["X-Amz-Security-Token"])
    signer = S3SigV4QueryAuth(keys, "s3", "eu-central-1", expires=600)
    request = AWSRequest(method="GET", url=url)
    request.context["timestamp"] = query["X-Amz-Date"]
    signer._modify_request_before_signing(request)
    text = signer.string_to_sign(request, signer.canonical_request(request))
    return str(signer.signature(text, request))


@pytest.mark.parametrize("form", ["pkcs1", "pkcs8"])
def test_cloudfronts_address_is_the_one_that_botocore_signs(lesson: Begin, form: str) -> None:
    """The canned policy, by a key in either form; its line breaks may be written out."""
    one = lesson(form)
    (told,) = one.urls(one.ship("ä b+(1).mp4"))
    signer = CloudFrontSigner("K1", lambda text: _KEY.sign(text, padding.PKCS1v15(), hashes.SHA1()))  # noqa: S303 - CloudFront's
    ends = datetime.fromtimestamp(told["expiresAt"] / 1000, UTC)
    url = f"https://d1.cloudfront.net/{form}/%C3%A4%20b%2B%281%29.mp4"
    assert told["url"] == signer.generate_presigned_url(url, date_less_than=ends)


def test_a_stable_address_is_given_where_that_is_said(lesson: Begin) -> None:
    """The asset's own, or below another host; it never ends."""
    stable, cdn = lesson("stable"), lesson("cdn")
    (own,), (below,) = stable.urls(stable.ship()), cdn.urls(cdn.ship("b ü.mp4"))
    assert own["url"] == f"https://stable.test/{stable.bucket}/stable/a.mp4"
    assert below["url"] == "https://cdn.test/lessons/cdn/b%20%C3%BC.mp4"
    assert own["expiresAt"] is below["expiresAt"] is None


ADDRESSES = [
    ("tight", "https://cdn.test/tight/a.mp4", True),
    ("tight", "http://cdn.test/tight/a.mp4", False),
    ("tight", "https://elsewhere.test/tight/a.mp4", False),
    ("tight", "https://cdn.test/stable/a.mp4", False),
    ("stable", "https://elsewhere.test/stable/a.mp4", True),
    ("stable", "javascript:alert(1)//stable/a.mp4", False),
]


@pytest.mark.parametrize(("project_id", "stored", "is_given"), ADDRESSES)
def test_a_stored_address_is_given_only_where_the_rule_of_today_admits_it(
    lesson: Begin, server: ConvexServer, callers: Callers, project_id: str, stored: str, is_given: bool
) -> None:
    """Whatever was admitted when it was written: the object's own at Amazon's instead."""
    one = lesson(project_id)
    chunk, key = one.ship(), f"{project_id}/a.mp4"
    callers(f"Convex {server.admin_key}").inside(
        "testing:address", bucket=one.bucket, s3Key=key, s3Url=stored
    )
    (told,) = one.urls(chunk)
    assert told["url"] == (stored if is_given else f"https://{one.bucket}.s3.amazonaws.com/{key}")


@pytest.mark.parametrize(
    ("project_id", "words"),
    [
        ("keyless", '"s3" has no secretAccessKey'),
        ("nonsense", "no RSA private key"),
        ("endless", "from 1 to 604800"),
        ("unheard-of", "no urlsOf"),
    ],
)
def test_what_is_wrong_with_the_settings_is_said_without_any_secret(
    lesson: Begin, seaweed: SeaweedServer, project_id: str, words: str
) -> None:
    """One sentence for the front end's log."""
    one = lesson(project_id)
    chunk = one.ship()
    with pytest.raises(Refused) as refused:
        one.urls(chunk)
    assert refused.value.code == "NOT_CONFIGURED"
    assert words in str(refused.value.message)
    assert seaweed.secret_key not in str(refused.value)


def test_no_answer_holds_a_secret(lesson: Begin, seaweed: SeaweedServer) -> None:
    """Neither the address nor any query's; a signature is no key."""
    one = lesson()
    chunk = one.ship()
    one.sidecar.apply(facts())
    scene = {"sessionId": one.session_id, "sceneId": "intro"}
    answers = [one.urls(chunk), one.viewer.query("assets:chunks", **scene)]
    answers += [one.viewer.query("scenes:get", **scene)]
    text = json.dumps(answers)
    encoded = base64.b64encode(seaweed.secret_key.encode()).decode()
    assert seaweed.secret_key not in text
    assert encoded not in text
    assert re.findall("X-Amz-Signature", json.dumps(answers[1:])) == []


def test_more_than_a_hundred_are_refused(lesson: Begin) -> None:
    """And a hundred are not."""
    one = lesson()
    chunk = one.ship()
    assert len(one.urls(*[chunk] * 100)) == 100
    with pytest.raises(Refused) as refused:
        one.urls(*[chunk] * 101)
    assert refused.value.code == "BATCH_TOO_LARGE"
