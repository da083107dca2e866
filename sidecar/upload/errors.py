"""What S3, the connection and the disk say, as one of our kinds: one table, read by the adapter alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
from botocore import exceptions as boto
from botocore.parsers import ResponseParserError

from sidecar.core.clock import disagreement
from sidecar.core.errors import ErrorKind, SidecarError
from sidecar.files import NotRegularError, TruncatedError

_NO_S3_ANSWER = (ResponseParserError, ValueError)  # a page of something else in a 200; a number that is none
FAULTS = (  # OSError: TimeoutError too
    *(boto.BotoCoreError, boto.ClientError, aiohttp.ClientError, OSError),
    *_NO_S3_ANSWER,
)
MESSAGE_CHARS_MAX = 500

_KEYS = "check s3.access_key_id and s3.secret_access_key, or the AWS credential chain"
_BUCKET = "create the bucket, or correct s3.bucket, s3.region or s3.endpoint_url"
_REGION = "set s3.region to the bucket's region"
_RIGHTS = "the credentials lack a right: s3:PutObject, s3:GetObject, s3:ListBucket, s3:AbortMultipartUpload"
_ENDPOINT = "check s3.endpoint_url and the network"
_CHECKSUM = "if the store does not know this checksum, set s3.checksum: md5"
_QUOTA = "free space or raise the quota"
_NOT_S3 = "is s3.endpoint_url the S3 API, with nothing before it that answers in its place?"
_TLS = "check the certificate, s3.ca_bundle and the scheme of s3.endpoint_url"


@dataclass(frozen=True, slots=True)
class _Meaning:
    """What a code or a status means; ``maybe_done``: the request may have been carried out."""

    kind: ErrorKind
    hint: str | None = None
    maybe_done: bool = False


_CODES: Mapping[str, _Meaning] = {
    **dict.fromkeys(
        ("SlowDown", "ServiceUnavailable", "Throttling", "ThrottlingException", "TooManyRequests"),
        _Meaning(ErrorKind.THROTTLED),
    ),
    "RequestLimitExceeded": _Meaning(ErrorKind.THROTTLED),
    **dict.fromkeys(
        ("InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "InvalidClientTokenId"),
        _Meaning(ErrorKind.UNAUTHORIZED, _KEYS),
    ),
    "ExpiredToken": _Meaning(ErrorKind.UNAUTHORIZED, "the session token has expired: renew it"),
    "AuthorizationHeaderMalformed": _Meaning(ErrorKind.UNAUTHORIZED, _REGION),
    "RequestTimeTooSkewed": _Meaning(ErrorKind.UNAUTHORIZED, "set this machine's clock"),
    "RequestExpired": _Meaning(ErrorKind.UNAUTHORIZED, "set this machine's clock"),
    **dict.fromkeys(("AccessDenied", "AllAccessDisabled"), _Meaning(ErrorKind.FORBIDDEN, _RIGHTS)),
    "NoSuchBucket": _Meaning(ErrorKind.NOT_FOUND, _BUCKET),
    "PermanentRedirect": _Meaning(ErrorKind.NOT_FOUND, _REGION),
    "IllegalLocationConstraintException": _Meaning(ErrorKind.NOT_FOUND, _REGION),
    **dict.fromkeys(("NoSuchUpload", "NoSuchKey"), _Meaning(ErrorKind.NOT_FOUND)),
    **dict.fromkeys(
        ("BadDigest", "InvalidPart", "InvalidPartOrder", "XAmzContentSHA256Mismatch", "IncompleteBody"),
        _Meaning(ErrorKind.CORRUPT),
    ),
    "XAmzContentChecksumMismatch": _Meaning(ErrorKind.CORRUPT),
    **dict.fromkeys(
        ("EntityTooSmall", "EntityTooLarge", "KeyTooLongError", "MetadataTooLarge"),
        _Meaning(ErrorKind.INVALID),
    ),
    **dict.fromkeys(("InvalidRequest", "NotImplemented"), _Meaning(ErrorKind.INVALID, _CHECKSUM)),
    **dict.fromkeys(("OperationAborted", "ConditionalRequestConflict"), _Meaning(ErrorKind.CONFLICT)),
    "PreconditionFailed": _Meaning(ErrorKind.CONFLICT, maybe_done=True),  # by an earlier delivery
    **dict.fromkeys(
        ("QuotaExceeded", "XMinioStorageFull", "InsufficientStorage"), _Meaning(ErrorKind.QUOTA, _QUOTA)
    ),
    "RequestTimeout": _Meaning(ErrorKind.NETWORK),
    "InternalError": _Meaning(ErrorKind.NETWORK, maybe_done=True),
}

_STATUSES: Mapping[int, _Meaning] = {
    301: _Meaning(ErrorKind.NOT_FOUND, _REGION),
    307: _Meaning(ErrorKind.NOT_FOUND, _REGION),
    400: _Meaning(ErrorKind.INVALID, _CHECKSUM),
    401: _Meaning(ErrorKind.UNAUTHORIZED, _KEYS),
    403: _Meaning(ErrorKind.FORBIDDEN, f"{_RIGHTS}; or the keys are wrong: {_KEYS}"),
    404: _Meaning(ErrorKind.NOT_FOUND, _BUCKET),
    408: _Meaning(ErrorKind.NETWORK, maybe_done=True),
    409: _Meaning(ErrorKind.CONFLICT),
    412: _Meaning(ErrorKind.CONFLICT, maybe_done=True),
    413: _Meaning(ErrorKind.INVALID, "a proxy before S3 limits the size of a request"),
    429: _Meaning(ErrorKind.THROTTLED),
    501: _Meaning(ErrorKind.INVALID, _CHECKSUM),
    503: _Meaning(ErrorKind.THROTTLED),
    507: _Meaning(ErrorKind.QUOTA, _QUOTA),
}

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


def translate(error: Exception, *, operation: str, target: str, skew_seconds: float | None) -> SidecarError:
    """Return the failure as the rest of the sidecar knows it; ``skew_seconds`` is our clock minus S3's."""
    if isinstance(error, boto.ClientError):
        return _answered(error, operation=operation, target=target, skew_seconds=skew_seconds)
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
        ErrorKind.UNKNOWN, message, operation=operation, target=target, hint=_NOT_S3, maybe_done=True
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
        kind, message, operation=operation, target=target, hint=hint, code=type(error).__name__
    )


