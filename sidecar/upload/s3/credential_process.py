"""Runs a ``credential_process``: no input, at most 256 KiB of output, ended with all that it began.

It leads a session of its own, so that it can be ended as a whole.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from typing import Any

OUTPUT_BYTES_MAX = 256 * 1024


class CredentialProcess:
    """What botocore's process provider asks of a process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        """Take over a process that leads a session of its own."""
        self._process = process

    @property
    def returncode(self) -> int | None:
        """Its exit status."""
        return self._process.returncode

    async def communicate(self) -> tuple[bytes, bytes]:
        """Return what it wrote; whoever gives up waiting ends it. Raises ValueError for too much."""
        try:
            out, err = await self._read()
            await self._process.wait()
        except asyncio.CancelledError:
            self._kill()
            await self._read()  # asyncio sees the end of a process after the end of its pipes
            await self._process.wait()
            raise
        if max(len(out), len(err)) > OUTPUT_BYTES_MAX:
            raise ValueError(f"it wrote more than {OUTPUT_BYTES_MAX} bytes")
        return out, err

    async def _read(self) -> tuple[bytes, bytes]:
        out, err = await asyncio.gather(*map(self._drain, (self._process.stdout, self._process.stderr)))
        return out, err

    async def _drain(self, stream: asyncio.StreamReader | None) -> bytes:
        read = bytearray()
        while stream is not None and (piece := await stream.read(OUTPUT_BYTES_MAX)):
            if len(read) <= OUTPUT_BYTES_MAX:
                read += piece
            else:
                self._kill()
        return bytes(read)

    def _kill(self) -> None:
        """End all that it began, as far as it did not leave the session; what has ended is not there."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)


async def start_credential_process(*command: str, **pipes: Any) -> CredentialProcess:
    """Start one, as ``asyncio.create_subprocess_exec`` would. Raises OSError."""
    return CredentialProcess(
        await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.DEVNULL, start_new_session=True, **pipes
        )
    )
