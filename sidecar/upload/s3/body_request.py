"""Makes the requests that carry a file's bytes, PutObject and UploadPart, of the client library's own fields.

Where the bucket's objects are, and for which region requests are signed, is the client library's to say; it
is asked once (``learn``). Where it signs in another way, as for directory buckets, it sends bodies itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

from botocore.awsrequest import AWSResponse
from botocore.exceptions import BotoCoreError, ParamValidationError

from sidecar.core.checksum_algorithms import Algorithm

_PORTS = {"http": 80, "https": 443}
_KEY = "-"  # any that is spelt as it is
_HEADERS: Mapping[str, str] = {
    "ContentType": "Content-Type",
    "CacheControl": "Cache-Control",
    "ContentDisposition": "Content-Disposition",
    "ContentMD5": "Content-MD5",
    "IfNoneMatch": "If-None-Match",
    "ServerSideEncryption": "x-amz-server-side-encryption",
    "SSEKMSKeyId": "x-amz-server-side-encryption-aws-kms-key-id",
    "BucketKeyEnabled": "x-amz-server-side-encryption-bucket-key-enabled",
    "StorageClass": "x-amz-storage-class",
    "Tagging": "x-amz-tagging",
    "ChecksumAlgorithm": "x-amz-sdk-checksum-algorithm",
    **{f"Checksum{one.upper()}": f"x-amz-checksum-{one}" for one in Algorithm if one is not Algorithm.MD5},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a request goes, in the parts that are signed."""

    origin: str  # scheme and host
    host: str  # as the header Host has it
    path: str
    query: str = ""

    @property
    def url(self) -> str:
        """All of it."""
        return f"{self.origin}{self.path}?{self.query}" if self.query else self.origin + self.path


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """The bucket's door: keys stand behind ``base``."""

    base: Address
    region: str
    user_agent: str

    def address(self, fields: dict[str, Any]) -> Address:
        """Take what says where a body goes out of the fields. Raises ParamValidationError for no key."""
        key, base, query = fields.pop("Key"), self.base, ""
        if not key:  # the bucket itself
            raise ParamValidationError(report="an object's key is empty")
        if "UploadId" in fields:
            upload = quote(fields.pop("UploadId"), safe="-._~")
            query = f"uploadId={upload}&partNumber={fields.pop('PartNumber')}"
        path = base.path + quote(key, safe="/~")
        return Address(origin=base.origin, host=base.host, path=path, query=query)


def parse(url: str) -> Address:
    """Take an address apart."""
    parts = urlsplit(url)
    name = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    host = f"{name}:{parts.port}" if parts.port not in {None, _PORTS[parts.scheme]} else f"{name}"
    return Address(origin=f"{parts.scheme}://{parts.netloc}", host=host, path=parts.path, query=parts.query)


def headers(fields: Mapping[str, Any]) -> dict[str, str]:
    """Return what the fields say, as headers. Raises KeyError for a field that no body of ours has.

    Raises ParamValidationError for metadata that a header cannot carry.
    """
    said = {
        _HEADERS[name]: value.strip() if isinstance(value, str) else str(value).lower()
        for name, value in fields.items()
        if name != "Metadata"
    }
    for name, value in fields.get("Metadata", {}).items():
        if not (name.isascii() and value.isascii()):
            raise ParamValidationError(report=f"metadata that is not ASCII: {name}")
        said[f"x-amz-meta-{name}"] = value.strip()
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
    except (BotoCoreError, ValueError):
        return None  # every call will say why
    finally:
        client.meta.events.unregister("before-call.s3.PutObject", catch)
    return _door(*asked[0])


def _door(params: Mapping[str, Any], context: Mapping[str, Any]) -> Door | None:
    signing, url = context.get("signing", {}), str(params["url"])
    usual = context.get("auth_type") == "v4" and signing.get("signing_name") == "s3" and "region" in signing
    if not usual or not url.endswith(f"/{_KEY}") or urlsplit(url).query:
        return None
    agent = params["headers"]["User-Agent"]
    return Door(base=parse(url.removesuffix(_KEY)), region=signing["region"], user_agent=agent)
