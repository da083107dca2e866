"""Lists what S3 has, page by page: objects, open multipart uploads, the parts of one.

A store that offers a listing to nobody denies us a right, as far as we are concerned.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from sidecar.core.errors import ErrorKind, SidecarError
from sidecar.upload.store import ListedObject, OpenUpload

from .calls import Calls
from .errors import due
from .request_fields import of

_NOT_OFFERED = {"NotImplemented", "MethodNotAllowed", "501", "405"}
_HINT = "the store does not offer it: let a rule of the bucket abort incomplete multipart uploads"


async def objects(calls: Calls, *, prefix: str) -> AsyncIterator[ListedObject]:
    """List the objects below a prefix."""
    marker: dict[str, Any] = {}
    while True:
        page = await calls.call("list_objects_v2", prefix or calls.bucket, Prefix=prefix, **marker)
        for found in page.get("Contents", []):
            modified_ms = int(found["LastModified"].timestamp() * 1000)
            yield ListedObject(key=found["Key"], size_bytes=found["Size"], modified_ms=modified_ms)
        if not page.get("IsTruncated"):
            return
        token = due(page, "NextContinuationToken", operation="ListObjectsV2", target=prefix)
        marker = {"ContinuationToken": token}


async def uploads(calls: Calls, *, prefix: str) -> AsyncIterator[OpenUpload]:
    """List the open multipart uploads below a prefix. Mostly there is none."""
    if await calls.has_no_uploads(prefix):
        return
    marker: dict[str, Any] = {}
    while True:
        page = await _page(calls, "list_multipart_uploads", prefix or calls.bucket, Prefix=prefix, **marker)
        for found in page.get("Uploads", []):
            yield OpenUpload(key=found["Key"], upload_id=found["UploadId"])
        if not page.get("IsTruncated"):
            return
        marker = {
            "KeyMarker": due(page, "NextKeyMarker", operation="ListMultipartUploads", target=prefix),
            "UploadIdMarker": page.get("NextUploadIdMarker", ""),
        }


async def parts(calls: Calls, upload: OpenUpload) -> AsyncIterator[tuple[int, str]]:
    """List number and ETag of an open upload's parts."""
    marker: dict[str, Any] = {}
    while True:
        page = await _page(calls, "list_parts", upload.key, **of(upload), **marker)
        for part in page.get("Parts", []):
            yield int(part["PartNumber"]), str(part["ETag"])
        if not page.get("IsTruncated"):
            return
        after = due(page, "NextPartNumberMarker", operation="ListParts", target=upload.key)
        marker = {"PartNumberMarker": int(after)}


async def _page(calls: Calls, method: str, target: str, **fields: Any) -> dict[str, Any]:
    try:
        return await calls.call(method, target, **fields)
    except SidecarError as error:
        if error.code not in _NOT_OFFERED:
            raise
        raise SidecarError(
            ErrorKind.FORBIDDEN,
            error.message,
            operation=error.operation,
            target=target,
            hint=_HINT,
            code=error.code,
        ) from error
