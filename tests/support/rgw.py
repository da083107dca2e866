"""Ceph's gateway, of the distribution's own packages (radosgw, ceph-mon, ceph-osd), all in one folder."""

from __future__ import annotations

import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from sidecar.local.ports import free_port

KEY, SECRET = "rgw-key", "rgw-secret"
_START_SECONDS = 120.0
_NAME = "11111111-2222-3333-4444-555555555555"
_CONFIG = """
[global]
fsid = {name}
mon host = v1:127.0.0.1:{port}
mon data = {folder}/mon
mon data avail crit = 1
mon data avail warn = 1
auth cluster required = none
auth service required = none
auth client required = none
keyring = {folder}/keyring
run dir = {folder}
admin socket = {folder}/$name.asok
log file = {folder}/$name.log
public network = 127.0.0.0/8
ms bind ipv6 = false
ms bind msgr2 = false
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 4
osd crush chooseleaf type = 0
mon allow pool size one = true
mon max pg per osd = 5000
osd data = {folder}/osd
osd objectstore = memstore
memstore device bytes = 4294967296
osd class load list = *
osd class default list = *
rgw data = {folder}
rgw frontends = beast endpoint=127.0.0.1:{gateway}
"""


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Run a monitor, one store in memory and the gateway; yields its URL. ``KEY`` and ``SECRET`` open it."""
    config, gateway = folder / "ceph.conf", free_port()
    port = free_port()
    config.write_text(_CONFIG.format(name=_NAME, folder=folder, port=port, gateway=gateway))
    (folder / "osd").mkdir()
    keyring, monitors, use = str(folder / "keyring"), str(folder / "monmap"), ("-c", str(config))
    _run("ceph-authtool", "--create-keyring", keyring, "--gen-key", "-n", "mon.", "--cap", "mon", "allow *")
    address = f"[v1:127.0.0.1:{port}]"
    _run("monmaptool", "--create", "--addv", "a", address, "--fsid", _NAME, monitors)
    _run("ceph-mon", *use, "-i", "a", "--mkfs", "--monmap", monitors, "--keyring", keyring)
    with ExitStack() as running:
        running.enter_context(_server("ceph-mon", *use, "-i", "a", "-f"))
        _run("ceph", *use, "osd", "create")
        _run("ceph-osd", *use, "-i", "0", "--mkfs")
        _run("ceph", *use, "osd", "crush", "add", "osd.0", "1.0", "host=localhost", "root=default")
        running.enter_context(_server("ceph-osd", *use, "-i", "0", "-f"))
        running.enter_context(_server("radosgw", *use, "-n", "client.rgw", "-f"))
        _answers(f"http://127.0.0.1:{gateway}/")
        keys = ("--access-key", KEY, "--secret-key", SECRET)
        _run("radosgw-admin", *use, "user", "create", "--uid", "test", "--display-name", "test", *keys)
        yield f"http://127.0.0.1:{gateway}"


def _run(*argv: str) -> None:
    subprocess.run(argv, check=True, capture_output=True, timeout=_START_SECONDS)


@contextmanager
def _server(*argv: str) -> Iterator[None]:
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.kill()


def _answers(url: str) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            urllib.request.urlopen(url, timeout=5).close()  # noqa: S310 - our own URL
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
        else:
            return
