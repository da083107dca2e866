"""The client library is loaded by the first who needs it, and the rest of us say what it would."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from unittest.mock import patch

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from sidecar.core.errors import ErrorKind, FatalError, SidecarError
from sidecar.upload.s3 import body_request, client
from sidecar.upload.s3.body_client import BodyClient
from sidecar.upload.s3.clients import open_clients
from sidecar.upload.s3.credentials import Keys
from sidecar.upload.s3.endpoint import S3Config
from sidecar.upload.s3.object_store import open_store
from sidecar.upload.s3.outbound import Outbound
from sidecar.upload.s3.plain_answer import Answer
from sidecar.upload.s3.response import is_without_uploads
from sidecar.upload.store import OpenUpload
from tests.support.clock import ManualClock

CONFIG = S3Config(
    bucket="lessons",
    region="eu-west-1",
    endpoint_url="http://127.0.0.1:9",
    keys=lambda: Keys(access_key_id="AKID", secret_access_key="secret", session_token="token"),
)
NONE = (
    b'<?xml version="1.0"?>\n<ListMultipartUploadsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
    b"<Bucket>lessons</Bucket><KeyMarker/><UploadIdMarker/><MaxUploads>1000</MaxUploads>"
    b"<IsTruncated>false</IsTruncated></ListMultipartUploadsResult>"
)
ONE = NONE.replace(b"<IsTr", b"<Upload><Key>a</Key><UploadId>u</UploadId></Upload><IsTr")
PROGRAM = """
import asyncio, sys
from sidecar.core.checksums import to_text
from sidecar.core.clock import SystemClock
from awscrt.checksums import crc64nvme
from sidecar.settings.s3 import S3
from sidecar.upload.s3.endpoint import s3_config
from sidecar.upload.s3.object_store import open_store
from sidecar.upload.store import Body, ObjectSpec

def loaded():
    return ",".join(sorted({"aioboto3", "aiobotocore", "boto3", "urllib3"} & set(sys.modules))) or "none"

async def life(endpoint_url):
    keys = {"access_key_id": "a", "secret_access_key": "s"}
    settings = S3.model_validate({"bucket": "lessons", "endpoint_url": endpoint_url, **keys})
    async with open_store(s3_config(settings), clock=SystemClock(), connections=2) as store:
        assert [one async for one in store.open_uploads(prefix="")] == []
        for size in (10, 300_000):
            data = bytes(size)
            spec = ObjectSpec(bucket="lessons", key="k", content_type="a/b", cache_control=None, metadata={})
            body = Body(fd=-1, offset_bytes=0, length_bytes=size, data=data)
            await store.put(spec, body, checksum=to_text(crc64nvme(data)))
        print(loaded())
        await store.probe()
        print(loaded())

