"""The commands against the real daemon, whose S3 does not answer."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.status.conftest import free_port
from tests.support.patience import DEADLINE_SECONDS

from .conftest import sidecar


@dataclass
class Daemon:
    """A running ``sidecar run``."""

    process: asyncio.subprocess.Process
    root: Path
    url: str
    socket_path: Path

    async def stop(self) -> tuple[int, str]:
        """SIGTERM; return the exit status and the log."""
        self.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(DEADLINE_SECONDS):
            out, _ = await self.process.communicate()
        assert self.process.returncode is not None
        return self.process.returncode, out.decode()


def configuration(folder: Path, *, port: int, name: str = "a") -> Path:
    """Write a configuration whose S3 is a closed port; return its path."""
    config = folder / f"{name}.yaml"
    config.write_text(
        f"""
        watch: [{{root: {folder}/renders, settle: 50ms}}]
        s3:
          bucket: lessons
          endpoint_url: http://127.0.0.1:{free_port()}
          access_key_id: key
          secret_access_key: a-secret-that-no-log-shows
        convex: {{sync: off}}
        journal: {{path: {folder}/{name}/journal.db}}
        status: {{listen: "127.0.0.1:{port}", socket: {folder}/{name}.sock}}
        shutdown: {{grace: 1s}}
        """
    )
    (folder / name).mkdir()
    return config


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncIterator[Daemon]:
    """A ready daemon."""
    (tmp_path / "renders").mkdir()
    port = free_port()
    config = configuration(tmp_path, port=port)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sidecar", "run", "--config", str(config)), stdout=asyncio.subprocess.PIPE
    )
    url = f"http://127.0.0.1:{port}"
    try:
        async with asyncio.timeout(DEADLINE_SECONDS):
            while (await sidecar("health", "--url", f"{url}/readyz")).status != 0:
                assert process.returncode is None
        yield Daemon(process, tmp_path / "renders", url, tmp_path / "a.sock")
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


def write_a_mess(root: Path) -> None:
    """Leave a good file and everything that is never sent."""
    sources = root / "p" / "s" / "intro" / "source"
    sources.mkdir(parents=True)
    (sources / "a.py").write_text("print()")
    (root / "notes.txt").write_text("for nobody")
    (sources / "link.py").symlink_to("/etc/passwd")
    os.mkfifo(sources / "pipe.py")
    Path(os.fsdecode(os.fsencode(sources) + b"/b\xff.py")).write_text("print()")


async def test_an_outage_and_a_mess_are_told_and_nothing_is_forgotten(daemon: Daemon) -> None:
    """Status says degraded and why, wait names what is owed, explain knows every path, the drain says 75."""
    write_a_mess(daemon.root)
    waited = await sidecar("wait", "--timeout", "2s", "--json", "--url", daemon.url)
    assert waited.status == 75
    assert {Path(one["path"]).name for one in waited.json()["owed"]} == {"a.py"}
    assert {Path(one["path"]).name for one in waited.json()["failed"]} == {"link.py", "pipe.py", "b\\xff.py"}
    status = (await sidecar("status", "--json", "--url", daemon.url)).json()
    assert (status["state"], status["backlog"]["files"]) == ("degraded", 1)
    assert any(reason.startswith("S3 is unreachable since") for reason in status["reasons"])
    assert status["watch"][0]["unmatched"] == 1
    expected = {
        "a.py": "waiting for its upload. S3 is unreachable",
        "link.py": "Not sent (refused)",
        "pipe.py": "Not sent (refused)",
        os.fsdecode(b"b\xff.py"): "not UTF-8",
        "none.py": "There is no such file",
    }
    for name, verdict in expected.items():
        ran = await sidecar("explain", f"{daemon.root}/p/s/intro/source/{name}", "--url", daemon.url)
        assert verdict in ran.out, ran
    requeued = await sidecar("dead-letters", "requeue", "--all", "--url", f"unix:{daemon.socket_path}")
    assert requeued.out == "0 requeued.\n"
    code, log = await daemon.stop()
    assert code == 75
    assert "a-secret-that-no-log-shows" not in log
    assert "Traceback" not in log


async def test_a_second_daemon_on_the_port_is_told_to_try_later(daemon: Daemon, tmp_path: Path) -> None:
    """One sentence with a hint, exit status 75, and the first one goes on."""
    port = int(daemon.url.rpartition(":")[2])
    ran = await sidecar("run", "--config", str(configuration(tmp_path, port=port, name="b")))
    assert ran.status == 75
    assert f"127.0.0.1:{port} is in use" in ran.err
    assert "hint: another sidecar may be running" in ran.err
    assert "Traceback" not in ran.out + ran.err
    assert (await sidecar("health", "--url", daemon.url)).status == 0
    assert (await daemon.stop())[0] == 0
