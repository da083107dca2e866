"""The table of what Convex means by a refusal: our functions' codes, the backend's codes, then statuses.

Read from the source of Convex's open-source backend (crates/errors, crates/local_backend; August 2026) and
from our own functions. ``operation`` of a refusal says who speaks: FUNCTION or BACKEND.
"""

from __future__ import annotations

from .errors import ErrorKind as Kind
from .errors import Scope
from .failures import RefusalRow

FUNCTION = "function"  # a ConvexError of our functions: nothing was committed
BACKEND = "backend"  # everything else: Convex itself, or what stands before it

WRONG_URL = (
    "is convex.url the deployment's own address, such as https://happy-otter-123.convex.cloud"
    " (not .convex.site, not the dashboard)?"
)
CREDENTIALS = "see convex.auth; Convex must know the public key: `sidecar convex keys jwks`"
PROJECTS = "see projectsOf and roleOf in convex/sidecarAccess.ts"
RIVAL = "another sidecar runs with the same sidecar_id"
PLAN = "see the deployment's plan and usage in Convex's dashboard"
RIGHTS = "the credentials of convex.auth lack a right"
PROXY = "the proxy wants credentials: write them into HTTPS_PROXY, or name the host in NO_PROXY"
OVERLOADED = frozenset({429, 503})  # too many calls, lost races or a full queue: fewer calls at once help
_FUNCTION, _BACKEND = frozenset({FUNCTION}), frozenset({BACKEND})


def _said(code: str, kind: Kind, scope: Scope = Scope.REMOTE, hint: str | None = None) -> RefusalRow:
    return RefusalRow(
        kind=kind, scope=scope, hint=hint, code=code, operations=_FUNCTION, source="sidecar/sync/functions"
    )  # fmt: skip


def _system(code: str, kind: Kind) -> RefusalRow:
    return RefusalRow(kind=kind, scope=Scope.REMOTE, code=code, operations=_BACKEND, source="crates/errors")


def _status(
    first: int,
    kind: Kind,
    scope: Scope = Scope.REMOTE,
    hint: str | None = None,
    *,
    last: int | None = None,
    maybe_done: bool = False,
    bodyless: bool | None = None,
) -> RefusalRow:
    return RefusalRow(
        kind=kind, scope=scope, hint=hint, statuses=(first, last or first), bodyless=bodyless,
        maybe_done=maybe_done, source="crates/local_backend",
    )  # fmt: skip


CONVEX_ROWS: tuple[RefusalRow, ...] = (
    _said("UNAUTHENTICATED", Kind.UNAUTHORIZED, Scope.CREDENTIALS, CREDENTIALS),
    _said("FORBIDDEN", Kind.FORBIDDEN, Scope.CREDENTIALS, PROJECTS),
    _said("FENCED", Kind.CONFLICT, Scope.REMOTE, RIVAL),
    _said("UNREGISTERED", Kind.CONFLICT),
    _said("BATCH_TOO_LARGE", Kind.INVALID, Scope.OBJECT),
    _said("INVALID", Kind.INVALID, Scope.OBJECT),
    _said("*", Kind.UNKNOWN),
    _system("OptimisticConcurrencyControlFailure", Kind.CONFLICT),
    _system("TooManyConcurrentRequests", Kind.THROTTLED),
    _system("TooManyWrites", Kind.THROTTLED),
    _system("ExpiredInQueue", Kind.THROTTLED),
    _system("ExecuteFullError", Kind.THROTTLED),
    _system("WorkerOverloaded", Kind.THROTTLED),
    _system("CommitterFullError", Kind.THROTTLED),
    _status(503, Kind.THROTTLED, bodyless=False),
    _status(400, Kind.INVALID),
    _status(401, Kind.UNAUTHORIZED, Scope.CREDENTIALS, CREDENTIALS),
    _status(402, Kind.QUOTA, Scope.BUCKET, PLAN),
    _status(403, Kind.FORBIDDEN, Scope.CREDENTIALS, RIGHTS),
    _status(404, Kind.NOT_FOUND, Scope.BUCKET, WRONG_URL),
    _status(407, Kind.FORBIDDEN, Scope.REMOTE, PROXY),
    _status(408, Kind.NETWORK, maybe_done=True),
    _status(413, Kind.INVALID),
    _status(429, Kind.THROTTLED),
    _status(500, Kind.NETWORK, last=999, maybe_done=True),
    _status(0, Kind.UNKNOWN, last=999, maybe_done=True, bodyless=False),
    _status(0, Kind.NOT_FOUND, Scope.BUCKET, WRONG_URL, last=999),
)
