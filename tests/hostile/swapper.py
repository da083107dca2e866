"""An attacker: exchanges two names, atomically and without pause, until it is ended.

    python swapper.py A B [A B ...]

A process of its own, so that it runs beside whoever opens the names, and not in turns with it.
"""

from __future__ import annotations

import ctypes
import os
import sys

AT_FDCWD, RENAME_EXCHANGE = -100, 2


def exchange_for_ever(pairs: list[tuple[bytes, bytes]]) -> None:
    """Never returns."""
    renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    while True:
        for one, other in pairs:
            if renameat2(AT_FDCWD, one, AT_FDCWD, other, RENAME_EXCHANGE) != 0:
                raise OSError(ctypes.get_errno(), "renameat2")


if __name__ == "__main__":
    print("ready", flush=True)  # noqa: T201 - its parent waits for it
    names = [os.fsencode(name) for name in sys.argv[1:]]
    exchange_for_ever(list(zip(names[::2], names[1::2], strict=True)))
