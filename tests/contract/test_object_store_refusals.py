"""What the real server refuses, and what an operator reads then; and the shapes that it cannot show."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from sidecar.core.checksum_algorithms import Algorithm
from sidecar.core.checksums import to_header
from sidecar.core.clock import SystemClock
from sidecar.core.errors import ErrorKind, FatalError, Scope, SidecarError
from sidecar.core.model import MIB, Part
from sidecar.local.ports import free_port
from sidecar.local.seaweed import SeaweedServer
from sidecar.upload.limits import Bandwidth
from sidecar.upload.s3.credentials import Keys
from sidecar.upload.s3.endpoint import S3Config
from sidecar.upload.s3.object_store import open_store
from sidecar.upload.store import Body, ObjectSpec, OpenUpload, is_absent
from tests.support.memory_store import checksum_of
from tests.support.patience import DEADLINE_SECONDS
from tests.support.seaweed import config_for, store_on

CONTENT = os.urandom(11 * MIB)
KEYS = Keys(access_key_id="wrong", secret_access_key="wrong")


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Open a file of 11 MiB."""
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    path.write_bytes(CONTENT)
    fd = os.open(path, os.O_RDONLY)
    yield fd
    os.close(fd)


def spec(bucket: str) -> ObjectSpec:
    """Return the spec of an object."""
    return ObjectSpec(bucket=bucket, key="k.mp4", content_type="video/mp4", cache_control=None, metadata={})


def body(fd: int, offset: int = 0, length: int = len(CONTENT)) -> Body:
    """Return a range of the file."""
    return Body(fd=fd, offset_bytes=offset, length_bytes=length)


async def test_a_missing_bucket_is_named_as_such(seaweed: SeaweedServer, file: int) -> None:
    """Probe and PUT both say NOT_FOUND and what to do."""
    async with store_on(seaweed, "no-such-bucket") as store:
        with pytest.raises(SidecarError, match=r"create the bucket|s3\.bucket") as caught:
            await store.probe()
        assert caught.value.kind is ErrorKind.NOT_FOUND
        with pytest.raises(SidecarError) as caught:
            await store.put(spec("no-such-bucket"), body(file), checksum=checksum_of(CONTENT))
        assert (caught.value.kind, caught.value.code) == (ErrorKind.NOT_FOUND, "NoSuchBucket")


@pytest.mark.parametrize("length", [100, len(CONTENT)])
async def test_a_wrong_key_is_refused_with_a_hint(
    seaweed: SeaweedServer, bucket: str, file: int, length: int
) -> None:
    """Small or large, the refusal is read, not lost in a reset connection."""
    async with store_on(seaweed, bucket, keys=lambda: KEYS) as store:
        for _ in range(2):
            with pytest.raises(SidecarError, match=r"s3\.access_key_id") as caught:
                await store.put(spec(bucket), body(file, 0, length), checksum=checksum_of(CONTENT[:length]))
            assert caught.value.kind is ErrorKind.UNAUTHORIZED
            with pytest.raises(SidecarError, match=r"s3\.access_key_id"):
                await store.probe()


async def test_an_unreachable_endpoint_is_network_and_certainly_not_done(file: int) -> None:
    """Nothing listens there."""
    config = S3Config(
        bucket="b", region="r", endpoint_url=f"http://127.0.0.1:{free_port()}", keys=lambda: KEYS
    )
    async with open_store(config, clock=SystemClock(), connections=4) as store:
        with pytest.raises(SidecarError, match=r"s3\.endpoint_url") as caught:
            await store.put(spec("b"), body(file), checksum=checksum_of(CONTENT))
    assert (caught.value.kind, caught.value.maybe_done) == (ErrorKind.NETWORK, False)


