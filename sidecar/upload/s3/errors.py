"""Translates what S3, the connection and the disk say into one of our kinds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
from botocore import exceptions as boto

from sidecar.core import os_errors
from sidecar.core.errors import STALE, ErrorKind, Scope, SidecarError
from sidecar.core.s3_failures import ENDPOINT, NOT_S3, PROXY
from sidecar.files import NotRegularError, TruncatedError

from .connection import StaleConnectionError
from .credentials_error import CredentialsError, words_of
from .refusals import Asker, one_line, refused

_NO_S3_ANSWER = ValueError  # ResponseParserError: a page of something else in a 200; a number that is none
FAULTS = (  # OSError: TimeoutError too
    *(boto.BotoCoreError, boto.ClientError, aiohttp.ClientError, OSError, CredentialsError),
    _NO_S3_ANSWER,
)
_PROXY_WANTS_KEYS = 407
_PROXY = "check HTTPS_PROXY, HTTP_PROXY and ALL_PROXY, or name the host in NO_PROXY"
_TLS = "check the certificate, s3.ca_bundle and the scheme of s3.endpoint_url"


@dataclass(frozen=True, slots=True)
class _Meaning:
    """What a failure without an answer means; ``maybe_done``: the request may have been carried out."""

    kind: ErrorKind
    hint: str | None = None
    maybe_done: bool = False
    redacted: bool = False  # somebody else answered: no object is at fault


_FOREIGN = _Meaning(ErrorKind.UNKNOWN, NOT_S3, maybe_done=True, redacted=True)
_NOT_SENT = (boto.ConnectTimeoutError, boto.ProxyConnectionError)


def translate(error: Exception, *, operation: str, target: str, asker: Asker) -> SidecarError:
    """Return the failure as the rest of the sidecar knows it."""
    if isinstance(error, boto.ClientError):
        return refused(error.response, operation=operation, target=target, asker=asker)
    if (own := os_errors.exhausted(error)) is not None:  # no socket could be had: it says nothing of S3
        return from_disk(own, operation=operation, target=target)
    if isinstance(error, CredentialsError):
        return SidecarError(
            ErrorKind.UNAUTHORIZED,
            error.message,
            operation=operation,
            target=target,
            hint=error.hint,
            code=error.code,
        )
    meaning, message = _unanswered(error)
    return SidecarError(
        meaning.kind,
        message,
        operation=operation,
        target=target,
        hint=meaning.hint,
        code=STALE if isinstance(_inner(error), StaleConnectionError) else type(error).__name__,
        maybe_done=meaning.maybe_done,
        redacted=meaning.redacted,
    )


def due(answer: Mapping[str, Any], name: str, *, operation: str, target: str) -> Any:
    """Return what every S3 says in this answer. Raises SidecarError for one that does not, an empty 200."""
    if name in answer:
        return answer[name]
    raise SidecarError(
        _FOREIGN.kind,
        f"an answer without {name}",
        operation=operation,
        target=target,
        hint=_FOREIGN.hint,
        maybe_done=True,
        redacted=True,
    )


def from_disk(error: OSError, *, operation: str, target: str) -> SidecarError:
    """Return a failure to read the local file. One that became shorter is CORRUPT: it must be read again."""
    kind = ErrorKind.CORRUPT if isinstance(error, TruncatedError) else ErrorKind.LOCAL_IO
    hint = os_errors.hint(error)
    if isinstance(error, NotRegularError):
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


def _unanswered(error: Exception) -> tuple[_Meaning, str]:
    if isinstance(error, (boto.ParamValidationError, boto.ValidationError)):
        return _Meaning(ErrorKind.INVALID), one_line(str(error))
    if isinstance(error, boto.SSLError):
        return _Meaning(ErrorKind.NETWORK, _TLS), str(error)
    if isinstance(error, _NO_S3_ANSWER):
        return _FOREIGN, one_line(str(error))
    return _unreached(error)


def _unreached(error: Exception) -> tuple[_Meaning, str]:
    if isinstance(error, TimeoutError):
        return _Meaning(ErrorKind.NETWORK, ENDPOINT, maybe_done=True), "no progress within the time limit"
    inner, words = _inner(error), one_line(words_of(error))
    if isinstance(inner, aiohttp.ClientHttpProxyError) and inner.status == _PROXY_WANTS_KEYS:
        return _Meaning(ErrorKind.UNAUTHORIZED, PROXY), words
    if isinstance(error, boto.ProxyConnectionError):
        return _Meaning(ErrorKind.NETWORK, _PROXY), words
    hint = _TLS if "[SSL: CERT" in words else ENDPOINT  # behind a SOCKS proxy it has no class of its own
    return _Meaning(ErrorKind.NETWORK, hint, maybe_done=not _never_sent(error)), words


def _never_sent(error: Exception) -> bool:
    """Tell whether no connection was made, so that nothing can have been carried out."""
    if isinstance(error, _NOT_SENT):
        return True
    return isinstance(_inner(error), aiohttp.ClientConnectorError)


def _inner(error: Exception) -> Exception:
    """Return what a library's error was made of."""
    inner = error.kwargs.get("error") if isinstance(error, boto.BotoCoreError) else None
    return inner if isinstance(inner, Exception) else error
