"""Fills the fields of requests that say which object they are about, and what it is."""

from __future__ import annotations

from typing import Any

from sidecar.core import object_tags
from sidecar.core.checksum_algorithms import Algorithm
from sidecar.core.errors import ErrorKind, Scope, SidecarError
from sidecar.upload.store import ObjectSpec, OpenUpload

from .checksums import SENT_UNDER
from .endpoint import S3Config


def about(spec: ObjectSpec, config: S3Config, algorithm: Algorithm) -> dict[str, Any]:
    """Return everything about an object but its bytes. Raises SidecarError for another bucket's."""
    if spec.bucket != config.bucket:
        message = f"it was meant for the bucket {spec.bucket}, and s3.bucket is {config.bucket}"
        hint = "requeue it: it then goes to the bucket of the settings"
        raise SidecarError(
            ErrorKind.INVALID, message, operation="send", target=spec.key, hint=hint, scope=Scope.OBJECT
        )
    said: dict[str, Any] = {
        "Key": spec.key,
        "ContentType": spec.content_type,
        "Metadata": _metadata(spec, algorithm),
    }
    if spec.cache_control is not None:
        said["CacheControl"] = spec.cache_control
    if spec.content_disposition is not None:
        said["ContentDisposition"] = spec.content_disposition
    if spec.storage_class is not None:
        said["StorageClass"] = spec.storage_class
    if spec.tags:
        said["Tagging"] = object_tags.header(spec.tags)
    if config.encryption != "none":
        said |= _encryption(config)
    return said


def of(upload: OpenUpload) -> dict[str, Any]:
    """Return what names an open upload."""
    return {"Key": upload.key, "UploadId": upload.upload_id}


def _metadata(spec: ObjectSpec, algorithm: Algorithm) -> dict[str, str]:
    """Name the algorithm where HEAD will not show a crc64nvme; nobody else's word for it is taken."""
    if algorithm is Algorithm.CRC64NVME and SENT_UNDER not in spec.metadata:
        return dict(spec.metadata)
    rest = {name: value for name, value in spec.metadata.items() if name != SENT_UNDER}
    return rest if algorithm is Algorithm.CRC64NVME else rest | {SENT_UNDER: algorithm}


def _encryption(config: S3Config) -> dict[str, Any]:
    if config.encryption == "aes256":
        return {"ServerSideEncryption": "AES256"}
    key = {"SSEKMSKeyId": config.kms_key_id} if config.kms_key_id else {}
    bucket_key = {"BucketKeyEnabled": True} if config.bucket_key else {}
    return {"ServerSideEncryption": "aws:kms", **key, **bucket_key}