@pytest.mark.parametrize("algorithm", list(Algorithm))
async def test_every_transport_checksum_confirms_or_refuses(
    seaweed: SeaweedServer, bucket: str, file: int, algorithm: Algorithm
) -> None:
    """PUT and multipart, right and wrong, with each value of s3.checksum."""
    async with store_on(seaweed, bucket, checksum=algorithm) as store:
        whole = checksum_of(CONTENT)
        await store.put(spec(bucket), body(file), checksum=whole)
        with pytest.raises(SidecarError) as caught:
            await store.put(spec(bucket), body(file, 1, MIB), checksum=checksum_of(CONTENT[:MIB]))
        assert caught.value.kind is ErrorKind.CORRUPT
        upload = OpenUpload(key="k.mp4", upload_id=await store.create(spec(bucket)))
        cut = 6 * MIB
        parts = [
            await store.put_part(upload, body(file, 0, cut), number=1),
            await store.put_part(upload, body(file, cut, len(CONTENT) - cut), number=2),
        ]
        with pytest.raises(SidecarError) as caught:
            await store.complete(upload, parts, checksum=checksum_of(b"something else"))
        assert caught.value.kind is ErrorKind.CORRUPT
        await store.complete(upload, parts, checksum=whole)
    got = seaweed.client().get_object(Bucket=bucket, Key="k.mp4")["Body"].read()
    assert got == CONTENT


async def test_secrets_that_change_are_used_at_once(seaweed: SeaweedServer, bucket: str) -> None:
    """Keys are asked for again with every request."""
    right = Keys(access_key_id=seaweed.access_key, secret_access_key=seaweed.secret_key)
    current = [KEYS]
    async with store_on(seaweed, bucket, keys=lambda: current[0]) as store:
        with pytest.raises(SidecarError):
            await store.probe()
        current[0] = right
        await store.probe()


