"""Ties a server to the process that started it: ``python -ISE tether.py PARENT_PID COMMAND...``.

The kernel kills the command when the thread that started it ends, however it ends, so not even a
SIGKILL leaves servers behind. A program of its own and not a ``preexec_fn``: that would run Python
between fork and exec of a threaded process. It uses the standard library alone: started with ``-I``,
it sees nothing else.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Ask for the signal, then become the command."""
    parent = int(sys.argv[1])
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before we could ask
        sys.exit("the parent is gone")
    os.execvp(sys.argv[2], sys.argv[2:])  # noqa: S606 - becoming the command, without a shell, is the point


if __name__ == "__main__":
    main()
