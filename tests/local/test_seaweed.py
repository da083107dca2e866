"""The embedded S3 server behaves like the real service where the sidecar depends on it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from botocore.exceptions import ClientError

from sidecar.local.child import ServerError, neutral_environment
from sidecar.local.ports import COMPANION, free_ports, is_free
from sidecar.local.seaweed import SeaweedServer
from tests.support.patience import DEADLINE_SECONDS


@pytest.fixture(scope="module")
def server() -> Iterator[SeaweedServer]:
    """One server for the whole module."""
    with SeaweedServer(bucket="lessons") as running:
        yield running


def test_ports_are_distinct_and_free_with_their_companions() -> None:
    """SeaweedFS listens on every port + 10000 as well."""
    ports = free_ports(8)
    assert len(set(ports)) == 8
    assert all(is_free(port) and is_free(port + COMPANION) for port in ports)


def test_an_object_comes_back_as_it_was_put(server: SeaweedServer) -> None:
    """The bucket is ready when ``start`` returns: the first request succeeds."""
    server.client().put_object(Bucket=server.bucket, Key="a/b", Body=b"pixels")
    assert server.client().get_object(Bucket=server.bucket, Key="a/b")["Body"].read() == b"pixels"


def test_a_missing_bucket_stays_missing(server: SeaweedServer) -> None:
    """A typing error in a configuration must be visible, as it is with S3."""
    with pytest.raises(ClientError, match="NoSuchBucket"):
        server.client().put_object(Bucket="typo", Key="k", Body=b"")


def test_objects_survive_a_crash(server: SeaweedServer) -> None:
    """``restart`` is a kill -9 and a start on the same address with the same keys."""
    address = server.endpoint_url
    server.client().put_object(Bucket=server.bucket, Key="kept", Body=b"bytes")
    server.restart()
    assert server.endpoint_url == address
    assert server.client().get_object(Bucket=server.bucket, Key="kept")["Body"].read() == b"bytes"


def test_buckets_are_not_bounded_by_the_disk(server: SeaweedServer) -> None:
    """Each bucket takes a volume; a nearly full disk would leave a test run's later buckets without one."""
    topology = httpx.get(f"{server.master_url}/dir/status").json()["Topology"]
    assert topology["Max"] >= 100_000


async def test_it_starts_and_ends_on_an_event_loop() -> None:
    """Leaving the context ends the process and removes its folder."""
    async with SeaweedServer() as running:
        pid = running.pid
        folder = running.folder
        assert folder.is_dir()
    assert pid is not None
    assert not _runs(pid)
    assert not folder.exists()


def test_a_given_folder_is_kept(tmp_path: Path) -> None:
    """``dev --keep`` style use: the data stays where the caller wanted it."""
    with SeaweedServer(folder=tmp_path / "s3"):
        pass
    assert (tmp_path / "s3" / "weed.log").is_file()


def test_a_server_that_cannot_start_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error ends with the tail of the server's log, and nothing is left running."""
    broken = tmp_path / "weed"
    broken.write_text("#!/bin/sh\necho 'disk is on fire' >&2\nexit 3\n")
    broken.chmod(0o755)
    monkeypatch.setattr("sidecar.local.seaweed.find_weed", lambda: broken)
    with pytest.raises(ServerError, match=r"status 3:\n.*disk is on fire"):
        SeaweedServer().start()


def test_the_server_dies_with_its_parent() -> None:
    """Not even a SIGKILL of the parent leaves a server behind."""
    program = (
        "import time\nfrom sidecar.local.seaweed import SeaweedServer\n"
        "s = SeaweedServer(); s.start(); print(s.pid, s.folder, flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid, folder = parent.stdout.readline().split()
        os.kill(parent.pid, signal.SIGKILL)
    deadline = time.monotonic() + DEADLINE_SECONDS
    while _runs(int(pid)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not _runs(int(pid))
    subprocess.run(["rm", "-r", folder], check=True)


def _runs(pid: int) -> bool:
    """Tell whether a process runs; a zombie that nobody collects has ended."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_an_environment_of_the_users_own_does_not_reach_into_it(
    server: SeaweedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a proxy, which does not know our loopback, nor what AWS's variables say."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "nonsense")
    monkeypatch.setenv("AWS_USE_DUALSTACK_ENDPOINT", "true")
    server._new_client().head_bucket(Bucket=server.bucket)
    assert not {name for name in neutral_environment() if name.lower().endswith("_proxy")}