@asynccontextmanager
async def answering(handler: Any) -> AsyncIterator[S3Config]:
    """Serve one answer to everything, as no real server here would give it."""
    app = web.Application(client_max_size=64 * MIB)
    app.router.add_route("*", "/{tail:.*}", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    try:
        yield S3Config(bucket="b", region="r", endpoint_url=f"http://127.0.0.1:{port}", keys=lambda: KEYS)
    finally:
        await runner.cleanup()


PART = Part(number=1, size_bytes=1, etag='"e"', checksum=checksum_of(b"x"))


async def test_a_complete_that_fails_inside_a_200_is_a_failure() -> None:
    """S3 may send the status before it knows."""

    async def handler(_request: web.Request) -> web.Response:
        text = "<Error><Code>InternalError</Code><Message>try again</Message></Error>"
        return web.Response(text=text, content_type="application/xml")

    async with answering(handler) as config, open_store(config, clock=SystemClock(), connections=4) as store:
        with pytest.raises(SidecarError) as caught:
            await store.complete(OpenUpload(key="k", upload_id="u"), [PART], checksum=checksum_of(b"x"))
    assert (caught.value.kind, caught.value.maybe_done) == (ErrorKind.NETWORK, True)


@pytest.mark.parametrize(
    ("status", "code"), [(501, "NotImplemented"), (400, "InvalidArgument"), (400, "InvalidRequest")]
)
async def test_a_store_that_refuses_the_condition_is_asked_without_it_from_then_on(
    file: int, status: int, code: str
) -> None:
    """Once is enough to know; PUT and Complete go as they would without it."""
    conditions = []

    async def handler(request: web.Request) -> web.Response:
        await request.read()
        conditions.append(request.headers.get("If-None-Match"))
        if conditions[-1] is not None:
            text = f"<Error><Code>{code}</Code><Message>no</Message></Error>"
            return web.Response(status=status, text=text, content_type="application/xml")
        headers = {"ETag": '"e"', "x-amz-checksum-crc64nvme": to_header(checksum_of(CONTENT[:10]))}
        return web.Response(headers=headers)

    async with answering(handler) as config, open_store(config, clock=SystemClock(), connections=4) as store:
        for _ in range(2):
            await store.put(spec("b"), body(file, 0, 10), checksum=checksum_of(CONTENT[:10]), once=True)
    assert conditions == ["*", None, None]


async def test_a_refusal_that_is_not_the_conditions_changes_nothing(file: int) -> None:
    """The request fails without the condition as well: the next one carries it again."""
    conditions = []

    async def handler(request: web.Request) -> web.Response:
        await request.read()
        conditions.append(request.headers.get("If-None-Match"))
        return web.Response(status=400)

    async with answering(handler) as config, open_store(config, clock=SystemClock(), connections=4) as store:
        for _ in range(2):
            with pytest.raises(SidecarError):
                await store.put(spec("b"), body(file, 0, 10), checksum=checksum_of(CONTENT[:10]), once=True)
    assert conditions == ["*", None, "*", None]


@pytest.mark.parametrize(("status", "code"), [(501, "NotImplemented"), (405, "MethodNotAllowed")])
async def test_a_listing_that_a_store_does_not_offer_is_a_right_that_we_lack(
    file: int, status: int, code: str
) -> None:
    """Nobody can do without it but the bucket's own rule; a resume then sends what is not journaled."""

    async def handler(_request: web.Request) -> web.Response:
        text = f"<Error><Code>{code}</Code><Message>no</Message></Error>"
        return web.Response(status=status, text=text, content_type="application/xml")

    async with answering(handler) as config, open_store(config, clock=SystemClock(), connections=4) as store:
        with pytest.raises(SidecarError, match="a rule of the bucket") as uploads:
            _ = [found async for found in store.open_uploads(prefix="")]
        with pytest.raises(SidecarError, match="a rule of the bucket") as parts:
            await store.existing_parts(OpenUpload(key="k", upload_id="u"), {1: body(file)})
    assert {uploads.value.kind, parts.value.kind} == {ErrorKind.FORBIDDEN}


async def test_a_store_that_confirms_no_checksum_is_refused_with_the_way_out(file: int) -> None:
    """The transfer fails, the probe fails once (so that the breaker opens), and the hint says md5."""

    async def handler(_request: web.Request) -> web.Response:
        return web.Response(headers={"ETag": '"e"'})

    async with answering(handler) as config, open_store(config, clock=SystemClock(), connections=4) as store:
        with pytest.raises(SidecarError, match=r"s3\.checksum: md5"):
            await store.put(spec("b"), body(file, 0, 10), checksum=checksum_of(CONTENT[:10]))
        with pytest.raises(SidecarError, match=r"s3\.checksum: md5"):
            await store.probe()
        await store.probe()


async def test_a_complete_whose_answer_is_empty_is_looked_up() -> None:
    """Ceph's gateway names neither ETag nor checksum in it; HEAD does."""
    checksum = checksum_of(b"x")

    async def handler(request: web.Request) -> web.Response:
        if request.method == "HEAD":
            named = {
                "ETag": '"e-1"',
                "x-amz-version-id": "v1",
                "x-amz-checksum-crc64nvme": to_header(checksum),
            }
            return web.Response(headers=named)
        text = "<CompleteMultipartUploadResult><Key>k</Key><ETag></ETag></CompleteMultipartUploadResult>"
        return web.Response(text=text, content_type="application/xml")

    async with answering(handler) as config, open_store(config, clock=SystemClock(), connections=4) as store:
        stored = await store.complete(OpenUpload(key="k", upload_id="u"), [PART], checksum=checksum)
    assert (stored.etag, stored.version_id) == ('"e-1"', "v1")


@pytest.mark.parametrize("code", ["NoSuchUpload", "NoSuchKey"])
async def test_an_unknown_upload_is_called_so_in_two_ways(file: int, code: str) -> None:
    """Ceph's gateway says NoSuchKey. Either way it is absent, and aborting it is success."""

    async def handler(request: web.Request) -> web.Response:
        await request.read()
        text = f"<Error><Code>{code}</Code><Message>no</Message></Error>"
        return web.Response(status=404, text=text, content_type="application/xml")

    upload = OpenUpload(key="k", upload_id="u")
    async with answering(handler) as config, open_store(config, clock=SystemClock(), connections=4) as store:
        with pytest.raises(SidecarError) as part:
            await store.put_part(upload, body(file, 0, 10), number=1)
        with pytest.raises(SidecarError) as complete:
            await store.complete(upload, [PART], checksum=checksum_of(b"x"))
        await store.abort(upload)
    assert is_absent(part.value)
    assert is_absent(complete.value)


async def test_a_store_that_holds_other_bytes_is_not_believed(file: int) -> None:
    """It says 200 and the checksum of what it has: another one than was sent."""

    async def handler(_request: web.Request) -> web.Response:
        other = checksum_of(b"other").removeprefix("crc64nvme:")
        return web.Response(headers={"ETag": '"e"', "x-amz-checksum-crc64nvme": other})

    async with answering(handler) as config, open_store(config, clock=SystemClock(), connections=4) as store:
        with pytest.raises(SidecarError, match="S3 holds") as caught:
            await store.put(spec("b"), body(file, 0, 10), checksum=checksum_of(CONTENT[:10]))
    assert caught.value.kind is ErrorKind.CORRUPT


@pytest.mark.parametrize(
    ("status", "kind", "maybe_done"),
    [
        (503, ErrorKind.THROTTLED, False),
        (429, ErrorKind.THROTTLED, False),
        (401, ErrorKind.UNAUTHORIZED, False),
        (403, ErrorKind.FORBIDDEN, False),
        (409, ErrorKind.CONFLICT, False),
        (412, ErrorKind.CONFLICT, True),
        (507, ErrorKind.QUOTA, False),
        (500, ErrorKind.NETWORK, True),
        (502, ErrorKind.NETWORK, True),
        (504, ErrorKind.NETWORK, True),
    ],
)
async def test_a_bare_status_has_a_meaning(file: int, status: int, kind: ErrorKind, maybe_done: bool) -> None:
    """Proxies answer without S3's XML; nothing is retried by the client."""
    calls = []

    async def handler(request: web.Request) -> web.Response:
        calls.append(request.method)
        await request.read()
        return web.Response(status=status)

    async with answering(handler) as config, open_store(config, clock=SystemClock(), connections=4) as store:
        with pytest.raises(SidecarError) as caught:
            await store.put(spec("b"), body(file, 0, 10), checksum=checksum_of(CONTENT[:10]))
    assert (caught.value.kind, caught.value.maybe_done) == (kind, maybe_done)
    assert calls == ["PUT"]


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (301, ""),
        (307, ""),
        (400, ""),
        (403, ""),
        (404, ""),
        (400, "AuthorizationHeaderMalformed"),
        (418, "Odd"),
    ],
)
async def test_a_bucket_that_says_where_it_is_is_believed(file: int, status: int, code: str) -> None:
    """Whatever the status, `x-amz-bucket-region` names the setting that is wrong."""

    async def handler(request: web.Request) -> web.Response:
        await request.read()
        text = f"<Error><Code>{code}</Code><Message>no</Message></Error>" if code else ""
        return web.Response(status=status, text=text, headers={"x-amz-bucket-region": "eu-west-3"})

    async with answering(handler) as config, open_store(config, clock=SystemClock(), connections=4) as store:
        for call in (
            store.probe(),
            store.put(spec("b"), body(file, 0, 10), checksum=checksum_of(CONTENT[:10])),
        ):
            with pytest.raises(SidecarError, match=r"set s3\.region: eu-west-3 \(it is r\)") as caught:
                await call
            assert (caught.value.kind, caught.value.scope) == (ErrorKind.NOT_FOUND, Scope.BUCKET)


