"""The real daemon on an S3 server that is not SeaweedFS: moto's here, any other by ``--s3``."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import boto3
import pytest
from botocore.config import Config
from moto.server import ThreadedMotoServer

from sidecar.core.ids import sidecar_tag, transfer_id
from sidecar.local.convex_server import ConvexServer
from sidecar.local.ports import free_port
from sidecar.local.seaweed import SeaweedServer
from tests.support import rgw
from tests.support.system import System, eventually, write

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Server:
    """What ``System`` asks of an S3 server."""

    endpoint_url: str
    access_key: str
    secret_key: str
    checksum: str

    def client(self) -> Any:
        """Open a client that is not the daemon's."""
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint_url,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            region_name="us-east-1",
            config=Config(
                s3={"addressing_style": "path"},
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )


@pytest.fixture(scope="module")
def named(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str | None]:
    """Return the server that is named; Ceph's gateway is started."""
    name = request.config.getoption("--s3")
    if name != "rgw":
        yield name
        return
    with rgw.serving(tmp_path_factory.mktemp("rgw")) as url:
        yield f"{url},{rgw.KEY},{rgw.SECRET}"


@pytest.fixture(params=["auto", "crc64nvme", "md5"])
def server(request: pytest.FixtureRequest, named: str | None) -> Iterator[Server]:
    """Serve moto, which checks no bytes: it is no evidence of integrity. Or take the server that is named."""
    if named is not None:
        url, key, secret = named.split(",")
        yield Server(url, key, secret, request.param)
        return
    if request.param != "auto":
        pytest.skip("with --s3: moto compares nothing either way")
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=free_port(), verbose=False)
    moto.start()
    host, port = moto.get_host_and_port()
    yield Server(f"http://{host}:{port}", "moto", "moto", request.param)
    moto.stop()


@pytest.fixture
def system(tmp_path: Path, server: Server, convex_server: ConvexServer) -> Iterator[System]:
    """Set up a daemon on that server."""
    convex_server.control("reset", {})
    system = System(tmp_path, cast("SeaweedServer", server), convex_server)  # as far as a system goes
    system.settings["s3"] |= {"checksum": server.checksum, "part_size": "5MiB"}
    system.settings["watch"][0] |= {"settle": "100ms"}
    yield system
    if system.process and system.process.poll() is None:
        system.kill()
    print(system.log.read_text()[-6000:])  # noqa: T201 - pytest shows it where a test fails


def parts(system: System) -> int:
    """Count the parts that are journaled."""
    with closing(sqlite3.connect(f"file:{system.settings['journal']['path']}?mode=ro", uri=True)) as journal:
        return int(journal.execute("SELECT count(*) FROM parts").fetchone()[0])


def test_the_whole_way_through_a_kill(system: System) -> None:
    """Small and large, replaced, killed within a film, swept, drained: all there, nothing beside it."""
    place = system.root / "demo/lesson/s1"
    system.settings["upload"] = {"bandwidth": "8MB/s"}
    system.start()
    first = write(place / "source/a.py", b"print(1)\n")
    system.wait_settled(synced=1)
    film = write(place / "video/film.mp4", b"\x47" + bytes(range(256)) * 45_000)
    eventually("a part is a fact", lambda: parts(system) >= 1)
    system.kill()
    tag = sidecar_tag(system.sidecar_id)
    forgotten = f"demo/lesson/x.{transfer_id(wall_ms=1, chance=b'12345', tag=tag)}.mp4"
    system.client.create_multipart_upload(Bucket=system.bucket, Key=forgotten)
    del system.settings["upload"]
    system.start()
    system.wait_settled(synced=2)
    second = write(place / "source/a.py", b"print(2)\n")
    system.wait_settled(synced=3)
    eventually("nothing is open", lambda: not system.open_uploads())
    assert system.stop() == 0
    assert sorted(system.objects().values()) == sorted([first, second, film])
    shown = {row["name"]: row["size"] for row in system.assets()}
    assert shown == {"a.py": len(second), "film.mp4": len(film)}


def test_what_is_not_confirmed_is_sent_under_auto_alone(system: System, server: Server) -> None:
    """Under auto a new file goes, and /status says how; an explicit checksum says the way out."""
    system.start()
    write(system.root / "demo/lesson/s1/source/a.py", b"print(1)\n")
    if server.checksum == "auto":
        system.wait_settled(synced=1)
        assert system.get("/status")["checksum"]["found"]
        return
    eventually("it is sent, or refused", lambda: told(system.get("/status")))
    status = system.get("/status")
    assert status["checksum"]["put"] == server.checksum
    assert status["transfers"]["synced"] or "s3.checksum: auto" in status["s3"]["last_error"]["hint"]


def told(status: dict[str, Any]) -> bool:
    """Tell whether the file has arrived, or S3's breaker says why not."""
    return bool(status["transfers"]["synced"] or status["s3"]["breaker"] == "open")
