"""The real command as a process, against the real application with a source in memory."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tests.status.conftest import served
from tests.support.patience import DEADLINE_SECONDS

__all__ = ["served"]


@dataclass(frozen=True)
class Ran:
    """What became of a command."""

    status: int
    out: str
    err: str

    def json(self) -> Any:
        """Its output, which is one JSON document."""
        return json.loads(self.out)


async def sidecar(*arguments: str | bytes, **environ: str) -> Ran:
    """Run ``python -m sidecar`` to its end."""
    return await run([sys.executable, "-m", "sidecar", *arguments], **environ)


async def run(command: Sequence[str | bytes], **environ: str) -> Ran:
    """Run a command to its end, with no sidecar variables but those given."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("SIDECAR_")}
    process = await asyncio.create_subprocess_exec(
        *command,
        env={**clean, **environ},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(DEADLINE_SECONDS):
        out, err = await process.communicate()
    assert process.returncode is not None
    return Ran(process.returncode, out.decode(), err.decode())
