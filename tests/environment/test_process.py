"""The daemon as a process in odd environments: it ships, or says why not in one sentence and ends with 78."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sidecar.local.child import neutral_environment
from tests.support.outside import remote

START_SECONDS = 60.0

SHIPS = {
    "proxies": {
        "HTTP_PROXY": "http://127.0.0.1:9",
        "ALL_PROXY": "socks4://127.0.0.1:9",
        "NO_PROXY": "[::1]:x",
    },
    "AWS": {
        "AWS_PROFILE": "laptop",
        "AWS_CONFIG_FILE": "/etc/passwd",
        "AWS_MAX_ATTEMPTS": "x",
        "AWS_REGION": " ",
    },
    "files": {
        "SSLKEYLOGFILE": "/nonexistent/x",
        "PROMETHEUS_MULTIPROC_DIR": "/nonexistent",
        "TMPDIR": "/nonexistent",
        "SSL_CERT_FILE": "/nonexistent",
        "WATCHDOG_USEC": "x",
        "HOME": "/nonexistent",
        "TZ": "No/Where",
    },
    "locale": {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"},
}
REFUSED = {
    "AWS_ENDPOINT_URL_S3": {"AWS_ENDPOINT_URL_S3": "nonsense"},
    "https_proxy": {"https_proxy": "socks4://127.0.0.1:9"},
}


def start(tmp_path: Path, environ: dict[str, str], **s3: str) -> subprocess.Popen[bytes]:
    (tmp_path / "renders").mkdir()
    settings = {
        "watch": [{"root": str(tmp_path / "renders")}],
        "s3": {"bucket": "lessons", "access_key_id": "AKID", "secret_access_key": "secret"} | s3,
        "convex": {"sync": "off"},
        "journal": {"path": str(tmp_path / "journal.db")},
        "status": {"listen": "127.0.0.1:0"},
    }
    (tmp_path / "sidecar.yaml").write_text(json.dumps(settings))
    (tmp_path / "sidecar.yaml").chmod(0o600)
    with (tmp_path / "log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "sidecar", "run", "--config", tmp_path / "sidecar.yaml"],
            stdout=log, stderr=log, env=neutral_environment() | environ,
        )  # fmt: skip


@pytest.mark.parametrize("environ", SHIPS.values(), ids=SHIPS)
async def test_a_file_is_shipped_whatever_else_the_environment_holds(
    environ: dict[str, str], tmp_path: Path
) -> None:
    """Also one with a name that the locale does not know."""
    async with remote() as store:
        daemon = start(tmp_path, environ, endpoint_url=f"http://127.0.0.1:{store.port}")
        file = tmp_path / "renders/p/s/sc/source/é.py"
        file.parent.mkdir(parents=True)
        file.write_text("x = 1\n")
        try:
            await _until(lambda: any("PUT" in line and "é" in line for line in store.asked), daemon, tmp_path)
        finally:
            daemon.kill()
            daemon.wait()
    assert "Traceback" not in (tmp_path / "log").read_text()


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_needed_and_wrong_is_one_sentence(name: str, tmp_path: Path) -> None:
    daemon = start(tmp_path, REFUSED[name])
    assert daemon.wait(START_SECONDS) == 78
    said = (tmp_path / "log").read_text()
    assert f"sidecar: {name}" in said
    assert "Traceback" not in said


async def _until(seen: Callable[[], bool], daemon: subprocess.Popen[bytes], tmp_path: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not seen():
        assert daemon.poll() is None, (tmp_path / "log").read_text()
        assert time.monotonic() < deadline, (tmp_path / "log").read_text()
        await asyncio.sleep(0.05)