async def test_a_full_bucket_is_not_said_to_be_elsewhere(file: int) -> None:
    """Some stores name one region in every answer, whatever they are asked with."""

    async def handler(request: web.Request) -> web.Response:
        await request.read()
        text = "<Error><Code>QuotaExceeded</Code><Message>full</Message></Error>"
        return web.Response(status=403, text=text, headers={"x-amz-bucket-region": "eu-west-3"})

    async with answering(handler) as config, open_store(config, clock=SystemClock(), connections=4) as store:
        with pytest.raises(SidecarError, match="raise the quota") as caught:
            await store.put(spec("b"), body(file, 0, 10), checksum=checksum_of(CONTENT[:10]))
    assert caught.value.kind is ErrorKind.QUOTA


async def test_under_md5_no_header_speaks_of_newer_checksums(file: int) -> None:
    """A store that is given md5 may refuse what it does not know, even the question in a HEAD."""
    seen: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        await request.read()
        seen.extend(f"{request.method} {name.lower()}" for name in request.headers)
        headers = {"ETag": '"e"'}
        if request.method == "POST" and "uploads" in request.query:
            text = "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>"
            return web.Response(text=text, content_type="application/xml")
        if request.method == "POST":
            text = "<CompleteMultipartUploadResult><ETag>e</ETag></CompleteMultipartUploadResult>"
            return web.Response(text=text, content_type="application/xml")
        return web.Response(headers=headers, body=None if request.method == "PUT" else b"0123456789")

    async with answering(handler) as plain:
        config = replace(plain, checksum=Algorithm.MD5)
        async with open_store(config, clock=SystemClock(), connections=4) as store:
            whole = checksum_of(CONTENT[:10])
            await store.put(spec("b"), body(file, 0, 10), checksum=whole)
            upload = OpenUpload(key="k", upload_id=await store.create(spec("b")))
            part = await store.put_part(upload, body(file, 0, 10), number=1)
            await store.complete(upload, [part], checksum=whole)
            await store.head("k")
            await store.probe()
    assert "PUT content-md5" in seen
    assert not [name for name in seen if "checksum" in name or "trailer" in name]


