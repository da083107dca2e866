"""Sends files' bytes, PutObject and UploadPart, over the client library's HTTP session, signed by ourselves.

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
from typing import Any

from aiobotocore.credentials import AioCredentials
from botocore.awsrequest import AWSResponse
from botocore.credentials import ReadOnlyCredentials
from botocore.parsers import create_parser

from sidecar.core.checksum_algorithms import Algorithm
from sidecar.core.clock import Clock

from . import body_request
from .body_request import Address, Door
from .call import Call
from .endpoint import quoted
from .payload import EXPECT_BYTES, RangePayload
from .plain_answer import Answer
from .prepared_heads import PreparedHeads, SmallPut
from .proxied_session import Outbound
from .redirects import redirected
from .sigv4 import STAMP, UNSIGNED_PAYLOAD, Signer, Unsigned
from .small_put import SmallRequest

_ERROR_STATUS = 300
_SAID = {
    "etag": "ETag",
    "x-amz-version-id": "VersionId",
    **{f"x-amz-checksum-{one}": f"Checksum{one.upper()}" for one in Algorithm if one is not Algorithm.MD5},
}


@lru_cache(maxsize=2)  # many requests go in one second
def _stamp(seconds: int) -> str:
    return time.strftime(STAMP, time.gmtime(seconds))


class BodyClient:
    """What the client library does for a request with a body, as far as we need it. Nothing retries."""

    def __init__(
        self, *, client: Any, session: Outbound, credentials: AioCredentials, door: Door, clock: Clock
    ) -> None:
        """``session`` is the one of ``client``, which closes it."""
        self._client, self._session, self._credentials = client, session, credentials
        self._door, self._clock = door, clock
        self._signer = Signer(region=door.region)
        self._heads = PreparedHeads(self._signer)
        self._parser = create_parser("rest-xml")

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

    def _usual(
        self, put: SmallPut, keys: ReadOnlyCredentials, stamp: str
    ) -> tuple[dict[str, str], dict[str, str]]:
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
        headers = await self._headers(address, fields, body)
        return await self._said(operation, url, await self._session.put(url, headers, body))

    async def _headers(self, address: Address, fields: dict[str, Any], body: RangePayload) -> dict[str, str]:
        keys = await self._credentials.get_frozen_credentials()
        stamp = _stamp(self._clock.wall_ms() // 1000)
        headers = _signed(address, fields, keys, stamp)
        unsigned = Unsigned(method="PUT", path=address.path, query=address.query, headers=headers)
        authorization = self._signer.authorization(
            unsigned, access_key=keys.access_key, secret_key=keys.secret_key, stamp=stamp
        )
        return {**headers, "Authorization": authorization, **self._not_signed(len(body))}

    def _not_signed(self, length_bytes: int) -> dict[str, str]:
        headers = {
            "User-Agent": self._door.user_agent,
            "Accept-Encoding": "identity",
            body_request.LENGTH: str(length_bytes),
        }
        if length_bytes > EXPECT_BYTES:  # so that a refusal is read, and not lost in a reset connection
            headers["Expect"] = "100-continue"
        return headers

    async def _said(self, operation: str, url: str, answer: Answer) -> dict[str, Any]:
        if answer.status >= _ERROR_STATUS or answer.body:
            return await self._parsed(operation, url, answer)
        return _read(answer)

    async def _parsed(self, operation: str, url: str, answer: Answer) -> dict[str, Any]:
        """Read an answer by the client library, with all that listens to it, and raise what it raises."""
        model = self._client.meta.service_model.operation_model(operation)
        response = AWSResponse(url, answer.status, answer.headers, None)
        said = {
            "headers": response.headers,
            "status_code": answer.status,
            "body": answer.body,
            "context": {"operation_name": operation},
        }
        await self._tell("before-parse", model, response_dict=said, customized_response_dict={})
        parsed: dict[str, Any] = self._parser.parse(said, model.output_shape)
        await self._tell("after-call", model, http_response=response, parsed=parsed, context={})
        if parsed["ResponseMetadata"]["HTTPStatusCode"] < _ERROR_STATUS:
            return parsed
        code = parsed.get("Error", {}).get("Code")
        raise self._client.exceptions.from_code(code)(parsed, operation)

    async def _tell(self, event: str, model: Any, **about: Any) -> None:
        names = {"before-parse": "operation_model", "after-call": "model"}
        await self._client.meta.events.emit(f"{event}.s3.{model.name}", **{names[event]: model}, **about)


def _signed(
    address: Address, fields: dict[str, Any], keys: ReadOnlyCredentials, stamp: str
) -> dict[str, str]:
    """Return the headers that are signed; uses the fields up."""
    token = {"X-Amz-Security-Token": keys.token} if keys.token else {}
    return {
        "Host": address.host,
        **body_request.headers(fields),
        **token,
        body_request.DATE: stamp,
        "x-amz-content-sha256": UNSIGNED_PAYLOAD,
    }


def _read(answer: Answer) -> dict[str, Any]:
    """Return a success as the client library does; the usual one has headers alone."""
    headers = answer.headers
    said: dict[str, Any] = {field: headers[name] for name, field in _SAID.items() if name in headers}
    said["ResponseMetadata"] = {"HTTPStatusCode": answer.status, "HTTPHeaders": headers}
    return said
