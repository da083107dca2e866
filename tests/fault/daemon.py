"""``sidecar run`` with the remotes' time limits in seconds instead of minutes; nothing else differs."""

from __future__ import annotations

import sys

from sidecar.cli import main
from sidecar.core import standstill
from sidecar.sync import registration
from sidecar.upload.cleanup import rechecks, worker
from sidecar.upload.s3 import calls, clients

clients.CONNECT_SECONDS = 1
calls.STALL_SECONDS = 1.5
standstill.FORWARD_SECONDS_MAX = 1.0
calls.PROBE_SECONDS = 1.0
calls.COMPLETE_SECONDS = 1.5
worker.RETRY_SECONDS = 0.3
rechecks.LOOKS_SECONDS = (0.3, 3.0)
registration.REFUSED_SECONDS = 0.3

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