def _answered(
    error: boto.ClientError, *, operation: str, target: str, skew_seconds: float | None
) -> SidecarError:
    answer: dict[str, Any] = error.response
    about = answer.get("Error", {})
    code = str(about.get("Code", ""))
    status = int(answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    meaning = _CODES.get(code) or _by_status(status)
    message = str(about.get("Message") or f"status {status}")
    return SidecarError(
        meaning.kind,
        f"{code}: {message}" if code and code != str(status) else f"S3 answered {status} {message}",
        operation=operation,
        target=target,
        hint=_clock_hint(status, skew_seconds) or meaning.hint,
        code=code or str(status),
        maybe_done=meaning.maybe_done,
    )


def _by_status(status: int) -> _Meaning:
    if status in _STATUSES:
        return _STATUSES[status]
    if status >= 500:  # noqa: PLR2004 - HTTP's own number
        return _Meaning(ErrorKind.NETWORK, maybe_done=True)
    return _Meaning(ErrorKind.UNKNOWN, maybe_done=True)


def _clock_hint(status: int, skew_seconds: float | None) -> str | None:
    """Recognize a wrong clock, which looks like bad credentials: a 403 whose Date is far from ours."""
    return disagreement("S3", skew_seconds) if status == 403 else None  # noqa: PLR2004 - HTTP's own number


def _unanswered(error: Exception) -> tuple[_Meaning, str]:
    if isinstance(error, _NO_CREDENTIALS):
        return _Meaning(ErrorKind.UNAUTHORIZED, _KEYS), str(error)
    if isinstance(error, (boto.ParamValidationError, boto.ValidationError)):
        return _Meaning(ErrorKind.INVALID), " ".join(str(error).split())
    if isinstance(error, boto.SSLError):
        return _Meaning(ErrorKind.NETWORK, _TLS), str(error)
    if isinstance(error, _NO_S3_ANSWER):
        return _Meaning(ErrorKind.UNKNOWN, _NOT_S3, maybe_done=True), _short(str(error))
    if isinstance(error, TimeoutError):
        return _Meaning(ErrorKind.NETWORK, _ENDPOINT, maybe_done=True), "no progress within the time limit"
    return _Meaning(ErrorKind.NETWORK, _ENDPOINT, maybe_done=not _never_sent(error)), str(error)


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
