"""``sidecar run`` with a lease file's times in fractions of a second; nothing else differs.

With ``NO_LOCKS`` in the environment every flock of a folder fails as on a volume without locks.
"""

from __future__ import annotations

import errno
import fcntl
import os
import sys

from sidecar.cli import main
from sidecar.core.lease_record import LeaseTiming
from sidecar.watch.ownership import flock, root_lock


class NoLocks:
    """The module ``fcntl`` of a volume without locks."""

    LOCK_EX, LOCK_NB = fcntl.LOCK_EX, fcntl.LOCK_NB

    @staticmethod
    def flock(_fd: int, _operation: int) -> None:
        """Refuse."""
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))


root_lock.TIMING = LeaseTiming(beat=0.2, term=0.8, claim=1.2, still=10)
if os.environ.get("NO_LOCKS"):
    setattr(flock, "fcntl", NoLocks)  # noqa: B010 - it is not exported

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
