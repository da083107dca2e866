"""kill -9 of the daemon, then a start on what it left."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.support.faults import Dialect
from tests.support.loopthread import LoopThread
from tests.support.proxy import FaultProxy
from tests.support.system import System, eventually, write

MIB = 1024 * 1024


@pytest.fixture
def line(system: System) -> Iterator[FaultProxy]:
    """Put a proxy between the daemon and S3 that counts what is sent."""
    where = urlsplit(system.s3.endpoint_url)
    upstream = (str(where.hostname), int(where.port or 0))
    with LoopThread() as thread:
        proxy = FaultProxy(thread, Dialect(name="s3", elsewhere=""), upstream)
        proxy.start()
        system.settings["s3"]["endpoint_url"] = proxy.url
        yield proxy
        proxy.stop()


def test_parts_that_s3_has_are_not_sent_again(system: System, line: FaultProxy) -> None:
    """One object, one row, no open upload, wherever it is killed; another sidecar's upload stays."""
    foreign = system.client.create_multipart_upload(Bucket=system.bucket, Key="other/file.mp4")
    system.settings["upload"] = {"bandwidth": "12MB/s"}  # some seconds are left when the kill comes
    system.settings["s3"]["part_size"] = "5MiB"
    path = system.root / "demo/lesson/combined/lesson.mp4"
    data = write(path, random.Random(1).randbytes(100 * MIB))
    held: set[int] = set()
    for reached in (4, 8, 12):
        begin = len(line.exchanges)
        system.start()
        upload = eventually("the upload is open", lambda: ours(system))
        eventually("parts are there", Reached(system, upload, reached))
        system.kill()
        eventually("what was on the line arrived", lambda: all(x.status for x in line.exchanges))
        assert held.isdisjoint(sent(line, begin))
        held = parts(system, upload)
    begin = len(line.exchanges)
    del system.settings["upload"]
    system.start()
    system.wait_settled(synced=1, seconds=120)
    assert held.isdisjoint(sent(line, begin))
    assert list(system.objects().values()) == [data]
    (row,) = system.assets()
    assert (row["size"], row["version"]) == (len(data), 1)
    assert system.open_uploads() == ["other/file.mp4"]
    system.client.abort_multipart_upload(
        Bucket=system.bucket, Key="other/file.mp4", UploadId=foreign["UploadId"]
    )


@dataclass(frozen=True, slots=True)
class Reached:
    """True once S3 holds so many parts."""

    system: System
    upload: tuple[str, str] | None
    count: int

    def __call__(self) -> bool:
        """Ask S3."""
        return len(parts(self.system, self.upload)) >= self.count


def ours(system: System) -> tuple[str, str] | None:
    """Return key and ID of the daemon's open upload."""
    uploads = system.client.list_multipart_uploads(Bucket=system.bucket).get("Uploads", [])
    found = [(u["Key"], u["UploadId"]) for u in uploads if u["Key"] != "other/file.mp4"]
    return found[0] if found else None


def parts(system: System, upload: tuple[str, str] | None) -> set[int]:
    """Return the numbers of the parts that S3 holds."""
    assert upload
    key, upload_id = upload
    answer = system.client.list_parts(Bucket=system.bucket, Key=key, UploadId=upload_id)
    return {part["PartNumber"] for part in answer.get("Parts", [])}


def sent(line: FaultProxy, begin: int) -> set[int]:
    """Return the numbers of the parts that were sent since an exchange."""
    queries = [parse_qs(urlsplit(x.target).query) for x in line.exchanges[begin:] if x.method == "PUT"]
    return {int(query["partNumber"][0]) for query in queries if "partNumber" in query}


def test_a_storm_of_kills_converges(system: System) -> None:
    """Whatever the moment: every file once, nothing owed."""
    chance = random.Random(7)
    files: dict[str, bytes] = {}
    for round_ in range(6):
        system.start(ready=False)
        for n in range(30):
            name = f"demo/lesson/s{n % 4}/source/r{round_}_{n}.py"
            files[name] = write(Path(system.root / name), f"# {round_} {n}\n".encode())
        deadline = chance.uniform(0.1, 2.5)
        eventually("the moment came", Moment(deadline))
        system.kill()
    system.start()
    system.wait_settled(synced=len(files))
    system.check(files)


class Moment:
    """True once some time has passed."""

    def __init__(self, seconds: float) -> None:
        """Begin now."""
        import time  # noqa: PLC0415 - used once

        self._clock, self._end = time.monotonic, time.monotonic() + seconds

    def __call__(self) -> bool:
        """Tell whether it has come."""
        return self._clock() >= self._end