async def test_a_connection_that_breaks_may_have_done_its_work(file: int) -> None:
    """The request was read and never answered."""

    async def handler(request: web.Request) -> web.Response:
        await request.read()
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    async with answering(handler) as config, open_store(config, clock=SystemClock(), connections=4) as store:
        with pytest.raises(SidecarError) as caught:
            await store.put(spec("b"), body(file, 0, 10), checksum=checksum_of(CONTENT[:10]))
    assert (caught.value.kind, caught.value.maybe_done) == (ErrorKind.NETWORK, True)


async def test_a_bare_403_with_a_far_date_says_that_the_clock_is_wrong() -> None:
    """It looks like bad credentials and is not."""

    async def handler(_request: web.Request) -> web.Response:
        return web.Response(status=403, headers={"Date": "Sat, 01 Jan 2000 00:00:00 GMT"})

    async with answering(handler) as config, open_store(config, clock=SystemClock(), connections=4) as store:
        with pytest.raises(SidecarError, match="min ahead of S3's: set it"):
            await store.probe()


@pytest.mark.parametrize(
    ("mode", "key_id", "headers"),
    [
        ("none", None, {}),
        ("aes256", None, {"x-amz-server-side-encryption": "AES256"}),
        ("aws:kms", None, {"x-amz-server-side-encryption": "aws:kms"}),
        (
            "aws:kms",
            "key-1",
            {
                "x-amz-server-side-encryption": "aws:kms",
                "x-amz-server-side-encryption-aws-kms-key-id": "key-1",
            },
        ),
    ],
)
async def test_encryption_is_asked_for_as_configured(
    file: int, mode: str, key_id: str | None, headers: dict[str, str]
) -> None:
    """The shape of the request only: the real server here has no KMS."""
    seen: dict[str, str] = {}

    async def handler(request: web.Request) -> web.Response:
        found = {name.lower(): value for name, value in request.headers.items()}
        seen.update({name: value for name, value in found.items() if "encryption" in name})
        return web.Response(headers={"ETag": '"e"', "x-amz-checksum-crc64nvme": to_header(checksum)})

    checksum = checksum_of(CONTENT[:10])
    async with answering(handler) as plain:
        config = replace(plain, encryption=mode, kms_key_id=key_id)
        async with open_store(config, clock=SystemClock(), connections=4) as store:
            await store.put(spec("b"), body(file, 0, 10), checksum=checksum)
    assert seen == headers


