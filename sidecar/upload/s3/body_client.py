"""Sends files' bytes, PutObject and UploadPart, over the client library's HTTP session, signed by ourselves.

The client library takes milliseconds for each request, of which a small body needs a fraction. Here it makes
what differs from one object to the next. Its arguments, answers and failures are the client library's own: an
answer that is more than headers is read by its parser, with all that listens to it.
"""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import urlsplit

from aiobotocore.credentials import AioCredentials
from botocore.awsrequest import AWSPreparedRequest
from botocore.parsers import create_parser

from sidecar.core.checksum_algorithms import Algorithm
from sidecar.core.clock import Clock

from . import body_request
from .body_request import Door
from .payload import READ_BYTES, RangePayload
from .proxied_session import Outbound
from .redirects import go_the_way
from .sigv4 import STAMP, UNSIGNED_PAYLOAD, Signer, Unsigned

_ERROR_STATUS = 300
_PORTS = {"http": 80, "https": 443}
_SAID = {
    "etag": "ETag",
    "x-amz-version-id": "VersionId",
    **{f"x-amz-checksum-{one}": f"Checksum{one.upper()}" for one in Algorithm if one is not Algorithm.MD5},
}


class BodyClient:
    """What the client library does for a request with a body, as far as we need it. Nothing retries."""

    def __init__(
        self, *, client: Any, session: Outbound, credentials: AioCredentials, door: Door, clock: Clock
    ) -> None:
        """``session`` is the one of ``client``, which closes it."""
        self._client, self._session, self._credentials = client, session, credentials
        self._door, self._clock = door, clock
        self._signer = Signer(region=door.region)
        self._parser = create_parser("rest-xml")

    async def put_object(self, **fields: Any) -> dict[str, Any]:
        """Store an object. Raises what the client library raises."""
        return await self._call("PutObject", fields)

    async def upload_part(self, **fields: Any) -> dict[str, Any]:
        """Store a part. Raises what the client library raises."""
        return await self._call("UploadPart", fields)

    async def _call(self, operation: str, fields: dict[str, Any]) -> dict[str, Any]:
        del fields["Bucket"]  # it is the door's
        body: RangePayload = fields.pop("Body")
        params = {"url": self._door.url(fields)}
        go_the_way(params)
        headers = await self._headers(params["url"], fields, body)
        request = AWSPreparedRequest("PUT", params["url"], headers, body, stream_output=False)
        return await self._answer(operation, await self._session.send(request))

    async def _headers(self, url: str, fields: dict[str, Any], body: RangePayload) -> dict[str, str]:
        keys = await self._credentials.get_frozen_credentials()
        parts = urlsplit(url)
        stamp = time.strftime(STAMP, time.gmtime(self._clock.wall_ms() / 1000))
        headers = {"Host": _host(parts), **body_request.headers(fields)}
        if keys.token:
            headers["X-Amz-Security-Token"] = keys.token
        headers |= {"X-Amz-Date": stamp, "x-amz-content-sha256": UNSIGNED_PAYLOAD}
        unsigned = Unsigned(method="PUT", path=parts.path, query=parts.query, headers=headers)
        headers["Authorization"] = self._signer.authorization(
            unsigned, access_key=keys.access_key, secret_key=keys.secret_key, stamp=stamp
        )
        headers |= {"User-Agent": self._door.user_agent, "Content-Length": str(len(body))}
        if len(body) > READ_BYTES:  # so that a refusal is read, and not lost in a reset connection
            headers["Expect"] = "100-continue"
        return headers

    async def _answer(self, operation: str, response: Any) -> dict[str, Any]:
        body = await response.content
        if response.status_code < _ERROR_STATUS and not body:
            headers = {name.lower(): value for name, value in response.headers.items()}
            said = {field: headers[name] for name, field in _SAID.items() if name in headers}
            about = {"HTTPStatusCode": response.status_code, "HTTPHeaders": headers}
            return {**said, "ResponseMetadata": about}
        return await self._parsed(operation, response, body)

    async def _parsed(self, operation: str, response: Any, body: bytes) -> dict[str, Any]:
        """Read an answer as the client library does, which hears of it, and raise what it raises."""
        model = self._client.meta.service_model.operation_model(operation)
        events = self._client.meta.events
        answer = {
            "headers": response.headers,
            "status_code": response.status_code,
            "body": body,
            "context": {"operation_name": operation},
        }
        await events.emit(
            f"before-parse.s3.{operation}",
            operation_model=model,
            response_dict=answer,
            customized_response_dict={},
        )
        parsed: dict[str, Any] = self._parser.parse(answer, model.output_shape)
        await events.emit(
            f"after-call.s3.{operation}", http_response=response, parsed=parsed, model=model, context={}
        )
        if parsed["ResponseMetadata"]["HTTPStatusCode"] < _ERROR_STATUS:
            return parsed
        code = parsed.get("Error", {}).get("Code")
        raise self._client.exceptions.from_code(code)(parsed, operation)


def _host(parts: Any) -> str:
    host = f"[{parts.hostname}]" if ":" in parts.hostname else str(parts.hostname)
    return host if parts.port in {None, _PORTS[parts.scheme]} else f"{host}:{parts.port}"
