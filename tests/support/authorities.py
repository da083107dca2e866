"""The certificate authorities of a test's process: one instead of all.

Every client of httpx and botocore reads the whole bundle, which costs 25 ms of CPU, and thousands of them are
made here, also in the daemons that are forked. None of them speaks TLS to the world. What SSL_CERT_FILE,
SSL_CERT_DIR or a setting names is read as ever; a daemon that is a fresh process reads the whole bundle, too.
"""

from __future__ import annotations

import atexit
import os
import tempfile
from pathlib import Path

import certifi
from botocore import httpsession

_END = "-----END CERTIFICATE-----\n"


def trust_one() -> None:
    """Put a bundle with the first authority alone in the place of certifi's."""
    first, end, _ = Path(certifi.where()).read_text(encoding="ascii").partition(_END)
    descriptor, name = tempfile.mkstemp(prefix="authority-", suffix=".pem")
    with os.fdopen(descriptor, "w") as file:
        file.write(first + end)
    pid = os.getpid()
    atexit.register(lambda: Path(name).unlink(missing_ok=True) if os.getpid() == pid else None)
    certifi.where = lambda: name
    httpsession.where = certifi.where
