"""The client for bodies reads answers as the client library does, and fails as it does."""

from __future__ import annotations

import asyncio
import errno
import gc
import os
import socket
import string
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Any
from unittest.mock import patch

import aiohttp
import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest, HeadersDict
from botocore.credentials import Credentials
from botocore.exceptions import BotoCoreError
from botocore.parsers import create_parser
from hypothesis import given, settings
from hypothesis import strategies as st
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from sidecar.core.errors import ErrorKind, SidecarError
from sidecar.files import READ_BYTES, TruncatedError
from sidecar.upload.s3.body_client import BodyClient, _read
from sidecar.upload.s3.call import Call
from sidecar.upload.s3.connection import StaleConnectionError
from sidecar.upload.s3.connection_errors import as_client_error
from sidecar.upload.s3.credentials import Keys
from sidecar.upload.s3.endpoint import S3Config
from sidecar.upload.s3.library_session import LibrarySession
from sidecar.upload.s3.object_store import S3Store, open_store
from sidecar.upload.s3.outbound import Outbound
from sidecar.upload.s3.payload import THROTTLED_BYTES, TURN_CHUNKS, RangePayload, _in_memory
from sidecar.upload.s3.plain_answer import Answer, plain_answer
from sidecar.upload.s3.prepared_heads import head_of
from sidecar.upload.s3.sigv4 import Signer, Unsigned
from sidecar.upload.s3.small_put import SmallRequest
from sidecar.upload.s3.uplink import Uplink
from sidecar.upload.store import Body, ObjectSpec
from tests.support.clock import ManualClock
from tests.support.memory_store import checksum_of

BYTES = b"0123456789"
WHOLE = checksum_of(BYTES)
CONFIG = S3Config(
    bucket="lessons",
    region="eu-west-1",
    endpoint_url="http://minio.local:9000",
    keys=lambda: Keys(access_key_id="AKID", secret_access_key="secret"),
)
BODY = Body(fd=-1, offset_bytes=0, length_bytes=len(BYTES), data=BYTES)
SPEC = ObjectSpec(bucket="lessons", key="a b.mp4", content_type="video/mp4", cache_control=None, metadata={})
STORED = {"etag": '"e"', "x-amz-checksum-crc64nvme": WHOLE.removeprefix("crc64nvme:")}
Reply = Callable[[str, Any], Answer]


@asynccontextmanager
async def store_that_hears(
    *replies: Answer | Exception, **changes: Any
) -> AsyncIterator[tuple[S3Store, list[Any]]]:
    """Open a store whose bodies get these replies; what was asked is gathered."""
    asked: list[Any] = []
    due = list(replies)

    async def put(_self: Any, url: str, headers: Any, _body: Any) -> Answer:
        asked.append((url, dict(headers)))
        reply = due.pop(0)
        if isinstance(reply, Exception):
            raise reply
        return reply

    async def put_small(self: Any, request: SmallRequest, _watch: Any) -> Answer:
        lines = request.data.partition(b"\r\n\r\n")[0].decode().split("\r\n")[1:]
        return await put(self, request.url, dict(line.split(": ", 1) for line in lines), None)

    with patch.object(Outbound, "put", put), patch.object(Outbound, "put_small", put_small):
        async with open_store(replace(CONFIG, **changes), clock=ManualClock(), connections=2) as store:
            yield store, asked


# -- signatures ---------------------------------------------------------------------------------------
NAME = st.from_regex(r"[A-Za-z][A-Za-z0-9_-]{0,12}", fullmatch=True)
VALUE = st.text(st.characters(blacklist_categories=["Cs", "Cc"]), max_size=30)
PATH = st.text(string.ascii_letters + "/.%+~é", max_size=20).map(lambda text: f"/{text}")
QUERY = st.lists(st.from_regex(r"[a-z]{1,3}=[A-Za-z0-9%.~_-]{0,4}", fullmatch=True), max_size=4).map("&".join)
SECRET = st.from_regex(r"[A-Za-z0-9/+]{1,40}", fullmatch=True)


