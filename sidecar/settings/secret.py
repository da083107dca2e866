"""Secrets: given in place or in a file that is read when needed and again when it changes."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from sidecar.core.errors import ErrorKind, SidecarError

SECRET_BYTES_MAX = 65_536
MASK = "********"


class Secret:
    """A value that no log, repr or dump shows. ``get()`` may touch the disk: keep it off the event loop."""

    __slots__ = ("_path", "_seen", "_value")

    def __init__(self, value: str | None = None, *, path: Path | None = None) -> None:
        """Either the value itself or the file that holds it; a file may appear later than we start."""
        if (value is None) == (path is None):
            raise ValueError("a secret is a value or a file, not both")
        self._value = value
        self._path = path
        self._seen: tuple[int, int, int, int] | None = None

    @property
    def path(self) -> Path | None:
        """The file, where the secret is one."""
        return self._path

    def get(self) -> str:
        """Return the secret without surrounding white space; a changed file is read again.

        Raises SidecarError (UNAUTHORIZED) with the file's name while it is missing, unreadable or empty.
        """
        if self._path is None:
            return self._value or ""
        try:
            self._refresh(self._path)
        except (OSError, ValueError) as error:
            self._seen = None
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise SidecarError(
                ErrorKind.UNAUTHORIZED, f"the secret cannot be read: {reason}", operation="read",
                target=str(self._path), hint="the file is read again at the next use",
            ) from None  # fmt: skip
        return self._value or ""

    async def read(self) -> str:
        """Return the same as ``get``; the disk is touched off the event loop."""
        return self.get() if self._path is None else await asyncio.to_thread(self.get)

    def peek(self) -> str | None:
        """Return the value if it is known by now, without touching the disk."""
        return self._value

    def _refresh(self, path: Path) -> None:
        stat = path.stat()
        seen = (stat.st_dev, stat.st_ino, stat.st_mtime_ns, stat.st_size)
        if seen == self._seen:
            return
        with path.open("rb") as file:
            stat = os.fstat(file.fileno())  # of what is read, in case the name was just given to a new file
            raw = file.read(SECRET_BYTES_MAX + 1)
        if len(raw) > SECRET_BYTES_MAX:
            raise ValueError(f"it is larger than {SECRET_BYTES_MAX} bytes")
        if not (value := raw.decode("utf-8").strip()):
            raise ValueError("the file is empty")
        self._value = value
        self._seen = (stat.st_dev, stat.st_ino, stat.st_mtime_ns, stat.st_size)

    def __repr__(self) -> str:
        """Say where it comes from, never what it is."""
        return f"Secret(path={str(self._path)!r})" if self._path else "Secret('********')"

    def __eq__(self, other: object) -> bool:
        """Equal if they come from the same file or hold the same given value."""
        if not isinstance(other, Secret):
            return NotImplemented
        if self._path or other._path:
            return self._path == other._path
        return self._value == other._value

    def __hash__(self) -> int:
        """Agree with equality."""
        return hash(self._path or self._value)

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        """Accept a Secret or a non-empty string; dump as a mask."""
        mask = core_schema.plain_serializer_function_ser_schema(lambda _: MASK, when_used="json")
        return core_schema.no_info_plain_validator_function(cls._read, serialization=mask)

    @classmethod
    def _read(cls, value: Any) -> Secret:
        if isinstance(value, Secret):
            return value
        if isinstance(value, str) and value.strip():
            return cls(value.strip())
        raise ValueError("must be non-empty text")

    @classmethod
    def __get_pydantic_json_schema__(
        cls, _schema: CoreSchema, _handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Describe it as a string that tools may hide."""
        return {"type": "string", "minLength": 1, "writeOnly": True}


def from_files(values: Any, *names: str) -> Any:
    """Return the section's values with ``name`` filled from ``name_file`` for each secret ``name``.

    Raises ValueError where both are given.
    """
    if not isinstance(values, Mapping):
        return values
    filled = dict(values)
    for name in names:
        path = values.get(f"{name}_file")
        if not isinstance(path, str | Path) or not path:
            continue  # absent, or a mistake that the field itself reports
        if values.get(name) is not None:
            raise ValueError(f"{name} and {name}_file are both set; keep one of them")
        filled[name] = Secret(path=Path(path))
    return filled
