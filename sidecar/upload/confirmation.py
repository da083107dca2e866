"""Whether S3 confirms our checksum (DESIGN.md section 3): believed only if it says so itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sidecar.core.errors import ErrorKind, Scope, SidecarError

from . import transport
from .transport import Algorithm


class Confirmation:
    """Compares answers with what was sent."""

    def __init__(self, algorithm: Algorithm) -> None:
        """``algorithm`` is ``s3.checksum``."""
        self._algorithm = algorithm
        self._missing: SidecarError | None = None

    def expected(self, value: str) -> str | None:
        """Return what S3 must answer to a body with this checksum; of an MD5 it says nothing."""
        return None if self._algorithm is Algorithm.MD5 else value

    def compare(self, answer: Mapping[str, Any], key: str, expected: str | None, *, operation: str) -> bool:
        """Tell whether the answer carries our checksum. Raises if it carries another.

        One such answer may be this object's; a store that counts otherwise gives it to every object.
        """
        said = answer.get(transport.field(self._algorithm))
        if expected is None or said == expected:
            return True
        if said is None:
            return False
        message = f"S3 holds {said} where {expected} was sent"
        raise SidecarError(
            ErrorKind.CORRUPT,
            message,
            operation=operation,
            target=key,
            hint="if it is so for every file the store counts otherwise: set s3.checksum: md5",
            code="ChecksumDiffers",
            scope=Scope.REMOTE,
        )

    def demand(self, answer: Mapping[str, Any], key: str, expected: str | None, *, operation: str) -> None:
        """Raise if the answer does not carry our checksum."""
        if self.compare(answer, key, expected, operation=operation):
            return
        self._missing = SidecarError(
            ErrorKind.FORBIDDEN,
            f"the store did not confirm the {self._algorithm} checksum that it was given",
            operation="confirm",
            target=key,
            hint="set s3.checksum: md5",
            code="ChecksumNotConfirmed",
            scope=Scope.BUCKET,
        )
        raise self._missing

    def complain(self) -> None:
        """Raise, once, that a checksum was not confirmed: no file is at fault."""
        missing, self._missing = self._missing, None
        if missing is not None:
            raise missing
