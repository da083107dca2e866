"""``sidecar health``: for HEALTHCHECK and exec probes. Standard library alone, and YAML for -c."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence

TIMEOUT_SECONDS = 5.0


def health(arguments: Sequence[str]) -> int:
    """Ask /healthz (or the path that --url names); 0 if it says 200, else 1."""
    options = _parser().parse_args(arguments)
    from .address import Asked, find
    from .client import ClientError, ask

    asked = Asked(url=options.url, socket=options.socket, config=options.config)
    try:
        door = find(asked, os.environ)
        status, reply = ask(door, door.address.path or "/healthz", timeout_seconds=options.timeout)
    except (ClientError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    good = status == 200  # noqa: PLR2004 - HTTP's OK; the enum costs an import
    if options.json:
        print(json.dumps(reply))
    elif good:
        print("ok")
    else:
        print(f"the sidecar at {door.address} is not healthy: {json.dumps(reply)}", file=sys.stderr)
    return 0 if good else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sidecar health", description="Exit 0 if the sidecar is healthy, else 1."
    )
    parser.add_argument(
        "-c", "--config", metavar="FILE", help="the daemon's configuration; default: SIDECAR_CONFIG"
    )
    parser.add_argument("--url", help="default: as the configuration says; may name a path such as /readyz")
    parser.add_argument("--socket", metavar="PATH", help="the daemon's status.socket")
    parser.add_argument(
        "--timeout", type=float, default=TIMEOUT_SECONDS, metavar="SECONDS", help="default: 5"
    )
    parser.add_argument("--json", action="store_true", help="print the reply as JSON")
    return parser
