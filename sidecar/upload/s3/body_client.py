"""Sends files' bytes, PutObject and UploadPart, over connections of ours, signed by ourselves.

The client library takes milliseconds for each request, of which a small body needs a fraction. Here it makes
what differs from one object to the next. Its arguments, answers and failures are the client library's own: an
answer that is more than headers is read by its parser, with all that listens to it.

awscrt is no cheaper (`python -m tests.bench.parts`, 2026-11-29): for a part of 8 MiB it took 22 ms of CPU
where this took 14, with TLS, and 15 where this took 6, without; and 65 MiB more of memory. Nor does it tell
whether a body moves, or bound an answer. So ``upload.engine: auto`` is this client.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable
from functools import lru_cache, partial
from typing import Any, Protocol
from urllib.parse import quote

from sidecar.core.checksum_algorithms import Algorithm
from sidecar.core.clock import Clock

from . import body_request
from .body_request import Address, Door
from .call import Call
from .credentials import Credentials, SigningKeys
from .endpoint import quoted
from .outbound import Outbound
from .payload import EXPECT_BYTES, RangePayload
from .plain_answer import ERROR_STATUS, Answer
from .prepared_heads import PreparedHeads, SmallPut
from .redirects import redirected
from .sigv4 import NO_PAYLOAD, STAMP, UNSIGNED_PAYLOAD, Signer, Unsigned
from .small_put import SmallRequest

_SAID = {
    "etag": "ETag",
    "x-amz-version-id": "VersionId",
    **{f"x-amz-checksum-{one}": f"Checksum{one.upper()}" for one in Algorithm if one is not Algorithm.MD5},
}


@lru_cache(maxsize=2)  # many requests go in one second
def _stamp(seconds: int) -> str:
    return time.strftime(STAMP, time.gmtime(seconds))


class Loadable(Protocol):
    """The client library, loaded by whoever needs it first."""

    @property
    def is_loaded(self) -> bool:
        """Whether anybody needed it."""

    async def client(self) -> Any:
        """Return its client."""


class BodyClient:
    """What the client library does for a request with a body, as far as we need it. Nothing retries."""

    def __init__(
        self, *, library: Loadable, session: Outbound, credentials: Credentials, door: Door, clock: Clock
    ) -> None:
        """``library`` reads answers; its requests go by ``session``, too, which whoever opened it closes."""
        self._library, self._session, self._credentials = library, session, credentials
        self._door, self._clock = door, clock
        self._signer = Signer(region=door.region)
        self._heads = PreparedHeads(self._signer)

    def put_object(self, **fields: Any) -> Awaitable[dict[str, Any]]:
        """Store an object. Raises what the client library raises."""
        return self._call("PutObject", fields)

    def upload_part(self, **fields: Any) -> Awaitable[dict[str, Any]]:
        """Store a part. Raises what the client library raises."""
        return self._call("UploadPart", fields)

    async def small_request(self, put: SmallPut) -> SmallRequest | None:
        """Return the request for an object that is in memory; None where ``put_object`` has to do it."""
        base = self._door.base
        if not self._session.is_direct(base.origin):
            return None
        keys = await self._credentials.get_frozen_credentials()
        stamp = _stamp(self._clock.wall_ms() // 1000)
        path = base.path + quoted(put.spec.key)
        usual = partial(self._usual, put, keys, stamp)
        head = self._heads.head(put, path, keys=keys, stamp=stamp, usual=usual)
        return None if head is None else SmallRequest(base.origin, path, head + put.data)

    async def put_small(self, request: SmallRequest, watch: Call) -> dict[str, Any]:
        """Do as ``put_object`` does for such a request."""
        return await self._said("PutObject", request.url, await self._session.put_small(request, watch))

    def _usual(self, put: SmallPut, keys: SigningKeys, stamp: str) -> tuple[dict[str, str], dict[str, str]]:
        fields = put.fields()
        address = self._door.address(fields)
        return _signed(address, fields, keys, stamp), self._not_signed(len(put.data))

    async def _call(self, operation: str, fields: dict[str, Any]) -> dict[str, Any]:
        del fields["Bucket"]  # it is the door's
        body: RangePayload = fields.pop("Body")
        address = self._door.address(fields)
        url = address.url
        if (way := redirected(url)) != url:
            url, address = way, body_request.parse(way)
        headers = await self._authorized("PUT", address, fields)
        answer = await self._session.put(url, headers | self._not_signed(len(body)), body)
        return await self._said(operation, url, answer)

    async def ask_for_uploads(self, prefix: str) -> Answer | None:
        """Ask for the open multipart uploads below a prefix; None where the client library asks as cheaply.

        Raises what the client library raises.
        """
        if self._library.is_loaded:
            return None
        base = self._door.base
        query = f"encoding-type=url&prefix={quote(prefix, safe='-._~')}&uploads="
        address = base._replace(path=base.path[:-1] or "/", query=query)
        headers = await self._authorized("GET", address, {}, payload=NO_PAYLOAD)
        return await self._session.get(address.url, headers | self._unnamed)

    async def _authorized(
        self, method: str, address: Address, fields: dict[str, Any], payload: str = UNSIGNED_PAYLOAD
    ) -> dict[str, str]:
        keys = await self._credentials.get_frozen_credentials()
        stamp = _stamp(self._clock.wall_ms() // 1000)
        headers = _signed(address, fields, keys, stamp, payload)
        unsigned = Unsigned(
            method=method, path=address.path, query=address.query, headers=headers, payload=payload
        )
        authorization = self._signer.authorization(
            unsigned, access_key=keys.access_key, secret_key=keys.secret_key, stamp=stamp
        )
        return {**headers, "Authorization": authorization}

    @property
    def _unnamed(self) -> dict[str, str]:
        """What stands in every request, and is not signed."""
        return {"User-Agent": self._door.user_agent, "Accept-Encoding": "identity"}

    def _not_signed(self, length_bytes: int) -> dict[str, str]:
        headers = {**self._unnamed, body_request.LENGTH: str(length_bytes)}
        if length_bytes > EXPECT_BYTES:  # so that a refusal is read, and not lost in a reset connection
            headers["Expect"] = "100-continue"
        return headers

    async def _said(self, operation: str, url: str, answer: Answer) -> dict[str, Any]:
        if answer.status < ERROR_STATUS and not answer.body:
            return _read(answer)
        client = await self._library.client()
        from .library_answer import read_answer  # noqa: PLC0415 - it needs the client library

        return await read_answer(client, operation, url, answer)


def _signed(
    address: Address,
    fields: dict[str, Any],
    keys: SigningKeys,
    stamp: str,
    payload: str = UNSIGNED_PAYLOAD,
) -> dict[str, str]:
    """Return the headers that are signed; uses the fields up."""
    token = {"X-Amz-Security-Token": keys.token} if keys.token else {}
    return {
        "Host": address.host,
        **body_request.headers(fields),
        **token,
        body_request.DATE: stamp,
        "x-amz-content-sha256": payload,
    }


def _read(answer: Answer) -> dict[str, Any]:
    """Return a success as the client library does; the usual one has headers alone."""
    headers = answer.headers
    said: dict[str, Any] = {field: headers[name] for name, field in _SAID.items() if name in headers}
    said["ResponseMetadata"] = {"HTTPStatusCode": answer.status, "HTTPHeaders": headers}
    return said
