"""Makes the requests that carry a file's bytes, PutObject and UploadPart, from the client library's own fields.

Where the bucket's objects are, and for which region requests are signed, is the client library's to say; it is
asked once (``learn``). What is not told by its usual signature is sent by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

from botocore.awsrequest import AWSResponse
from botocore.exceptions import BotoCoreError

from sidecar.core.checksum_algorithms import Algorithm

_KEY = "-"  # any that is spelt as it is
_HEADERS: Mapping[str, str] = {
    "ContentType": "Content-Type",
    "CacheControl": "Cache-Control",
    "ContentMD5": "Content-MD5",
    "IfNoneMatch": "If-None-Match",
    "ServerSideEncryption": "x-amz-server-side-encryption",
    "SSEKMSKeyId": "x-amz-server-side-encryption-aws-kms-key-id",
    "ChecksumAlgorithm": "x-amz-sdk-checksum-algorithm",
    **{f"Checksum{one.upper()}": f"x-amz-checksum-{one}" for one in Algorithm if one is not Algorithm.MD5},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """The bucket's door: ``base`` is what a key stands behind."""

    base: str
    region: str
    user_agent: str

    def url(self, fields: dict[str, Any]) -> str:
        """Take what says where a body goes out of the fields, and return the address."""
        url = self.base + quote(fields.pop("Key"), safe="/~")
        if "UploadId" not in fields:
            return url
        upload, number = quote(fields.pop("UploadId"), safe="-._~"), fields.pop("PartNumber")
        return f"{url}?uploadId={upload}&partNumber={number}"


def headers(fields: Mapping[str, Any]) -> dict[str, str]:
    """Return what the fields say as headers. Raises KeyError for a field that no body of ours has."""
    said = {_HEADERS[name]: str(value) for name, value in fields.items() if name != "Metadata"}
    for name, value in fields.get("Metadata", {}).items():
        said[f"x-amz-meta-{name}"] = value
    return said


async def learn(client: Any, bucket: str) -> Door | None:
    """Ask the client library for the door; nothing is sent. None: it signs in a way of its own there."""
    asked: list[tuple[dict[str, Any], dict[str, Any]]] = []

    def catch(params: dict[str, Any], context: dict[str, Any], **_: Any) -> Any:
        asked.append((params, context))
        return AWSResponse(params["url"], 200, {}, None), {"ResponseMetadata": {"HTTPStatusCode": 200}}

    client.meta.events.register_first("before-call.s3.PutObject", catch)
    try:
        await client.put_object(Bucket=bucket, Key=_KEY, Body=b"")
    except BotoCoreError:
        return None  # every call says why
    finally:
        client.meta.events.unregister("before-call.s3.PutObject", catch)
    return _door(*asked[0])


def _door(params: Mapping[str, Any], context: Mapping[str, Any]) -> Door | None:
    signing, url = context.get("signing", {}), str(params["url"])
    usual = context.get("auth_type") == "v4" and signing.get("signing_name") == "s3"
    if not usual or not url.endswith(f"/{_KEY}") or urlsplit(url).query:
        return None
    return Door(
        base=url.removesuffix(_KEY), region=signing["region"], user_agent=params["headers"]["User-Agent"]
    )
