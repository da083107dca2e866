"""Reads an answer of S3 that says no, for the table of ``core/s3_failures.py``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from sidecar.core.clock import disagreement
from sidecar.core.errors import ErrorKind, Scope, SidecarError
from sidecar.core.failures import Refusal, RefusalRow, meaning
from sidecar.core.retry_after import asked_pause_seconds
from sidecar.core.s3_failures import ENDPOINT, FOREIGN, REGION, S3_ROWS

MESSAGE_CHARS_MAX = 500
_REGION_DECIDES = frozenset({ErrorKind.NOT_FOUND, ErrorKind.INVALID, ErrorKind.UNKNOWN, ErrorKind.FORBIDDEN})


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """What we know of ourselves and of S3 when an answer comes.

    ``skew_seconds`` is our clock minus S3's, None if unknown; ``region`` is ``s3.region``.
    """

    skew_seconds: float | None = None
    region: str | None = None


def refused(answer: Mapping[str, Any], *, operation: str, target: str, asker: Asker) -> SidecarError:
    """Return the failure that botocore's answer is."""
    refusal = _refusal(answer, operation)
    row = meaning(S3_ROWS, refusal)
    headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    elsewhere = _elsewhere(headers, row, asker)
    hint = elsewhere or _clock_hint(refusal.status, asker.skew_seconds) or _towards(refusal.status, headers)
    return SidecarError(
        ErrorKind.NOT_FOUND if elsewhere else row.kind,
        _words(refusal),
        operation=operation,
        target=target,
        hint=hint or row.hint,
        code=refusal.code or str(refusal.status),
        maybe_done=row.maybe_done,
        redacted=row.redacted,
        pause_seconds=asked_pause_seconds(headers.get("retry-after"), headers.get("date")),
        scope=Scope.BUCKET if elsewhere else row.scope,
        silent=not refusal.code and refusal.message in {"", _phrase(refusal.status)},
    )


def _refusal(answer: Mapping[str, Any], operation: str) -> Refusal:
    """Read an answer. Without a body, or with one that is not S3's, botocore gives the status as its code."""
    about = answer.get("Error", {})
    status = int(answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    code = str(about.get("Code", ""))
    said = "" if code == str(status) else code
    message = one_line(str(about.get("Message") or _phrase(status)))
    return Refusal(
        operation=operation, status=status, code=said, message=message, bodyless=said in {"", FOREIGN}
    )  # fmt: skip


def _phrase(status: int) -> str:
    """Return what botocore says where there is no body."""
    return HTTPStatus(status).phrase if status in set(HTTPStatus) else ""


def _words(refusal: Refusal) -> str:
    if not refusal.bodyless:
        return f"{refusal.code}: {refusal.message}"
    who = "a proxy" if refusal.status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED else "S3"
    return f"{who} answered {refusal.status} {refusal.message}".rstrip()


def _elsewhere(headers: Mapping[str, str], row: RefusalRow, asker: Asker) -> str | None:
    """Return a hint where S3 names another region for the bucket than ours, with whatever status."""
    region = headers.get("x-amz-bucket-region")
    signed_for_another = row.hint == REGION
    if not region or region == asker.region or not (row.kind in _REGION_DECIDES or signed_for_another):
        return None
    return f"the bucket says that it is in {region}: set s3.region: {region} (it is {asker.region})"


def _towards(status: int, headers: Mapping[str, str]) -> str | None:
    """Name the host that a redirect points to, which gets neither bytes nor tokens."""
    location = str(headers.get("location") or "")
    if status // 100 != 3 or not location:  # noqa: PLR2004 - HTTP's own number
        return None
    try:
        to = urlsplit(location)
        where = f"{to.scheme}://{to.hostname}" + (f":{to.port}" if to.port else "")
    except ValueError:
        return ENDPOINT
    return (
        f"it points to {where[:MESSAGE_CHARS_MAX]}: if that is your store, set s3.endpoint_url or s3.region"
    )


def _clock_hint(status: int, skew_seconds: float | None) -> str | None:
    """Recognize a wrong clock, which looks like bad credentials: a 403 whose Date is far from ours."""
    return disagreement("S3", skew_seconds) if status == HTTPStatus.FORBIDDEN else None


def one_line(text: str) -> str:
    """Return one line of bounded length: a parser quotes the whole body."""
    uplink = " ".join(text.split())
    return uplink if len(uplink) <= MESSAGE_CHARS_MAX else uplink[:MESSAGE_CHARS_MAX] + "…"