PAIR = st.tuples(SECRET, SECRET)
TIMES = st.tuples(st.integers(0, 4_000_000_000), st.integers(0, 4_000_000_000))  # seconds since 1970
UNSIGNED = {"Authorization", "Accept-Encoding", "Content-Length"}
SENT_ALWAYS = {"Host": "minio.local:9000", "User-Agent": "x", "Expect": "100-continue"}


def signed_by_botocore(url: str, headers: dict[str, str], secret: str, seconds: float) -> dict[str, str]:
    """Return the headers of a PUT as botocore's own signer makes them."""
    request = AWSRequest("PUT", url, headers=headers)
    request.context = {"client_config": type("Config", (), {"s3": {"payload_signing_enabled": False}})}
    at = datetime.fromtimestamp(seconds, UTC)
    with patch("botocore.auth.get_current_datetime", lambda: at):
        S3SigV4Auth(Credentials("AKID", secret), "s3", "eu-west-1").add_auth(request)
    return dict(request.headers.items())


@settings(max_examples=50, derandomize=True)
@given(headers=st.dictionaries(NAME, VALUE, max_size=8), path=PATH, query=QUERY, secrets=PAIR, times=TIMES)
def test_a_signature_is_botocores(
    headers: dict[str, str], path: str, query: str, secrets: tuple[str, str], times: tuple[int, int]
) -> None:
    """Whatever is signed, and whichever day and secret were signed with before."""
    signer = Signer(region="eu-west-1")
    once = {name.lower(): (name, value) for name, value in (headers | SENT_ALWAYS).items()}
    named = dict(once[name] for name in once if name != "date")
    url = f"http://minio.local:9000{path}{'?' if query else ''}{query}"
    for secret, seconds in product(secrets, times):
        theirs = signed_by_botocore(url, named, secret, seconds)
        stamp = theirs["X-Amz-Date"]
        ours = named | {"X-Amz-Date": stamp, "X-Amz-Content-SHA256": "UNSIGNED-PAYLOAD"}
        unsigned = Unsigned(method="PUT", path=path, query=query, headers=ours)
        said = signer.authorization(unsigned, access_key="AKID", secret_key=secret, stamp=stamp)
        assert said == theirs["Authorization"]


