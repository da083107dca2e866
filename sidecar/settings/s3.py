"""Settings of where bytes go: ``s3``, ``upload``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from sidecar.core.model import AssetType

from .secret import Secret, from_files
from .types import HttpUrl, Rate, Section, Size, or_auto, word
from .watch import TemplateText

MIB = 1024 * 1024
GIB = 1024 * MIB
CONCURRENCY_MAX = 256
_BUCKET = "a bucket's name has 3 to 255 letters, digits, dots and hyphens"


def _part_size(value: int) -> int:
    if not 5 * MIB <= value <= 5 * GIB:
        raise ValueError("S3 takes parts from 5MiB to 5GiB; 8MiB is a good choice")
    return value


def _concurrency(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= CONCURRENCY_MAX:
        raise ValueError(f"{text!r} is not allowed here; write auto or a number from 1 to {CONCURRENCY_MAX}")
    return int(text)


def _each_once(value: tuple[AssetType, ...]) -> tuple[AssetType, ...]:
    if len(set(value)) < len(value):
        raise ValueError("an asset type is named twice; name each at most once")
    return value


class Encryption(Section):
    """Server-side encryption that S3 is asked for."""

    mode: Literal["none", "aes256", "aws:kms"] = "none"
    """none: as the bucket says; aes256: SSE-S3; aws:kms: SSE-KMS."""
    kms_key_id: Annotated[str, Field(min_length=1)] | None = None
    """The KMS key, with aws:kms; default: the account's aws/s3 key."""
    bucket_key: bool = False
    """With aws:kms: S3 keeps a key for the bucket, which makes fewer and cheaper calls of KMS."""


class S3(Section):
    """The bucket and how to reach it."""

    bucket: Annotated[str, word(r"[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]", _BUCKET)]
    """The bucket's name. It must exist."""
    region: Annotated[str, word(r"[A-Za-z0-9-]{1,64}", "write a region such as us-east-1")] = "us-east-1"
    """The bucket's region; stores that know none take us-east-1. Default on AWS: AWS_REGION and its like."""
    endpoint_url: HttpUrl | None = None
    """Another S3 than AWS: MinIO, SeaweedFS, R2 and so on. Default: AWS_ENDPOINT_URL_S3 and its like."""
    addressing: Literal["auto", "path", "virtual"] = "auto"
    """auto: bucket in the host name on AWS, in the path at an endpoint_url."""
    key: TemplateText = "{session_id}/{scene_id}/{asset_type}/{stem}.{transfer}{ext}"
    """Object key. {transfer} makes every key unique; without it objects are overwritten in place."""
    access_key_id: Secret | None = None
    """Default: the AWS chain (environment, profile, container, instance, web identity), rotating."""
    access_key_id_file: Path | None = None
    """File with the access key id."""
    secret_access_key: Secret | None = None
    """Goes with access_key_id."""
    secret_access_key_file: Path | None = None
    """File with the secret access key."""
    session_token: Secret | None = None
    """For temporary credentials."""
    session_token_file: Path | None = None
    """File with the session token."""
    profile: Annotated[str, Field(min_length=1)] | None = None
    """Profile of the shared AWS configuration, instead of keys."""
    ca_bundle: Path | None = None
    """PEM file of certificate authorities to trust instead of AWS_CA_BUNDLE's, SSL_CERT_FILE's and so on."""
    part_size: Annotated[Size, AfterValidator(_part_size)] = 8 * MIB
    """Files of this size or more go up in parts of it; more for files beyond 10,000 parts."""
    checksum: Literal["auto", "crc64nvme", "crc32c", "sha256", "md5"] = "auto"
    """How bytes are checked on the way; auto: by the best that the store confirms. All others are strict."""
    encryption: Encryption = Field(default_factory=Encryption)
    """Server-side encryption."""
    public_base_url: HttpUrl | None = None
    """A CDN in front of the bucket: its URL goes to Convex instead of the bucket's."""

    @model_validator(mode="before")
    @classmethod
    def _secrets(cls, values: Any) -> Any:
        return from_files(values, "access_key_id", "secret_access_key", "session_token")


class Upload(Section):
    """How uploads share the machine and the line."""

    engine: Literal["auto", "crt", "aioboto3"] = "auto"
    """The client library."""
    concurrency: Annotated[int | Literal["auto"], *or_auto(_concurrency)] = "auto"
    """Transfers at once; what is more urgent, or small beside large ones, waits for no place."""
    memory: Size = 64 * MIB
    """Bytes of parts claimed at once, over all transfers."""
    bandwidth: Rate | None = None
    """Most bytes a second, over all transfers."""
    grow_ahead: Literal["auto", "off"] = "auto"
    """Whether large files may be uploaded while they grow."""
    priority: Annotated[tuple[AssetType, ...], AfterValidator(_each_once)] = (
        AssetType.THUMBNAIL,
        AssetType.SUBTITLE,
        AssetType.MANIFEST,
        AssetType.VIDEO_CHUNK,
        AssetType.SOURCE_CODE,
        AssetType.COMBINED_VIDEO,
    )
    """Which asset types go first; those not named come last."""