asyncio.run(life(sys.argv[1]))
"""
REFUSED = b"<Error><Code>AccessDenied</Code><Message>no</Message></Error>"


@asynccontextmanager
async def s3_that_lists(*listings: tuple[int, bytes]) -> AsyncIterator[tuple[S3Config, list[str]]]:
    """Serve one listing after another, the last one again and again, and take every PUT; gather questions."""
    asked: list[str] = []
    due = list(listings)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            first, *lines = head.decode().split("\r\n")
            named = {line.partition(": ")[0].lower(): line.partition(": ")[2] for line in lines}
            asked.append(first)
            if "expect" in named:
                writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            await reader.readexactly(int(named.get("content-length", 0)))
            status, body = (due.pop(0) if len(due) > 1 else due[0]) if first.startswith("GET") else (200, b"")
            confirmed = f"x-amz-checksum-crc64nvme: {named.get('x-amz-checksum-crc64nvme')}"
            said = f'ETag: "e"\r\n{confirmed}'
            writer.write(
                f"HTTP/1.1 {status} Said\r\n{said}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
            )

    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except asyncio.IncompleteReadError:
            writer.close()

    async with await asyncio.start_server(served, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        yield replace(CONFIG, endpoint_url=f"http://127.0.0.1:{port}"), asked


async def listed(config: S3Config) -> list[OpenUpload]:
    """Return the open uploads as a store that has asked nothing yet finds them."""
    async with open_store(config, clock=ManualClock(), connections=2) as store:
        return [one async for one in store.open_uploads(prefix="a b/")]


# -- what is loaded -----------------------------------------------------------------------------------
async def test_a_life_that_sends_whole_objects_loads_no_client_library() -> None:
    """It is a fifth of what a start takes. The first other question loads it."""
    alone = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    async with s3_that_lists((200, NONE)) as (config, asked):
        running = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", PROGRAM, str(config.endpoint_url)),
            env=alone | {"HOME": "/nowhere"},
            stdout=asyncio.subprocess.PIPE,
        )
        out, _ = await running.communicate()
    assert [line.partition(" ")[0] for line in asked] == ["GET", "PUT", "PUT", "HEAD"]
    assert out.decode().splitlines() == ["none", "aioboto3,aiobotocore,boto3,urllib3"]


async def test_it_is_made_once_for_all_who_ask_together() -> None:
    async with open_clients(CONFIG, connections=1, clock=ManualClock()) as clients:
        before = clients.api.is_loaded
        made = await asyncio.gather(*(clients.api.client() for _ in range(5)))
        assert (before, clients.api.is_loaded) == (False, True)
    assert len(set(map(id, made))) == 1


async def test_a_client_that_cannot_be_made_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also later than at the start; and the next who asks may find it mended."""

    def broken(**_: Any) -> Any:
        raise LookupError("no description of s3")

    async with open_clients(CONFIG, connections=1, clock=ManualClock()) as clients:
        with monkeypatch.context() as patched:
            patched.setattr(client, "open_core", broken)
            with pytest.raises(FatalError, match="the S3 client cannot be made: no description of s3"):
                await clients.api.head_bucket(Bucket="lessons")
        assert await clients.api.client() is not None


# -- doors --------------------------------------------------------------------------------------------
STORE = {"endpoint_url": "http://minio.local:9000"}
DOORS: tuple[dict[str, Any], ...] = (
    {},
    STORE,
    {**STORE, "addressing": "virtual"},
    {"endpoint_url": "https://Minio.local:443/s3/"},
    *({"endpoint_url": None, "region": one} for one in ("us-east-1", "eu-central-2", "ap-southeast-7")),
    *({"endpoint_url": None, "region": one} for one in ("cn-north-1", "us-gov-west-1", "us-iso-east-1")),
    *({"endpoint_url": None, "region": one} for one in ("aws-global", "eusc-de-east-1", "garage")),
    {"endpoint_url": "https://s3.eu-west-1.amazonaws.com"},
    {"endpoint_url": None, "addressing": "path"},
    *({"endpoint_url": None, one: True} for one in ("dualstack", "fips", "accelerate")),
    *(
        {"endpoint_url": None, "bucket": one}
        for one in ("les.sons", "Lessons", "les_sons", "l--usw2-az1--x-s3")
    ),
    *({"endpoint_url": None, "bucket": one} for one in ("a-1-s3alias", "a-1--ol-s3", "a--table-s3")),
    *({**STORE, "bucket": one} for one in ("les.sons", "Lessons", "les_sons", "l--usw2-az1--x-s3")),
)


@pytest.mark.parametrize("fields", DOORS, ids=str)
async def test_a_door_that_is_plain_to_see_is_the_client_librarys(fields: dict[str, Any]) -> None:
    config = replace(CONFIG, **fields)
    plain = body_request.plain_door(config)
    async with open_clients(config, connections=1, clock=ManualClock()) as clients:
        learnt = await body_request.learn(await clients.api.client(), config.bucket)
        door = clients.bodies._door if isinstance(clients.bodies, BodyClient) else None
        region = (await clients.api.client()).meta.region_name
    assert plain in (None, learnt)
    assert (door, clients.region) == (learnt, region)
    odd = {"dualstack", "fips", "accelerate"} & fields.keys() or "s3" in config.bucket
    assert (plain is None) or not odd


