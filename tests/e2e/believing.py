"""``sidecar run`` to which every journal is a big one, believed after a good end; nothing else differs."""

from __future__ import annotations

import sys

from sidecar.cli import main
from sidecar.journal.db import integrity

integrity.AT_ONCE_BYTES = 8192

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
