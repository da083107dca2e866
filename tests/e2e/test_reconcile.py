"""`sidecar reconcile`: what went wrong behind the sidecar's back is found, and repaired where asked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sidecar.core.ids import sidecar_tag, transfer_id
from sidecar.local.convex_server import ConvexServer
from tests.support.system import System, eventually, write


def reconcile(system: System, *options: str) -> dict[str, Any]:
    """Run the command; return its report."""
    ran = system.run("reconcile", "--json", "--socket", system.settings["status"]["socket"], *options)
    assert ran.returncode == 0, ran.stderr
    return dict(json.loads(ran.stdout))


def shipped(system: System, count: int = 6) -> dict[str, bytes]:
    """Write files and wait until they are synced."""
    files = {f"demo/lesson/s1/source/f{n}.py": f"# {n}\n".encode() for n in range(count)}
    for name, data in files.items():
        write(system.root / name, data)
    system.wait_settled(synced=count)
    return files


def key_of(system: System, name: str) -> str:
    """Return the key that Convex shows for a file."""
    (row,) = [row for row in system.assets() if row["name"] == name]
    return str(row["s3Key"])


def test_nothing_is_found_where_all_is_well(system: System) -> None:
    """Files of every kind, and somebody else's objects and uploads in the same bucket."""
    system.client.put_object(Bucket=system.bucket, Key="other/file.bin", Body=b"theirs")
    system.client.create_multipart_upload(Bucket=system.bucket, Key="other/upload.bin")
    system.start()
    shipped(system)
    report = reconcile(system, "--apply")
    assert (report["found"], report["repaired"], report["applied"]) == ({}, {}, True)
    assert report["compared"] == 6
    assert "other/file.bin" in system.objects()
    assert system.open_uploads() == ["other/upload.bin"]


def test_what_s3_lost_is_sent_again(system: System, convex_server: ConvexServer) -> None:
    """Dry run first: it changes nothing. Then missing and spoilt objects come back under their keys."""
    system.start()
    files = shipped(system)
    gone, spoilt, hopeless = (key_of(system, f"f{n}.py") for n in (1, 2, 3))
    system.client.delete_object(Bucket=system.bucket, Key=gone)
    system.client.put_object(Bucket=system.bucket, Key=spoilt, Body=b"garbage of another size")
    system.client.delete_object(Bucket=system.bucket, Key=hopeless)
    Path(system.root / "demo/lesson/s1/source/f3.py").unlink()
    eventually("the file is known to be gone", lambda: found(system).get("lost bytes") == 1, seconds=90)
    assert found(system) == {"missing object": 1, "wrong size": 1, "lost bytes": 1}
    assert gone not in system.objects()
    report = reconcile(system, "--apply")
    assert report["repaired"] == {"missing object": 1, "wrong size": 1}
    system.wait_settled(synced=len(files))
    eventually("they are back", lambda: found(system) == {"lost bytes": 1})
    assert system.objects()[gone] == files["demo/lesson/s1/source/f1.py"]
    assert system.objects()[spoilt] == files["demo/lesson/s1/source/f2.py"]
    assert len(convex_server.table("renderSidecar/assetVersions")) == len(files)


def found(system: System) -> dict[str, int]:
    """Return what a dry run finds."""
    report = reconcile(system)
    assert report["repaired"] == {}
    return dict(report["found"])


def test_what_convex_lost_is_told_again(system: System, convex_server: ConvexServer) -> None:
    """The deployment was cleared: the same objects, told once more."""
    system.start()
    files = shipped(system)
    before = set(system.keys())
    convex_server.control("reset", {})
    system.stop()
    system.start()
    assert found(system) == {"missing metadata": len(files)}
    assert reconcile(system, "--apply")["repaired"] == {"missing metadata": len(files)}
    eventually("Convex knows them", lambda: len(system.assets()) == len(files))
    system.wait_settled(synced=len(files))
    system.check(files)
    assert set(system.keys()) == before
    assert found(system) == {}


def test_forgotten_uploads_go_and_young_orphans_stay(system: System) -> None:
    """An object that nobody names is a matter of age; an open upload of ours is not."""
    system.start()
    shipped(system, 1)
    ours = transfer_id(wall_ms=1, chance=b"12345", tag=sidecar_tag(system.sidecar_id))
    system.client.put_object(Bucket=system.bucket, Key=f"demo/orphan.{ours}.mp4", Body=b"orphan")
    system.client.create_multipart_upload(Bucket=system.bucket, Key=f"demo/upload.{ours}.mp4")
    assert found(system) == {"orphan upload": 1}
    assert reconcile(system, "--apply")["repaired"] == {"orphan upload": 1}
    eventually("the upload is aborted", lambda: system.open_uploads() == [])
    assert f"demo/orphan.{ours}.mp4" in system.objects()
