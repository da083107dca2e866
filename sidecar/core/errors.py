"""The closed set of failures that the rest of the sidecar decides on.

Adapters translate a client library's error into one of these once, at the edge; nothing above an
adapter looks at a library's exception or at its text.
"""

from __future__ import annotations

from enum import StrEnum


class ErrorKind(StrEnum):
    """What kind of failure it is: what can be done about it follows from this alone."""

    NETWORK = "network"  # no answer, half an answer, a timeout, a 5xx that says nothing
    THROTTLED = "throttled"  # the remote asks for less
    UNAUTHORIZED = "unauthorized"  # our credentials are not accepted
    FORBIDDEN = "forbidden"  # they are accepted and do not suffice
    NOT_FOUND = "not_found"  # the bucket, the function, the upload is not there
    INVALID = "invalid"  # the remote refuses this very content or request
    CONFLICT = "conflict"  # somebody else was there at the same time
    QUOTA = "quota"  # the remote is full or unpaid
    CORRUPT = "corrupt"  # bytes are not the bytes they should be
    LOCAL_IO = "local_io"  # this machine's disk or file
    UNKNOWN = "unknown"  # none of these could be told


class Scope(StrEnum):
    """Whom a failure concerns: only one object, or everything that goes the same way."""

    OBJECT = "object"  # the remote says it of this very object, and would say it again
    BUCKET = "bucket"  # the whole bucket, or deployment: its place, its quota, its encryption
    CREDENTIALS = "credentials"  # who we are, and what we may
    REMOTE = "remote"  # the remote, or the way to it
    OURS = "ours"  # this machine


_SCOPES = {
    ErrorKind.UNAUTHORIZED: Scope.CREDENTIALS,
    ErrorKind.FORBIDDEN: Scope.CREDENTIALS,
    ErrorKind.NOT_FOUND: Scope.BUCKET,
    ErrorKind.QUOTA: Scope.BUCKET,
    ErrorKind.CORRUPT: Scope.OBJECT,
    ErrorKind.LOCAL_IO: Scope.OURS,
}


def usual_scope(kind: ErrorKind) -> Scope:
    """Return whom a failure of this kind concerns where nobody knows better."""
    return _SCOPES.get(kind, Scope.REMOTE)


STALE = "StaleConnectionError"  # a connection that had been kept was cut under the request
# The line's, never an object's: it stood still, or went too slowly, or breaks for others as well.
OF_THE_LINE = frozenset({"Stalled", "TooSlow", "Broken", "RequestTimeout", STALE})


class SidecarError(Exception):
    """A failure with what an operator needs: operation, object, message and a hint.

    ``maybe_done`` says that the remote may have carried the request out although no proper answer
    came. ``code`` is the remote's own word for the failure, for logs and for ``explain``.
    ``redacted`` marks an answer whose cause the remote hides (Convex in production): it never spends
    an attempt, because a paused deployment looks the same as a bug. ``silent`` marks a refusal without
    the remote's own words, such as any answer to HEAD: it tells less than one that has them.
    ``pause_seconds`` is what the remote asks for before the next try. ``asks_for_less``: it has too much to
    do, whatever it says of this call.
    """

    def __init__(
        self,
        kind: ErrorKind,
        message: str,
        *,
        operation: str,
        target: str,
        hint: str | None = None,
        code: str | None = None,
        maybe_done: bool = False,
        redacted: bool = False,
        scope: Scope | None = None,
        silent: bool = False,
        pause_seconds: float = 0.0,
        asks_for_less: bool = False,
    ) -> None:
        """Keep all parts; ``target`` names the object (a key, a path, a function), never a secret."""
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.operation = operation
        self.target = target
        self.hint = hint
        self.code = code
        self.maybe_done = maybe_done
        self.redacted = redacted
        self.scope = scope or usual_scope(kind)
        self.silent = silent
        self.pause_seconds = pause_seconds
        self.asks_for_less = asks_for_less or kind is ErrorKind.THROTTLED

    @property
    def of_the_line(self) -> bool:
        """Whether time or the line is to blame: no object's attempt is spent."""
        return self.code in OF_THE_LINE

    def __str__(self) -> str:
        """One sentence: what failed, on what, why, and what to do."""
        hint = f" ({self.hint})" if self.hint else ""
        return f"{self.operation} {self.target}: {self.message}{hint}"


class JournalLostError(Exception):
    """The journal must not be used any more: it is damaged, or an old copy. A new one takes its place."""


class FatalError(Exception):
    """The daemon cannot go on; ``exit_status`` is one of 1, 75 (try later), 78 (configuration)."""

    def __init__(self, message: str, *, exit_status: int, hint: str | None = None) -> None:
        """``message`` is one sentence without a traceback; ``hint`` says what would help."""
        super().__init__(message)
        self.exit_status = exit_status
        self.hint = hint

    def __str__(self) -> str:
        """Return the sentence and its hint."""
        return f"{self.args[0]}\n  hint: {self.hint}" if self.hint else str(self.args[0])
