"""What is sent for a body is what the client library would send, down to its signature."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from unittest.mock import patch

import pytest
from aiobotocore.httpsession import AIOHTTPSession
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sidecar.core.checksum_algorithms import Algorithm
from sidecar.core.errors import SidecarError
from sidecar.upload.s3.body_client import BodyClient
from sidecar.upload.s3.credentials import Keys
from sidecar.upload.s3.endpoint import S3Config
from sidecar.upload.s3.object_store import open_store
from sidecar.upload.s3.outbound import Outbound
from sidecar.upload.s3.small_put import SmallRequest
from sidecar.upload.store import Body, ObjectSpec, OpenUpload
from tests.support.clock import ManualClock
from tests.support.loopthread import LoopThread
from tests.support.memory_store import checksum_of

MINIO = "http://minio.local:9000"
OWN = {"bucket": "lessons", "region": "eu-west-1"}
CONFIGS: dict[str, dict[str, Any]] = {
    "path": {"endpoint_url": MINIO},
    "path below a path": {"endpoint_url": f"{MINIO}/s3/"},
    "virtual": {"endpoint_url": MINIO, "addressing": "virtual"},
    "IPv6": {"endpoint_url": "http://[::1]:9000"},
    "standard port": {"endpoint_url": "https://S3.Example.COM:443"},
    "AWS": {},
    "AWS, path": {"addressing": "path"},
    "AWS, oldest region": {"region": "us-east-1"},
    "AWS in China": {"region": "cn-north-1"},
    "AWS for the government": {"region": "us-gov-west-1", "fips": True},
    "dual stack": {"dualstack": True},
    "FIPS": {"fips": True},
    "accelerated": {"accelerate": True},
    "accelerated, dual stack": {"accelerate": True, "dualstack": True},
    "a dot in the name": {"bucket": "lessons.example"},
    "AES256": {"encryption": "aes256", "app_id": "render"},
    "KMS": {"encryption": "aws:kms"},
    "KMS, a bucket key": {"encryption": "aws:kms", "bucket_key": True},
    "KMS, a key": {"encryption": "aws:kms", "kms_key_id": "arn:aws:kms:eu-west-1:1:key/a b"},
    **{f"under {one}": {"checksum": one} for one in Algorithm},
}
ASIDE = {"amz-sdk-invocation-id", "amz-sdk-request", "accept-encoding"}  # telemetry, and what is added later
LARGE = bytes(300 * 1024)


@dataclass(slots=True)
class Sent:
    """What went to the HTTP sessions, the newest last."""

    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    by: list[str] = field(default_factory=list)

    @contextmanager
    def caught(self) -> Iterator[None]:
        """Let nothing go further."""
        with (
            patch.object(Outbound, "put", self._put),
            patch.object(Outbound, "put_small", self._put_small),
            patch.object(AIOHTTPSession, "send", self._send),
        ):
            yield

    async def _put(self, url: str, headers: Any, _body: Any) -> None:
        self._note("ours", url, headers)

    async def _put_small(self, request: SmallRequest, _watch: Any) -> None:
        head, _, _ = request.data.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        assert first == f"PUT {request.path} HTTP/1.1"
        self._note("ours", request.url, dict(line.split(": ", 1) for line in lines))

    async def _send(self, request: Any) -> None:
        self._note("the library's", request.url, request.headers)

    def _note(self, by: str, url: str, headers: Any) -> None:
        named = {n.lower(): v.decode() if isinstance(v, bytes) else v for n, v in headers.items()}
        assert len(named) == len(headers)
        agent = re.sub(
            r"m/(\S+)", lambda found: "m/" + ",".join(sorted(found[1].split(","))), named["user-agent"]
        )
        self.by.append(by)
        self.requests.append(
            (url, {**{n: v for n, v in named.items() if n not in ASIDE}, "user-agent": agent})
        )
        raise TimeoutError


@pytest.fixture(scope="module")
def loop() -> Iterator[LoopThread]:
    """Run a loop beside the drawing."""
    with LoopThread() as loop:
        yield loop


TEXT = st.text(st.characters(blacklist_categories=["Cs"]), min_size=1, max_size=40)
KEY = TEXT | st.text("/.+%~ '()*&?#:;=@$,\\\"é語a\n", min_size=1, max_size=20)
PRINTABLE = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=30)
METADATA = st.dictionaries(st.from_regex(r"[a-z0-9_-]{1,12}", fullmatch=True), PRINTABLE, max_size=4)
TAGS = st.dictionaries(st.sampled_from(["project", "a b"]), TEXT.map(str.strip), max_size=2)
SPEC = st.fixed_dictionaries(
    {"key": KEY, "content_type": st.sampled_from(["video/mp4", "text/plain; charset=utf-8", 'a;  b="é  "']),
     "cache_control": st.none() | PRINTABLE, "metadata": METADATA, "tags": TAGS,
     "storage_class": st.sampled_from([None, "STANDARD_IA"]),
     "content_disposition": st.none() | PRINTABLE}
)  # fmt: skip
WHEN = st.integers(0, 4_000_000_000)  # seconds since 1970
END_OF_FEBRUARY = 1_709_251_199
ODD = {
    "key": "/../a//b +%é.mp4",
    "content_type": "a",
    "cache_control": " a   b ",
    "metadata": {"x": " y  z"},
    "tags": {"a b": "c/d&e=ü"},
    "storage_class": "GLACIER_IR",
    "content_disposition": "attachment",
}
TEMPORARY = Keys(access_key_id="A", secret_access_key="S", session_token="T")
KEYS = st.builds(
    Keys,
    access_key_id=st.from_regex(r"[A-Z0-9]{4,20}", fullmatch=True),
    secret_access_key=st.from_regex(r"[A-Za-z0-9/+]{1,40}", fullmatch=True),
    session_token=st.none() | st.from_regex(r"[A-Za-z0-9/+=]{1,200}", fullmatch=True),
)
BODY = st.binary(max_size=50) | st.just(LARGE)


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS.keys())
def test_every_body_is_asked_for_as_the_client_library_would(
    config: dict[str, Any], loop: LoopThread
) -> None:
    """The same address, headers and signature for whatever key, metadata, time and credentials.

    Also for others of the same rule, and where an object may be there already.
    """
    keys, clock, sent = [Keys(access_key_id="A", secret_access_key="S")], ManualClock(), Sent()
    told = S3Config(**{**OWN, **config}, keys=lambda: keys[0])
    stack = AsyncExitStack()
    store = loop.run(stack.enter_async_context(open_store(told, clock=clock, connections=2)))
    client, bodies = store._calls._client, store._calls._bodies
    assert isinstance(bodies, BodyClient)

    async def twice(call: Any) -> None:
        for by in (bodies, client):
            store._calls._bodies, store._calls._small = by, by if by is bodies else None
            with pytest.raises(SidecarError):
                await call()

    @settings(max_examples=8, derandomize=True)  # the same eight in every run; without it, others
    @given(spec=SPEC, data=BODY, when=WHEN, now=KEYS, once=st.booleans(), upload_id=TEXT)
    @example(spec=ODD, data=b"", when=END_OF_FEBRUARY, now=TEMPORARY, once=True, upload_id="u/+=& ~d")
    def same(spec: dict[str, Any], data: bytes, when: int, now: Keys, once: bool, upload_id: str) -> None:
        keys[0], clock.wall, at = now, when * 1000, datetime.fromtimestamp(when, UTC)
        body = Body(fd=-1, offset_bytes=0, length_bytes=len(data), data=data)
        about = ObjectSpec(bucket=told.bucket, **spec)
        upload = OpenUpload(key=about.key, upload_id=upload_id)
        whole = checksum_of(data)
        said = {name: f"%{value.strip()}s" for name, value in about.metadata.items()}
        alike, other = replace(about, key=f"{about.key}%s", metadata=said), checksum_of(b"%")
        more = Body(fd=-1, offset_bytes=0, length_bytes=1, data=b"%")
        with sent.caught(), patch("botocore.crt.auth.get_current_datetime", lambda **_: at):
            loop.run(twice(lambda: store.put(about, body, checksum=whole, once=once)))
            loop.run(twice(lambda: store.put(alike, more, checksum=other, once=once)))
            loop.run(twice(lambda: store.put(alike, more, checksum=other, once=not once)))
            loop.run(twice(lambda: store.put_part(upload, body, number=1 + when % 10_000)))
        assert sent.by == ["ours", "the library's"] * 4
        for ours, theirs in zip(sent.requests[::2], sent.requests[1::2], strict=True):
            assert ours[0] == theirs[0]
            assert set(ours[1].items()) ^ set(theirs[1].items()) == set()
        sent.requests.clear()
        sent.by.clear()

    try:
        same()
    finally:
        loop.run(stack.aclose())
