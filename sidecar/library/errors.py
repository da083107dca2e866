"""What goes wrong for a program that uses the library: each error is one sentence with what would help."""

from __future__ import annotations


class LibraryError(Exception):
    """The base of what the library raises itself; remotes' failures come as ``SidecarError``."""


class SourceError(LibraryError):
    """The file cannot be stored as it is: missing, unreadable, incomplete, still open for writing."""


class RefusedError(LibraryError):
    """The asset was given up: S3 or Convex refused it for good, or it failed too often.

    With ``convex.on_refused: delete`` an upload whose metadata Convex refused is taken back. ``kind`` is the
    closed set's word (``ErrorKind``), Convex's own code where it refused, None where nobody gave one. The
    journal keeps it: storing the same content again tries once more.
    """

    def __init__(self, message: str, *, kind: str | None = None) -> None:
        """``message`` is the remote's own, with its hint."""
        super().__init__(message)
        self.kind = kind


class ClosedError(LibraryError):
    """The platform is not open: use it within ``with sidecar.open(...)`` or ``async with``."""


class ForkedError(LibraryError):
    """The platform was opened before this process was forked: open one in the child."""


class WrongLoopError(LibraryError):
    """A synchronous twin was called inside of a running event loop, or a coroutine in another loop."""


class NotFoundError(LibraryError):
    """Convex knows no asset of that id, or shows it to no one with these credentials."""
