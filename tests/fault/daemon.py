"""``sidecar run`` with the remotes' time limits in seconds instead of minutes; nothing else differs."""

from __future__ import annotations

import sys

from sidecar.cli import main
from sidecar.core import patience
from sidecar.sync import registrar
from sidecar.upload import calls, cleaner, client, doubts

client.CONNECT_SECONDS = 1
calls.STALL_SECONDS = 1.5
patience.FORWARD_SECONDS_MAX = 1.0
calls.PROBE_SECONDS = 1.0
calls.COMPLETE_SECONDS = 1.5
cleaner.DEBT_RETRY_SECONDS = 0.3
doubts.LOOKS_SECONDS = (0.3, 3.0)
registrar.REFUSED_SECONDS = 0.3

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