async def test_another_bucket_than_the_configured_one_is_refused(
    seaweed: SeaweedServer, bucket: str, file: int
) -> None:
    """A transfer that was journaled for the old bucket does not land in the new one unseen."""
    async with store_on(seaweed, bucket) as store:
        with pytest.raises(SidecarError, match=r"s3\.bucket is") as caught:
            await store.put(spec("old-bucket"), body(file, 0, 10), checksum=checksum_of(CONTENT[:10]))
    assert caught.value.kind is ErrorKind.INVALID


@pytest.mark.parametrize("wrong", [{"profile": "nobody"}, {"keys": None}])
async def test_credentials_that_are_nowhere_to_be_found_are_unauthorized(
    seaweed: SeaweedServer,
    bucket: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    wrong: dict[str, Any],
) -> None:
    """The daemon stays up, degraded, and looks again: a role may be given later."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setattr("sidecar.upload.s3.credentials.FAILED_SECONDS", 0.0)
    async with store_on(seaweed, bucket, **({"keys": None} | wrong)) as store:
        with pytest.raises(SidecarError, match="credential") as caught:
            await store.probe()
        assert caught.value.kind is ErrorKind.UNAUTHORIZED
        if "profile" not in wrong:
            monkeypatch.setenv("AWS_ACCESS_KEY_ID", seaweed.access_key)
            monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", seaweed.secret_key)
            await store.probe()


async def test_a_bundle_that_is_not_there_is_a_mistake_in_the_configuration(bucket: str) -> None:
    """It ends the start with one sentence."""
    config = S3Config(bucket=bucket, region="r", keys=lambda: KEYS, ca_bundle="/none.pem")
    with pytest.raises(FatalError, match=r"s3\.ca_bundle") as caught:
        async with open_store(config, clock=SystemClock(), connections=4):
            pass
    assert caught.value.exit_status == 78


async def test_a_connection_that_stands_still_ends(file: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """No answer comes: the call is over after the limit, and may have been carried out."""
    monkeypatch.setattr("sidecar.upload.s3.calls.STALL_SECONDS", 0.2)
    over = asyncio.Event()

    async def handler(_request: web.Request) -> web.Response:
        await over.wait()
        return web.Response()

    async with answering(handler) as config, open_store(config, clock=SystemClock(), connections=4) as store:
        with pytest.raises(SidecarError, match="no progress") as caught:
            await store.put(spec("b"), body(file, 0, 10), checksum=checksum_of(CONTENT[:10]))
        over.set()
    assert (caught.value.kind, caught.value.maybe_done) == (ErrorKind.NETWORK, True)


async def test_a_question_that_hangs_ends_long_before_a_body(monkeypatch: pytest.MonkeyPatch) -> None:
    """HEAD follows every ambiguous failure, so that its wait is added to the wait before."""
    monkeypatch.setattr("sidecar.upload.s3.calls.PROBE_SECONDS", 0.2)
    over = asyncio.Event()

    async def handler(_request: web.Request) -> web.Response:
        await over.wait()
        return web.Response()

    async with answering(handler) as config, open_store(config, clock=SystemClock(), connections=4) as store:
        with pytest.raises(SidecarError, match="no progress") as caught:
            async with asyncio.timeout(DEADLINE_SECONDS):
                await store.head("k")
        over.set()
    assert caught.value.kind is ErrorKind.NETWORK


async def test_a_page_that_answers_in_the_place_of_s3_is_called_that(file: int) -> None:
    """A portal says 200 to everything: the store's checksums are not to blame."""

    async def handler(_request: web.Request) -> web.Response:
        return web.Response(text="<html>Welcome</html>", content_type="text/html")

    async with answering(handler) as config, open_store(config, clock=SystemClock(), connections=4) as store:
        with pytest.raises(SidecarError, match="not in S3's words: '<html>Welcome") as caught:
            await store.put(spec("b"), body(file, 0, 10), checksum=checksum_of(CONTENT[:10]))
    assert caught.value.maybe_done
    assert "is s3.endpoint_url the S3 API" in (caught.value.hint or "")