async def test_another_door_is_signed_for_as_well() -> None:
    """A redirect to the endpoint's own door changes host and path; the one it points to must believe us."""
    there = "http://lessons.minio.local:9000/a%20b.mp4"
    moved = Answer(307, {"location": there}, b"")
    stored = Answer(200, STORED, b"")
    async with store_that_hears(moved, moved, stored, moved, stored) as (store, asked):
        await store.put(SPEC, BODY, checksum=WHOLE)
        await store.put(SPEC, BODY, checksum=WHOLE)
    here, (url, headers) = asked[0][0], asked[2]
    assert [there for there, _ in asked] == [here, here, url, here, url]
    assert (url, headers["Host"]) == (there, "lessons.minio.local:9000")
    plain = {name: value for name, value in headers.items() if name not in UNSIGNED}
    theirs = signed_by_botocore(there, plain, "secret", ManualClock().wall_ms() // 1000)
    assert headers["Authorization"] == theirs["Authorization"]


async def test_a_small_body_that_goes_as_a_large_one_is_one_round_trip(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Behind a proxy, for one: that nothing went in the usual way tells nothing of the line."""
    monkeypatch.setattr(Outbound, "is_direct", lambda *_: False)
    seen = list[Call]()
    async with store_that_hears(Answer(200, STORED, b"")) as (store, asked):
        over = store.uplink.over

        def noted(call: Call, **named: Any) -> None:
            seen.append(call)
            over(call, **named)

        monkeypatch.setattr(store.uplink, "over", noted)
        await store.put(SPEC, BODY, checksum=WHOLE)
    assert (len(asked), len(seen)) == (1, 1)


async def test_a_bucket_that_wants_another_signature_is_left_to_the_client_library() -> None:
    """S3 Express asks for a session of its own first."""
    directory = replace(CONFIG, bucket="lessons--euw1-az1--x-s3", endpoint_url=None)
    async with open_store(directory, clock=ManualClock(), connections=1) as store:
        assert store._calls._bodies is store._calls._client
    async with open_store(CONFIG, clock=ManualClock(), connections=1) as store:
        assert isinstance(store._calls._bodies, BodyClient)


@pytest.mark.parametrize("wrong", [{"key": ""}, {"metadata": {"title": "é"}}, {"metadata": {"é": "title"}}])
async def test_what_no_request_can_say_is_invalid_and_not_sent(wrong: dict[str, Any]) -> None:
    """A PUT without a key would be the bucket's."""
    async with store_that_hears() as (store, asked):
        with pytest.raises(SidecarError) as caught:
            await store.put(replace(SPEC, **wrong), BODY, checksum=WHOLE)
    assert (caught.value.kind, asked) == (ErrorKind.INVALID, [])


# -- answers ------------------------------------------------------------------------------------------
CHECKSUMS = ("x-amz-checksum-crc64nvme", "x-amz-checksum-crc32c", "x-amz-checksum-sha256")
SAID = st.sampled_from(["ETag", "x-amz-version-id", "Date", "x-amz-request-id", "X-Odd", *CHECKSUMS])


@settings(max_examples=20, derandomize=True)
@given(headers=st.dictionaries(SAID, VALUE, max_size=9), status=st.sampled_from([200, 201, 204, 206]))
async def test_headers_say_what_the_client_library_hears(headers: dict[str, str], status: int) -> None:
    lowered = {name.lower(): value for name, value in headers.items()}
    async with open_store(CONFIG, clock=ManualClock(), connections=1) as store:
        client = await store._calls._client.client()
        ours = _read(Answer(status, lowered, b""))
        shape = client.meta.service_model.operation_model("PutObject").output_shape
        theirs = create_parser("rest-xml").parse(
            {"headers": HeadersDict(lowered), "status_code": status, "body": b""}, shape
        )
    fields = ("ETag", "VersionId", "ChecksumCRC64NVME", "ChecksumCRC32C", "ChecksumSHA256")
    assert {name: ours.get(name) for name in fields} == {name: theirs.get(name) for name in fields}
    about = ("HTTPStatusCode", "HTTPHeaders")
    assert [ours["ResponseMetadata"][name] for name in about] == [
        theirs["ResponseMetadata"][name] for name in about
    ]


@pytest.mark.parametrize(
    ("status", "body", "kind", "code"),
    [
        (200, b"<Error><Code>SlowDown</Code></Error>", ErrorKind.THROTTLED, "SlowDown"),
        (200, b"\xef\xbb\xbf <Error><Code>InternalError</Code></Error>", ErrorKind.NETWORK, "InternalError"),
        (200, b"<html>Welcome</html>", ErrorKind.UNKNOWN, "ResponseParserError"),
        (200, b"welcome", ErrorKind.UNKNOWN, "ResponseParserError"),
        (300, b"", ErrorKind.NOT_FOUND, "300"),
        (403, b"", ErrorKind.FORBIDDEN, "403"),
        (503, b"<html>Sorry</html>", ErrorKind.THROTTLED, "503"),
    ],
)  # fmt: skip
async def test_an_answer_that_is_no_success_is_none(
    status: int, body: bytes, kind: ErrorKind, code: str
) -> None:
    """With all that a success would say in its headers."""
    async with store_that_hears(Answer(status, STORED, body)) as (store, _):
        with pytest.raises(SidecarError) as caught:
            await store.put(SPEC, BODY, checksum=WHOLE)
    assert (caught.value.kind, caught.value.code) == (kind, code)
    assert (store.uplink.window.slowed_at > float("-inf")) == (kind is ErrorKind.THROTTLED)


async def test_a_success_may_have_a_body() -> None:
    """Some stores say more than they must."""
    async with store_that_hears(Answer(200, STORED, b"<PutObjectResult/>")) as (store, _):
        assert (await store.put(SPEC, BODY, checksum=WHOLE)).etag == '"e"'


PLAIN = b'HTTP/1.1 200 OK\r\nContent-Length: 0\r\nETag: "e"\r\n\r\n'
TOO_LONG = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX: " + b"a" * 8190 + b"\r\n\r\n"


@pytest.mark.parametrize(
    "said",
    [
        PLAIN[:-1],
        PLAIN + b"x",
        TOO_LONG,
        *(PLAIN.replace(b"200 OK", status) for status in (b"100 Continue", b"201 OK", b"503 Slow Down")),
        PLAIN.replace(b"/1.1", b"/1.0"),
        PLAIN.replace(b"Length: 0", b"Length: 1"),
        PLAIN.replace(b"Content-Length: 0\r\n", b""),
        *(
            PLAIN.replace(b"ETag:", more + b"\r\nETag:")
            for more in (
                b"ETag: a",
                b"content-length: 0",
                b"Transfer-Encoding: chunked",
                b"Connection: close",
                b" folded",
                b"X : a",
                b"X: \xc3\xa9",
                b"X: a\0",
                b"X:",
                b"X: a\rY: b",
                b"X: a\nY: b",
            )
        ),
    ],
)
def test_what_is_not_plainly_an_answer_is_left_to_the_client_library(said: bytes) -> None:
    """With its bounds, its strictness, and its names for what is wrong."""
    assert plain_answer(said) is None
    assert plain_answer(PLAIN) == Answer(200, {"content-length": "0", "etag": '"e"'}, b"")


async def test_an_answer_may_end_with_its_connection() -> None:
    """As that of an HTTP/1.0 gateway: a refusal keeps its code."""
    said = b"<Error><Code>BadDigest</Code></Error>"

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(BYTES)
        writer.write(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n" + said)
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        config = replace(CONFIG, endpoint_url=url)
        async with open_store(config, clock=ManualClock(), connections=1) as store:
            with pytest.raises(SidecarError) as caught:
                await store.put(SPEC, BODY, checksum=WHOLE)
    assert caught.value.kind is ErrorKind.CORRUPT


# -- failures -----------------------------------------------------------------------------------------
def payload_of(body: Body) -> RangePayload:
    """Return a body as it is sent."""
    return RangePayload(body, call=Uplink(most=1).call(30.0), throttle=None)


KEY = aiohttp.client_reqrep.ConnectionKey(
    host="h", port=1, is_ssl=False, ssl=True, proxy=None, proxy_auth=None, proxy_headers_hash=None,
    server_hostname=None,
)  # fmt: skip
ASKED = aiohttp.RequestInfo(URL("http://h"), "PUT", CIMultiDictProxy(CIMultiDict()), URL("http://h"))
REFUSED = OSError(111, "Connection refused")
FAILURES: list[Exception] = [
    aiohttp.ClientConnectorError(KEY, REFUSED),
    aiohttp.ClientConnectorDNSError(KEY, socket.gaierror(-2, "Name or service not known")),
    aiohttp.ClientConnectorSSLError(KEY, OSError(1, "[SSL: WRONG_VERSION_NUMBER]")),
    aiohttp.ClientConnectorCertificateError(KEY, ValueError("[SSL: CERTIFICATE_VERIFY_FAILED]")),
    aiohttp.ClientProxyConnectionError(KEY, REFUSED),
    aiohttp.ClientHttpProxyError(ASKED, (), status=407, message="who are you"),
    aiohttp.ServerDisconnectedError(),
    StaleConnectionError(),
    aiohttp.ClientPayloadError("cut off"),
    aiohttp.http_exceptions.BadStatusLine("odd"),
    aiohttp.ConnectionTimeoutError("Connection timeout to host http://h"),
    aiohttp.SocketTimeoutError("Timeout on reading data from socket"),
    aiohttp.ClientOSError(104, "Connection reset by peer"),
    aiohttp.ClientConnectionResetError("closing"),
    aiohttp.ClientResponseError(ASKED, (), status=400, message="Bad chunk"),
    socket.gaierror(-3, "Temporary failure in name resolution"),
    TimeoutError("slow"),
    OSError(24, "Too many open files"),
    ValueError("a header with a line break"),
]


@pytest.mark.parametrize("failure", FAILURES, ids=[type(failure).__name__ for failure in FAILURES])
async def test_what_breaks_has_the_name_that_the_client_library_gives(failure: Exception) -> None:
    """One table of ours reads both."""

    class Breaking:
        async def request(self, *_: object, **__: object) -> None:
            raise failure

    async def session(_self: Any, _proxy_url: str | None) -> Breaking:
        return Breaking()

    async with open_store(CONFIG, clock=ManualClock(), connections=1) as store:
        assert isinstance(store._calls._bodies, BodyClient)
        outbound = store._calls._bodies._session
        to_be_read = payload_of(replace(BODY, data=None))
        library = LibrarySession(way=outbound.way, outbound=outbound)
        with patch.object(Outbound, "session", session):
            request = AWSRequest("PUT", "http://h/k", headers={}).prepare()
            with pytest.raises((BotoCoreError, OSError)) as theirs:
                await library.send(request)
            with pytest.raises((BotoCoreError, OSError)) as ours:
                await outbound.put("http://h/k", {}, to_be_read)
    assert type(ours.value) is type(theirs.value)
    assert (str(ours.value), ours.value.kwargs["error"]) == (str(theirs.value), failure)


@pytest.mark.parametrize("failure", FAILURES, ids=[type(failure).__name__ for failure in FAILURES])
async def test_what_breaks_under_a_small_body_has_that_name_too(failure: Exception) -> None:
    """It goes on the connections of the client library's session without that session's requests."""

    async def connect(*_: object, **__: object) -> None:
        raise failure

    async with open_store(CONFIG, clock=ManualClock(), connections=1) as store:
        assert isinstance(store._calls._bodies, BodyClient)
        outbound = store._calls._bodies._session
        library = LibrarySession(way=outbound.way, outbound=outbound)
        with patch.object(aiohttp.TCPConnector, "connect", connect):
            request = AWSRequest("PUT", "http://h/k", headers={}).prepare()
            with pytest.raises((BotoCoreError, OSError)) as theirs:
                await library.send(request)
            with pytest.raises((BotoCoreError, OSError)) as ours:
                await outbound.put_small(SmallRequest("http://h", "/k", b""), Uplink(most=1).call(30.0))
    assert type(ours.value) is type(theirs.value)


@pytest.mark.parametrize("broken", ["a\nb", "a\rb", "a\r\nX-Amz-Acl: public-read", "a\0b"])
@pytest.mark.parametrize("place", ["name", "value", "target"])
def test_no_line_of_a_request_ends_early(place: str, broken: str) -> None:
    """Else whoever names a file could write headers."""
    target = broken if place == "target" else "/k"
    headers = {broken if place == "name" else "X": broken if place == "value" else "v"}
    with pytest.raises(ValueError, match="end of a line"):
        head_of(target, headers)
    assert head_of("/k", {"X": "é"}) == "PUT /k HTTP/1.1\r\nX: é\r\n\r\n"


def test_a_proxy_is_named_without_its_password() -> None:
    named = as_client_error(
        aiohttp.ClientProxyConnectionError(KEY, REFUSED), url="http://h", proxy_url="http://p:1"
    )
    assert str(named) == 'Failed to connect to proxy URL: "http://p:1"'


@pytest.mark.parametrize("data", [BYTES, None], ids=["small", "large"])
async def test_a_body_leaves_nothing_that_only_a_look_for_circles_frees(
    data: bytes | None, tmp_path: Path
) -> None:
    """Such looks were an eighth of the event loop's time in a burst: the call knew its task, and that it."""
    count = 30
    (tmp_path / "file").write_bytes(BYTES)
    stored = Answer(200, STORED, b"")
    async with store_that_hears(*[stored] * (count + 1)) as (store, _):
        with (tmp_path / "file").open("rb") as file:
            body = replace(BODY, fd=file.fileno(), data=data)
            await store.put(SPEC, body, checksum=WHOLE)
            gc.collect()
            for _ in range(count):
                await asyncio.create_task(store.put(SPEC, body, checksum=WHOLE))
            assert gc.collect() < count


# -- bytes --------------------------------------------------------------------------------------------
class Wire:
    """Takes what a body writes."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []

    async def write(self, data: bytes) -> None:
        """Take a piece."""
        self.pieces.append(data)


@pytest.mark.parametrize("limited", [False, True])
@pytest.mark.parametrize("known", [False, True])
async def test_a_body_is_fed_whole_and_in_order(tmp_path: Path, *, limited: bool, known: bool) -> None:
    """Read before or as it goes, in small pieces under a limit of ours, and twice if need be."""
    data, paid = os.urandom(2 * THROTTLED_BYTES + 7), []
    (tmp_path / "file").write_bytes(b"before" + data + b"after")
    fd = os.open(tmp_path / "file", os.O_RDONLY)
    body = Body(fd=fd, offset_bytes=6, length_bytes=len(data), data=data if known else None)

    async def pay(size: int) -> None:
        paid.append(size)

    uplink = Uplink(most=1)
    payload = RangePayload(
        body, call=uplink.call(30.0, length_bytes=len(data)), throttle=pay if limited else None
    )
    for _ in range(2):
        wire = Wire()
        await payload.write(wire)  # type: ignore[arg-type] # as much of a writer as it needs
        assert b"".join(wire.pieces) == data
        assert [len(piece) for piece in wire.pieces] == (
            [THROTTLED_BYTES] * 2 + [7] if limited else [len(data)]
        )
        assert payload.is_sent
    assert paid == ([THROTTLED_BYTES, THROTTLED_BYTES, 7] * 2 if limited else [])
    os.close(fd)


@pytest.fixture
async def chunks(tmp_path: Path) -> AsyncIterator[tuple[bytes, RangePayload]]:
    """Return some chunks, which the kernel has in memory, and a body of them."""
    data = os.urandom(5 * READ_BYTES * TURN_CHUNKS + 7)
    (tmp_path / "file").write_bytes(data)
    fd = os.open(tmp_path / "file", os.O_RDONLY)
    body = Body(fd=fd, offset_bytes=0, length_bytes=len(data))
    yield data, RangePayload(body, call=Uplink(most=1).call(30.0), throttle=None)
    os.close(fd)


async def test_what_is_in_memory_is_read_without_a_thread(
    chunks: tuple[bytes, RangePayload], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others have their turn meanwhile."""
    data, payload = chunks
    if not _in_memory(payload._body.fd, READ_BYTES, 0):
        pytest.skip("the kernel cannot tell, on this file system")
    monkeypatch.delattr(RangePayload, "_read")
    wire, turns = Wire(), 0

    async def other() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    beside = asyncio.create_task(other())
    await payload.write(wire)  # type: ignore[arg-type] # as above
    beside.cancel()
    assert b"".join(wire.pieces) == data
    assert turns >= len(wire.pieces) // TURN_CHUNKS - 1


@pytest.mark.parametrize("how", ["not at all", "half of it", "it cannot tell", "no such call"])
async def test_the_event_loop_waits_for_no_disk(
    chunks: tuple[bytes, RangePayload], monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """What the kernel does not have in memory is read by a thread."""
    data, payload = chunks
    threads = set()

    def preadv(fd: int, rooms: list[bytearray], offset: int, flags: int = 0) -> int:
        assert flags == os.RWF_NOWAIT
        if how != "half of it":
            raise OSError(errno.EAGAIN if how == "not at all" else errno.EOPNOTSUPP, "")
        return pread_into(fd, rooms[0][: len(rooms[0]) // 2], offset)

    def read(self: RangePayload, size: int, offset: int) -> bytes:
        threads.add(threading.current_thread())
        return os.pread(self._body.fd, size, offset)

    monkeypatch.setattr(os, "preadv", preadv)
    monkeypatch.setattr(RangePayload, "_read", read)
    if how == "no such call":
        monkeypatch.setattr("sidecar.upload.s3.payload._NO_WAIT", None)
    wire = Wire()
    await payload.write(wire)  # type: ignore[arg-type] # as above
    assert b"".join(wire.pieces) == data
    assert threads
    assert threading.current_thread() not in threads


def pread_into(fd: int, room: bytearray, offset: int) -> int:
    """Read into a buffer."""
    room[:] = os.pread(fd, len(room), offset)
    return len(room)


async def test_bytes_that_are_not_all_are_read_on(tmp_path: Path) -> None:
    """Whatever was read before, a body of another length is never sent."""
    (tmp_path / "file").write_bytes(b"short")
    fd = os.open(tmp_path / "file", os.O_RDONLY)
    body = Body(fd=fd, offset_bytes=0, length_bytes=6, data=b"short")
    payload = payload_of(body)
    with pytest.raises(TruncatedError):
        await payload.write(Wire())  # type: ignore[arg-type] # as above
    os.close(fd)
