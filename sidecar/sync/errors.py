"""Convex's answers, translated once: one table from what the wire says to our closed set of kinds.

Read from Convex's source (DESIGN.md section 5). ``committed`` of a row tells whether the transaction
may have been carried out although the call failed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from sidecar.core.errors import ErrorKind, SidecarError

MESSAGE_CHARS_MAX = 500
WRONG_URL = (
    "is convex.url the deployment's own address, such as https://happy-otter-123.convex.cloud"
    " (not .convex.site, not the dashboard)?"
)
NOT_INSTALLED = "deploy the functions: `sidecar convex install --into ./convex`, then `npx convex deploy`"
_CREDENTIALS = "see convex.auth; Convex must know the public key: `sidecar convex keys jwks`"
_UDF_STATUS = frozenset({200, 560})  # the function's own answer, whatever it says


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What one kind of answer means. ``committed``: it may be, although the call failed."""

    kind: ErrorKind
    committed: bool = False
    hint: str | None = None


# A ConvexError of our functions: ``data.code`` decides alone; nothing was committed.
BY_CODE: Mapping[str, Case] = {
    "UNAUTHENTICATED": Case(kind=ErrorKind.UNAUTHORIZED, hint=_CREDENTIALS),
    "FORBIDDEN": Case(kind=ErrorKind.FORBIDDEN, hint="see projectsOf in convex/sidecarAccess.ts"),
    "FENCED": Case(kind=ErrorKind.CONFLICT, hint="another sidecar runs with the same sidecar_id"),
    "UNREGISTERED": Case(kind=ErrorKind.CONFLICT),
    "BATCH_TOO_LARGE": Case(kind=ErrorKind.INVALID),
    "INVALID": Case(kind=ErrorKind.INVALID),
}

# The backend's own refusals, ``{"code", "message"}``.
BY_SYSTEM_CODE: Mapping[str, Case] = {
    "OptimisticConcurrencyControlFailure": Case(kind=ErrorKind.CONFLICT),
    "TooManyConcurrentRequests": Case(kind=ErrorKind.THROTTLED),
    "TooManyWrites": Case(kind=ErrorKind.THROTTLED),
    "ExpiredInQueue": Case(kind=ErrorKind.THROTTLED),
    "ExecuteFullError": Case(kind=ErrorKind.THROTTLED),
    "WorkerOverloaded": Case(kind=ErrorKind.THROTTLED),
    "CommitterFullError": Case(kind=ErrorKind.THROTTLED),
}

# What is left is told by the status; a proxy in front of Convex knows no codes.
BY_STATUS: Mapping[int, Case] = {
    400: Case(kind=ErrorKind.INVALID),
    401: Case(kind=ErrorKind.UNAUTHORIZED, hint=_CREDENTIALS),
    402: Case(kind=ErrorKind.QUOTA, hint="see the deployment's plan and usage in Convex's dashboard"),
    403: Case(kind=ErrorKind.FORBIDDEN, hint="the credentials of convex.auth lack a right"),
    404: Case(kind=ErrorKind.NOT_FOUND, hint=WRONG_URL),
    408: Case(kind=ErrorKind.NETWORK, committed=True),
    413: Case(kind=ErrorKind.INVALID),
    429: Case(kind=ErrorKind.THROTTLED),
}
_SERVER_FAILED = Case(kind=ErrorKind.NETWORK, committed=True)
_UNKNOWN = Case(kind=ErrorKind.UNKNOWN, committed=True)
_NOT_CONVEX = Case(kind=ErrorKind.NOT_FOUND, hint=WRONG_URL)


def value_of(status: int, body: bytes, *, operation: str, target: str) -> Any:
    """Return the function's value, or raise what the answer means as SidecarError."""
    answer = _parsed(body)
    if isinstance(answer, dict) and status in _UDF_STATUS:
        if answer.get("status") == "success" and "value" in answer:
            return answer["value"]
        if answer.get("status") == "error":
            raise _of_function(answer, operation=operation, target=target)
    raise _of_backend(status, answer, body, operation=operation, target=target)


def of_transport(error: httpx.TransportError, *, operation: str, target: str) -> SidecarError:
    """Translate a failure below HTTP. Before the connection stood, nothing can have been committed."""
    unsent = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)
    text = str(error) or type(error).__name__
    return SidecarError(
        ErrorKind.NETWORK,
        _cut("no connection: " + text if unsent else "the connection broke: " + text),
        operation=operation,
        target=target,
        hint=_network_hint(text),
        maybe_done=not unsent,
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
    code = str(data.get("code")) if isinstance(data, dict) else None
    case = BY_CODE.get(code or "", Case(kind=ErrorKind.UNKNOWN))
    if isinstance(data, dict) and data.get("message"):
        message = _cut(str(data["message"]))
    return SidecarError(
        case.kind, message, operation=operation, target=target, hint=case.hint, code=_cut(code or "") or None
    )


def _of_backend(status: int, answer: Any, body: bytes, *, operation: str, target: str) -> SidecarError:
    code = answer.get("code") if isinstance(answer, dict) else None
    code = _cut(code) if isinstance(code, str) else None
    case = _case(status, code)
    if code is None:
        message = f"HTTP {status}, and not in Convex's words: {_excerpt(body)}"
    else:
        message = f"HTTP {status} {code}: {_cut(str(answer.get('message') or 'no message'))}"
    return SidecarError(
        case.kind, message, operation=operation, target=target,
        hint=case.hint, code=code, maybe_done=case.committed,
    )  # fmt: skip


def _case(status: int, code: str | None) -> Case:
    if code is not None and code in BY_SYSTEM_CODE:
        return BY_SYSTEM_CODE[code]
    if status == httpx.codes.SERVICE_UNAVAILABLE and code is not None:
        return Case(kind=ErrorKind.THROTTLED)
    if status in BY_STATUS:
        return BY_STATUS[status]
    if status >= httpx.codes.INTERNAL_SERVER_ERROR:
        return _SERVER_FAILED
    return _UNKNOWN if code is not None else _NOT_CONVEX


def _parsed(body: bytes) -> Any:
    """Return the JSON, or None. Half a surrogate pair, which neither journal nor log takes, becomes ``?``."""
    try:
        answer = json.loads(body)
        if b"\\ud" in body.lower():
            answer = json.loads(json.dumps(answer, ensure_ascii=False).encode("utf-8", "replace"))
        return answer  # noqa: TRY300 - both steps may find that it is no JSON
    except (ValueError, RecursionError):
        return None


def _network_hint(text: str) -> str:
    lower = text.lower()
    if "certificate" in lower:
        return "the server's certificate is not trusted here; set SSL_CERT_FILE for a private authority"
    if "name" in lower and ("resol" in lower or "known" in lower):
        return "does the host name of convex.url exist, and can it be resolved from here?"
    return "is Convex up, and can it be reached from here?"


def _excerpt(body: bytes) -> str:
    text = " ".join(body[:200].decode("utf-8", "replace").split())
    return repr(text) if text else "an empty body"


def _cut(text: str) -> str:
    return text if len(text) <= MESSAGE_CHARS_MAX else text[:MESSAGE_CHARS_MAX] + "…"
