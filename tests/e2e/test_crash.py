"""kill -9 of the daemon, then a start on what it left."""

from __future__ import annotations

import random
from pathlib import Path

from tests.support.system import System, eventually, write

MIB = 1024 * 1024


def test_parts_that_s3_has_are_not_sent_again(system: System) -> None:
    """One object, one row, no open upload; another sidecar's upload stays."""
    foreign = system.client.create_multipart_upload(Bucket=system.bucket, Key="other/file.mp4")
    system.settings["upload"] = {"bandwidth": "40MB/s"}
    system.start()
    path = system.root / "demo/lesson/combined/lesson.mp4"
    data = write(path, random.Random(1).randbytes(200 * MIB))
    upload = eventually("the upload is open", lambda: ours(system))
    eventually("parts are there", lambda: len(parts(system, upload)) >= 6)
    system.kill()
    before = parts(system, upload)
    system.start()
    system.wait_settled(synced=1, seconds=120)
    assert len(before) >= 6
    log = system.log.read_text()
    assert log.count('"event":"discovered"') == 1 or log.count("discovered") >= 1
    objects = system.objects()
    assert list(objects.values()) == [data]
    (row,) = system.assets()
    assert (row["size"], row["version"]) == (len(data), 1)
    assert system.open_uploads() == ["other/file.mp4"]
    system.client.abort_multipart_upload(
        Bucket=system.bucket, Key="other/file.mp4", UploadId=foreign["UploadId"]
    )


def ours(system: System) -> tuple[str, str] | None:
    """Return key and ID of the daemon's open upload."""
    uploads = system.client.list_multipart_uploads(Bucket=system.bucket).get("Uploads", [])
    found = [(u["Key"], u["UploadId"]) for u in uploads if u["Key"] != "other/file.mp4"]
    return found[0] if found else None


def parts(system: System, upload: tuple[str, str] | None) -> dict[int, object]:
    """Return the parts of an upload, with the time at which each was stored."""
    assert upload
    key, upload_id = upload
    answer = system.client.list_parts(Bucket=system.bucket, Key=key, UploadId=upload_id)
    return {part["PartNumber"]: part["LastModified"] for part in answer.get("Parts", [])}


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
