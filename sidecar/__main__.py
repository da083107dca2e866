"""``python -m sidecar`` is the command ``sidecar``."""

import sys

from sidecar.cli import main

sys.exit(main())
