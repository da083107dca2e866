"""What S3, the connection and the disk say, as one of our kinds, by the table of ``core/s3_failures.py``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
from botocore import exceptions as boto
from botocore.parsers import ResponseParserError

from sidecar.core.clock import disagreement
from sidecar.core.errors import ErrorKind, Scope, SidecarError
from sidecar.core.failures import Refusal, Row, meaning
from sidecar.core.s3_failures import CHECK_KEYS, ENDPOINT, NOT_S3, REGION, S3_ROWS
from sidecar.files import NotRegularError, TruncatedError

_NO_S3_ANSWER = (ResponseParserError, ValueError)  # a page of something else in a 200; a number that is none
FAULTS = (  # OSError: TimeoutError too
    *(boto.BotoCoreError, boto.ClientError, aiohttp.ClientError, OSError),
    *_NO_S3_ANSWER,
)
MESSAGE_CHARS_MAX = 500

_TLS = "check the certificate, s3.ca_bundle and the scheme of s3.endpoint_url"
_REGION_DECIDES = frozenset({ErrorKind.NOT_FOUND, ErrorKind.INVALID, ErrorKind.UNKNOWN, ErrorKind.FORBIDDEN})


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """What we know of ourselves and of S3 when an answer comes.

    ``skew_seconds`` is our clock minus S3's, None if unknown; ``region`` is ``s3.region``.
    """

    skew_seconds: float | None = None
    region: str | None = None


@dataclass(frozen=True, slots=True)
class _Meaning:
    """What a failure without an answer means; ``maybe_done``: the request may have been carried out."""

    kind: ErrorKind
    hint: str | None = None
    maybe_done: bool = False


_NOT_SENT = (boto.ConnectTimeoutError, boto.ProxyConnectionError)
_NO_CREDENTIALS = (
    boto.NoCredentialsError,
    boto.PartialCredentialsError,
    boto.CredentialRetrievalError,
    boto.TokenRetrievalError,
    boto.UnauthorizedSSOTokenError,
    boto.ProfileNotFound,
    boto.MetadataRetrievalError,
)


def translate(error: Exception, *, operation: str, target: str, asker: Asker) -> SidecarError:
    """Return the failure as the rest of the sidecar knows it."""
    if isinstance(error, boto.ClientError):
        return _answered(error, operation=operation, target=target, asker=asker)
    meaning, message = _unanswered(error)
    return SidecarError(
        meaning.kind,
        message,
        operation=operation,
        target=target,
        hint=meaning.hint,
        code=type(error).__name__,
        maybe_done=meaning.maybe_done,
    )


def due(answer: Mapping[str, Any], name: str, *, operation: str, target: str) -> Any:
    """Return what every S3 says in this answer. Raises SidecarError for one that does not, an empty 200."""
    if name in answer:
        return answer[name]
    message = f"an answer without {name}"
    raise SidecarError(
        ErrorKind.UNKNOWN, message, operation=operation, target=target, hint=NOT_S3, maybe_done=True
    )


def from_disk(error: OSError, *, operation: str, target: str) -> SidecarError:
    """Return a failure to read the local file. One that became shorter is CORRUPT: it must be read again."""
    kind = ErrorKind.CORRUPT if isinstance(error, TruncatedError) else ErrorKind.LOCAL_IO
    hint = None
    if isinstance(error, PermissionError):
        hint = "let the sidecar's user read the renderer's files"
    elif isinstance(error, NotRegularError):
        hint = "only regular files below the root are sent"
    message = error.strerror or str(error)
    return SidecarError(
        kind,
        message,
        operation=operation,
        target=target,
        hint=hint,
        code=type(error).__name__,
        scope=Scope.OURS,
    )


def _answered(error: boto.ClientError, *, operation: str, target: str, asker: Asker) -> SidecarError:
    refusal = _refusal(error, operation)
    row = meaning(S3_ROWS, refusal)
    elsewhere = _elsewhere(error, row, asker)
    words = f"{refusal.code}: {refusal.message}" if refusal.code else f"S3 answered {refusal.message}"
    return SidecarError(
        ErrorKind.NOT_FOUND if elsewhere else row.kind,
        words,
        operation=operation,
        target=target,
        hint=elsewhere or _clock_hint(refusal.status, asker.skew_seconds) or row.hint,
        code=refusal.code or str(refusal.status),
        maybe_done=row.maybe_done,
        scope=Scope.BUCKET if elsewhere else row.scope,
        silent=refusal.bodyless,
    )


def _refusal(error: boto.ClientError, operation: str) -> Refusal:
    """Read an answer. botocore gives one without a body, or with one that is not S3's, its status as code."""
    answer: dict[str, Any] = error.response
    about = answer.get("Error", {})
    status = int(answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    code = str(about.get("Code", ""))
    said = "" if code == str(status) else code
    message = _short(str(about.get("Message") or f"status {status}"))
    return Refusal(
        operation=operation,
        status=status,
        code=said,
        message=message if said else f"{status} {message}",
        bodyless=not said,
    )


def _elsewhere(error: boto.ClientError, row: Row, asker: Asker) -> str | None:
    """Return a hint where S3 names another region for the bucket than ours, with whatever status."""
    headers = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    region = headers.get("x-amz-bucket-region")
    signed_for_another = row.hint == REGION
    if not region or region == asker.region or not (row.kind in _REGION_DECIDES or signed_for_another):
        return None
    return f"the bucket says that it is in {region}: set s3.region: {region} (it is {asker.region})"


def _clock_hint(status: int, skew_seconds: float | None) -> str | None:
    """Recognize a wrong clock, which looks like bad credentials: a 403 whose Date is far from ours."""
    return disagreement("S3", skew_seconds) if status == 403 else None  # noqa: PLR2004 - HTTP's own number


def _unanswered(error: Exception) -> tuple[_Meaning, str]:
    if isinstance(error, _NO_CREDENTIALS):
        return _Meaning(ErrorKind.UNAUTHORIZED, CHECK_KEYS), str(error)
    if isinstance(error, (boto.ParamValidationError, boto.ValidationError)):
        return _Meaning(ErrorKind.INVALID), " ".join(str(error).split())
    if isinstance(error, boto.SSLError):
        return _Meaning(ErrorKind.NETWORK, _TLS), str(error)
    if isinstance(error, _NO_S3_ANSWER):
        return _Meaning(ErrorKind.UNKNOWN, NOT_S3, maybe_done=True), _short(str(error))
    if isinstance(error, TimeoutError):
        return _Meaning(ErrorKind.NETWORK, ENDPOINT, maybe_done=True), "no progress within the time limit"
    return _Meaning(ErrorKind.NETWORK, ENDPOINT, maybe_done=not _never_sent(error)), str(error)


def _short(text: str) -> str:
    """Return one line: a parser quotes the whole body."""
    line = " ".join(text.split())
    return line if len(line) <= MESSAGE_CHARS_MAX else line[:MESSAGE_CHARS_MAX] + "…"


def _never_sent(error: Exception) -> bool:
    """Tell whether no connection was made, so that nothing can have been carried out."""
    if isinstance(error, _NOT_SENT):
        return True
    inner = error.kwargs.get("error") if isinstance(error, boto.BotoCoreError) else error
    return isinstance(inner, aiohttp.ClientConnectorError)