async def test_a_page_that_answers_a_look_is_no_object() -> None:
    """What it has no metadata of is not said to be another's: the look is repeated."""

    async def handler(_request: web.Request) -> web.Response:
        return web.Response(text="<html>Welcome</html>", content_type="text/html")

    async with answering(handler) as config, open_store(config, clock=SystemClock(), connections=4) as store:
        with pytest.raises(SidecarError, match="answer without ETag"):
            await store.head("k")


@pytest.mark.parametrize("is_there", [True, False])
async def test_a_200_that_answers_a_deletion_has_deleted_nothing(*, is_there: bool) -> None:
    """S3 says 204. What says 200 is believed once the object is seen to be gone."""

    async def handler(request: web.Request) -> web.Response:
        if request.method == "HEAD":
            return web.Response(headers={"ETag": '"e"'}, status=200 if is_there else 404)
        return web.Response()

    async with answering(handler) as config, open_store(config, clock=SystemClock(), connections=4) as store:
        if is_there:
            with pytest.raises(SidecarError, match="the object is still there"):
                await store.delete("k")
        else:
            await store.delete("k")


@pytest.mark.parametrize("carried_out", [False, True])
async def test_a_put_whose_used_connection_broke_is_sent_again_after_a_look_alone(
    file: int, *, carried_out: bool
) -> None:
    """It may have been carried out: HEAD tells, and then it goes once more, on a connection of its own."""
    asked: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        asked.append(request.method)
        await request.read()
        if request.method == "DELETE":
            return web.Response(status=204)
        if request.method == "HEAD":
            there = carried_out and "PUT" in asked
            about = {"ETag": '"e"', "x-amz-meta-transfer": "t"} if there else {}
            return web.Response(status=200 if there else 404, headers=about)
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    async with answering(handler) as config, open_store(config, clock=SystemClock(), connections=1) as store:
        await store.delete("k")  # leaves a connection to be used again
        with pytest.raises(SidecarError) as caught:
            await store.put(
                replace(spec("b"), metadata={"transfer": "t"}),
                body(file, 0, 10),
                checksum=checksum_of(CONTENT[:10]),
            )
    assert asked == ["DELETE", "PUT", "HEAD", *(() if carried_out else ("PUT",))]
    assert caught.value.maybe_done


@pytest.mark.parametrize("status", [301, 307])
async def test_a_redirect_says_nothing_about_what_is_there(status: int) -> None:
    """What is only to be asked for elsewhere is not gone: a clean-up task would be taken for done."""

    async def handler(_request: web.Request) -> web.Response:
        return web.Response(status=status, headers={"Location": "http://127.0.0.1:9/elsewhere"})

    async with answering(handler) as config, open_store(config, clock=SystemClock(), connections=4) as store:
        for question in (store.head("k"), store.abort(OpenUpload(key="k", upload_id="1"))):
            with pytest.raises(SidecarError) as caught:
                await question
            assert caught.value.kind is ErrorKind.NOT_FOUND


async def test_a_slow_link_is_not_a_standing_one(
    seaweed: SeaweedServer, bucket: str, file: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Our own bandwidth limit makes the call take longer than the limit on standing still."""
    monkeypatch.setattr("sidecar.upload.s3.calls.STALL_SECONDS", 0.5)
    clock = SystemClock()
    pace = Bandwidth(2 * MIB, clock=clock).take
    async with open_store(config_for(seaweed, bucket), clock=clock, connections=4, throttle=pace) as store:
        begun = clock.monotonic()
        await store.put(spec(bucket), body(file, 0, 3 * MIB), checksum=checksum_of(CONTENT[: 3 * MIB]))
    assert clock.monotonic() - begun > 1.0
