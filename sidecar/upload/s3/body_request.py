"""Makes the requests that carry a file's bytes, PutObject and UploadPart, of the client library's own fields.

Where the bucket's objects are, and for which region requests are signed, is the client library's to say. Most
buckets have a door that is plain to see (``plain_door``); for others it is asked, once (``learn``). Where it
signs in another way, as for directory buckets, it sends bodies itself.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

from botocore.exceptions import BotoCoreError, ParamValidationError

from sidecar import __version__
from sidecar.core.checksum_algorithms import Algorithm

from .endpoint import S3Config, quoted
from .sigv4 import are_tidy

EVERY_REGION = "aws-global"  # stands in Amazon's list of endpoints alone
_PORTS = {"http": 80, "https": 443}
_KEY = "-"  # any that is spelt as it is
_PLAIN_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_PLAIN_REGION = re.compile(r"(?:us|eu|ap|ca|sa|me|af|il|mx)-[a-z]+-[1-9]")  # of the partition aws
_ODD_NAMES = ("--x-s3", "--table-s3", "-s3alias", "--ol-s3")  # a directory's bucket, a table's, access points
_NO_TOKEN = re.compile(r"[^A-Za-z0-9!$%&'*+.^_`|~-]")
DATE, LENGTH = "X-Amz-Date", "Content-Length"
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


class Address(NamedTuple):
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
        path = base.path + quoted(key)
        return Address(origin=base.origin, host=base.host, path=path, query=query)


def parse(url: str) -> Address:
    """Take an address apart."""
    parts = urlsplit(url)
    name = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    host = f"{name}:{parts.port}" if parts.port not in {None, _PORTS[parts.scheme]} else f"{name}"
    return Address(origin=f"{parts.scheme}://{parts.netloc}", host=host, path=parts.path, query=parts.query)


def headers(fields: dict[str, Any]) -> dict[str, str]:
    """Return what the fields say, as headers, and use the fields up.

    Raises KeyError for a field that no body of ours has, ParamValidationError for metadata that a header
    cannot carry.
    """
    metadata = fields.pop("Metadata", {})
    if "BucketKeyEnabled" in fields:
        fields["BucketKeyEnabled"] = str(fields["BucketKeyEnabled"]).lower()
    names = names_of(tuple(fields), tuple(metadata))
    values = [*fields.values(), *metadata.values()]
    if not "".join(metadata.values()).isascii():
        raise ParamValidationError(report="metadata that is not ASCII")
    if not are_tidy(values):
        values = [value.strip() for value in values]
    return dict(zip(names, values, strict=True))


@lru_cache(maxsize=256)
def names_of(fields: tuple[str, ...], metadata: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of headers, which all objects of a rule share."""
    if not "".join(metadata).isascii():
        raise ParamValidationError(report="metadata whose name is not ASCII")
    return *(_HEADERS[name] for name in fields), *(f"x-amz-meta-{name}" for name in metadata)


def user_agent(config: S3Config) -> str:
    """Return who asks, as S3's logs have it."""
    ours = f"render-sidecar/{__version__} lang/python#{sys.version.partition(' ')[0]}"
    return f"{ours} app/{_NO_TOKEN.sub('-', config.app_id)[:50]}" if config.app_id else ours


def plain_door(config: S3Config) -> Door | None:
    """Return the door of a bucket at its usual address. None: the client library has to be asked for it."""
    if config.endpoint_url is None:
        variant = config.dualstack or config.fips or config.accelerate
        is_plain = not variant and _PLAIN_REGION.fullmatch(config.region) is not None
    else:
        is_plain = not config.on_aws and config.region != EVERY_REGION
    if not is_plain or not _PLAIN_BUCKET.fullmatch(config.bucket) or config.bucket.endswith(_ODD_NAMES):
        return None
    base = parse(f"{config.bucket_url}/")
    return Door(base=base, region=config.region, user_agent=user_agent(config))


async def learn(client: Any, bucket: str) -> Door | None:
    """Ask the client library for the door; nothing is sent. None: it signs in a way of its own there."""
    from botocore.awsrequest import AWSResponse  # noqa: PLC0415 - it comes with the client

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
