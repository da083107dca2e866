"""Translates Convex's refusals, once, by the table of ``core/convex_failures.py``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import aiohttp

from sidecar.core import os_errors
from sidecar.core.convex_failures import BACKEND, CONVEX_ROWS, FUNCTION, OVERLOADED
from sidecar.core.errors import ErrorKind, SidecarError
from sidecar.core.failures import Refusal, meaning

from .deadline import TooSlowError

MESSAGE_CHARS_MAX = 500
NOT_INSTALLED = "deploy the functions: `sidecar convex install --into ./convex`, then `npx convex deploy`"
_PROXY = "check HTTPS_PROXY, HTTP_PROXY and ALL_PROXY, or name the deployment's host in NO_PROXY"
_UDF_STATUS = frozenset({200, 560})  # the function's own answer, whatever it says


def value_of(status: int, body: bytes, *, operation: str, target: str) -> Any:
    """Return the function's value, or raise what the answer means as SidecarError."""
    answer = _parsed(body)
    if isinstance(answer, dict) and status in _UDF_STATUS:
        if answer.get("status") == "success" and "value" in answer:
            return answer["value"]
        if answer.get("status") == "error":
            raise _of_function(answer, operation=operation, target=target)
    raise _of_backend(status, answer, body, operation=operation, target=target)


def of_transport(error: aiohttp.ClientError, *, operation: str, target: str, was_sent: bool) -> SidecarError:
    """Translate a failure below HTTP. ``was_sent``: a body went; else nothing can be committed."""
    if (own := os_errors.exhausted(error)) is not None:  # no socket could be had: it says nothing of Convex
        message = own.strerror or str(own)
        raised = SidecarError(
            ErrorKind.LOCAL_IO, message, operation=operation, target=target, hint=os_errors.hint(own),
            maybe_done=was_sent,
        )  # fmt: skip
        raised.__cause__ = own
        return raised
    by_proxy = isinstance(error, aiohttp.ClientProxyConnectionError | aiohttp.ClientHttpProxyError)
    stood = not (by_proxy or isinstance(error, aiohttp.ClientConnectorError | aiohttp.InvalidURL))
    return SidecarError(
        ErrorKind.NETWORK,
        _cut(f"{'the connection broke' if stood else 'no connection'}: {_text(error)}"),
        operation=operation,
        target=target,
        hint=_PROXY if by_proxy else _network_hint(error),
        maybe_done=was_sent,
    )


def of_time(error: TimeoutError, seconds: float, *, operation: str, target: str) -> SidecarError:
    """Translate a call that stood still, or that moved too slowly for anything but purpose."""
    too_slow = isinstance(error, TooSlowError)
    return SidecarError(
        ErrorKind.NETWORK,
        "it moves too slowly to come to an end" if too_slow else f"no answer within {seconds:g} s",
        operation=operation,
        target=target,
        hint="is Convex up, and can it be reached from here?",
        code="TooSlow" if too_slow else "Stalled",
        maybe_done=True,
    )


def malformed(message: str, *, operation: str, target: str) -> SidecarError:
    """Return the error for a success whose value our functions would never give."""
    return SidecarError(
        ErrorKind.UNKNOWN,
        f"an answer that the functions of this version do not give: {_cut(message)}",
        operation=operation,
        target=target,
        hint=NOT_INSTALLED,
        maybe_done=True,
        redacted=True,  # whoever answered is to blame, never the asset
    )


def _of_function(answer: Mapping[str, Any], *, operation: str, target: str) -> SidecarError:
    message = _cut(str(answer.get("errorMessage") or "no message"))
    data = answer.get("errorData")
    if data is None:  # a throw, a bad argument, a limit, no such function, a paused deployment
        return SidecarError(
            ErrorKind.UNKNOWN, message, operation=operation, target=target, redacted=True,
            hint=NOT_INSTALLED if "Could not find" in message
            else "see the function's log in Convex's dashboard; a paused deployment answers so, too",
        )  # fmt: skip
    code = str(data.get("code") or "") if isinstance(data, dict) else ""
    if isinstance(data, dict) and data.get("message"):
        message = _cut(str(data["message"]))
    row = meaning(CONVEX_ROWS, Refusal(operation=FUNCTION, status=200, code=code, message=message))
    return SidecarError(
        row.kind, message, operation=operation, target=target,
        hint=row.hint, code=_cut(code) or None, scope=row.scope,
    )  # fmt: skip


def _of_backend(status: int, answer: Any, body: bytes, *, operation: str, target: str) -> SidecarError:
    code = answer.get("code") if isinstance(answer, dict) else None
    code = _cut(code) if isinstance(code, str) else None
    if code is None:
        message = f"HTTP {status}, and not in Convex's words: {_excerpt(body)}"
    else:
        message = f"HTTP {status} {code}: {_cut(str(answer.get('message') or 'no message'))}"
    refusal = Refusal(
        operation=BACKEND, status=status, code=code or "", message=message, bodyless=code is None
    )
    row = meaning(CONVEX_ROWS, refusal)
    return SidecarError(
        row.kind, message, operation=operation, target=target,
        hint=row.hint, code=code, maybe_done=row.maybe_done, scope=row.scope, silent=not body,
        asks_for_less=status in OVERLOADED,
    )  # fmt: skip


def _parsed(body: bytes) -> Any:
    """Return the JSON, or None. Half a surrogate pair, which neither journal nor log takes, becomes ``?``."""
    try:
        answer = json.loads(body)
        if b"\\ud" in body.lower():
            answer = json.loads(json.dumps(answer, ensure_ascii=False).encode("utf-8", "replace"))
        return answer  # noqa: TRY300 - both steps may find that it is no JSON
    except (ValueError, RecursionError):
        return None


def _text(error: aiohttp.ClientError) -> str:
    """Return what happened. aiohttp's own words show a context's address, or an answer with its headers."""
    match error:
        case aiohttp.ClientConnectorCertificateError():
            text = str(error.certificate_error)
        case aiohttp.ClientConnectorError():
            text = error.os_error.strerror or str(error.os_error) or type(error.os_error).__name__
        case aiohttp.ServerDisconnectedError():
            text = "the server closed it"
        case aiohttp.ClientHttpProxyError():
            text = f"the proxy says {error.status} {error.message}"
        case aiohttp.ClientResponseError():
            text = f"what came is no answer: {error.message}"
        case _:
            text = str(error)
    line = text.partition("\n")[0].encode("utf-8", "replace").decode()  # bytes of theirs may be no text
    return line or type(error).__name__


def _network_hint(error: aiohttp.ClientError) -> str:
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return "the server's certificate is not trusted here; set SSL_CERT_FILE for a private authority"
    if isinstance(error, aiohttp.ClientConnectorDNSError | aiohttp.InvalidURL):
        return "does the host name of convex.url exist, and can it be resolved from here?"
    return "is Convex up, and can it be reached from here?"


def _excerpt(body: bytes) -> str:
    text = " ".join(body[:200].decode("utf-8", "replace").split())
    return repr(text) if text else "an empty body"


def _cut(text: str) -> str:
    return text if len(text) <= MESSAGE_CHARS_MAX else text[:MESSAGE_CHARS_MAX] + "…"