# -- listings of uploads ------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (NONE, True),
        (NONE + b"\n", True),
        (ONE, False),
        (ONE.replace(b"Upload>", b"s3:Upload>").replace(b"<s3:UploadId>", b"<UploadId>"), False),
        (ONE.replace(b"<Upload>", b'<Upload a="b">'), False),
        (NONE.replace(b"false", b"true"), False),
        (NONE.replace(b"<IsTruncated>false</IsTruncated>", b""), False),
        (NONE[:-1], False),
        (NONE.replace(b"ListMultipartUploadsResult", b"html"), False),
        (b"", False),
        (REFUSED, False),
    ],
)
def test_a_listing_is_empty_where_it_says_so(body: bytes, *, expected: bool) -> None:
    """In the usual words, to its end; whatever else it is the client library reads."""
    assert is_without_uploads(body) is expected


async def test_an_empty_listing_is_asked_for_once() -> None:
    async with s3_that_lists((200, NONE)) as (config, asked):
        assert await listed(config) == []
    assert asked == ["GET /lessons?encoding-type=url&prefix=a%20b%2F&uploads= HTTP/1.1"]


@pytest.mark.parametrize("pages", [1, 2])
async def test_uploads_are_found_by_the_client_library(pages: int) -> None:
    """Page by page, whatever the first question made of them."""
    more = b"<NextKeyMarker>a</NextKeyMarker><NextUploadIdMarker>u</NextUploadIdMarker>"
    first = ONE.replace(b"<IsTruncated>false", more + b"<IsTruncated>true")
    listings = [(200, first), (200, first)] if pages > 1 else [(200, ONE)]
    async with s3_that_lists(*listings, (200, ONE)) as (config, asked):
        assert await listed(config) == [OpenUpload(key="a", upload_id="u")] * pages
    assert len(asked) == pages + 1


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (403, REFUSED, ErrorKind.FORBIDDEN),
        (200, b"<html>Welcome</html>", ErrorKind.UNKNOWN),
        (200, b"", ErrorKind.UNKNOWN),
        (503, b"", ErrorKind.THROTTLED),
        (501, REFUSED.replace(b"AccessDenied", b"NotImplemented"), ErrorKind.FORBIDDEN),
    ],
)
async def test_what_is_no_listing_is_judged_as_ever(status: int, body: bytes, kind: ErrorKind) -> None:
    async with s3_that_lists((status, body)) as (config, _):
        with pytest.raises(SidecarError) as caught:
            await listed(config)
    assert (caught.value.kind, caught.value.operation) == (kind, "ListMultipartUploads")


async def test_nobody_there_is_the_network() -> None:
    """And loads nothing."""
    async with open_store(CONFIG, clock=ManualClock(), connections=1) as store:
        with pytest.raises(SidecarError) as caught:
            [one async for one in store.open_uploads(prefix="")]
        assert not store._calls._client.is_loaded
    assert (caught.value.kind, caught.value.maybe_done) == (ErrorKind.NETWORK, False)


@pytest.mark.parametrize(
    "fields", [STORE, {**STORE, "addressing": "virtual"}, {"endpoint_url": None}], ids=str
)
async def test_the_question_is_signed_as_botocore_signs(fields: dict[str, Any]) -> None:
    asked = list[tuple[str, dict[str, str]]]()

    async def get(_: Any, url: str, headers: Any) -> Answer:
        asked.append((url, dict(headers)))
        return Answer(200, {}, NONE)

    with patch.object(Outbound, "get", get):
        assert await listed(replace(CONFIG, **fields)) == []
    [(url, headers)] = asked
    at = datetime.fromtimestamp(ManualClock().wall_ms() // 1000, UTC)
    request = AWSRequest("GET", url, headers={"Host": headers["Host"]})
    request.context = {}
    with patch("botocore.auth.get_current_datetime", lambda: at):
        S3SigV4Auth(Credentials("AKID", "secret", "token"), "s3", "eu-west-1").add_auth(request)
    signed = {name.lower(): value for name, value in request.headers.items()}
    ours = {name.lower(): value for name, value in headers.items()}
    assert {name: ours[name] for name in signed} == signed
    assert ours.keys() - signed.keys() == {"user-agent", "accept-encoding"}
