"""Checks whether S3 confirms our checksum, and believes only what S3 says itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from sidecar.core.checksum_algorithms import NOT_CONFIRMED, Algorithm
from sidecar.core.errors import ErrorKind, Scope, SidecarError
from sidecar.core.s3_failures import CHECKSUM_WAYS

from . import checksums


class Expected(NamedTuple):
    """What S3 must answer; ``value`` None: of an MD5 it says nothing."""

    algorithm: Algorithm
    value: str | None


def expected_of(algorithm: Algorithm, value: str) -> Expected:
    """Return what S3 must answer to a body with this checksum."""
    return Expected(algorithm, None if algorithm is Algorithm.MD5 else value)


class Confirmation:
    """Compares answers with what was sent."""

    def __init__(self, *, strict: bool) -> None:
        """``strict``: ``s3.checksum`` names one, so that the bucket is no good where it is not confirmed."""
        self._strict = strict
        self._missing: SidecarError | None = None

    def compare(self, answer: Mapping[str, Any], key: str, expected: Expected, *, operation: str) -> bool:
        """Tell whether the answer carries our checksum. Raises if it carries another.

        One such answer may be this object's; a store that counts otherwise gives it to every object.
        """
        said = answer.get(checksums.field(expected.algorithm))
        if expected.value is None or said == expected.value:
            return True
        if said is None:
            return False
        message = f"S3 holds {said} where {expected.value} was sent"
        raise SidecarError(
            ErrorKind.CORRUPT,
            message,
            operation=operation,
            target=key,
            hint="if it is so for every file the store counts otherwise: set s3.checksum: md5",
            code="ChecksumDiffers",
            scope=Scope.REMOTE,
        )

    def demand(self, answer: Mapping[str, Any], key: str, expected: Expected, *, operation: str) -> None:
        """Raise if the answer does not carry our checksum."""
        if self.compare(answer, key, expected, operation=operation):
            return
        missing = SidecarError(
            ErrorKind.FORBIDDEN,
            f"the store did not confirm the {expected.algorithm} checksum that it was given",
            operation="confirm",
            target=key,
            hint=CHECKSUM_WAYS,
            code=NOT_CONFIRMED,
            scope=Scope.BUCKET,
        )
        self._missing = missing if self._strict else None
        raise missing

    def complain(self) -> None:
        """Raise, once, that a checksum was not confirmed: no file is at fault."""
        missing, self._missing = self._missing, None
        if missing is not None:
            raise missing
