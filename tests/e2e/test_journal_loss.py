"""The journal is damaged, deleted, or an old copy: what S3 and Convex hold is found, not sent again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from sidecar.local.convex_server import ConvexServer
from tests.support.journals import spoil
from tests.support.system import System, eventually, write

COUNT = 16


def film(about: str) -> bytes:
    """Return bytes that no format claims, large enough to be a film."""
    return about.encode() * 200


def shipped(system: System, count: int = COUNT, *, of: str = "f") -> dict[str, bytes]:
    """Write files, also one of several parts, and wait until all of them are synced."""
    files = {f"demo/lesson/s{n % 4}/video/{of}{n}.mp4": film(f"{of} {n}") for n in range(count)}
    files[f"demo/lesson/combined/{of}.mp4"] = of.encode() * 9_000_000
    before = system.status()["transfers"]["synced"]
    for name, data in files.items():
        write(system.root / name, data)
    system.wait_settled(synced=before + len(files))
    return files


def stored(system: System) -> dict[str, Any]:
    """Return when each object was stored: a second upload would change it."""
    pages = system.client.get_paginator("list_objects_v2").paginate(Bucket=system.bucket)
    return {one["Key"]: one["LastModified"] for page in pages for one in page.get("Contents", [])}


def journal(system: System) -> Path:
    """Return the journal's path."""
    return Path(system.settings["journal"]["path"])


def remove_journal(system: System, *, identity: bool = False) -> None:
    """Lose it, perhaps with the id beside it."""
    for path in journal(system).parent.iterdir():
        if identity or not path.name.endswith(".id"):
            path.unlink()


def quarantined(system: System) -> list[Path]:
    """Return the journals that were moved aside."""
    return [
        p for p in journal(system).parent.glob("*.quarantined-*") if not p.name.endswith(("-wal", "-shm"))
    ]


def versions(system: System, convex: ConvexServer) -> set[float]:
    """Return the versions of this system's rows."""
    assert len(convex.table("renderSidecar/assetVersions")) == len(system.assets())
    return {row["version"] for row in system.assets()}


def shown(convex: ConvexServer) -> dict[str, str]:
    """Return what players see of each scene."""
    return {row["sceneId"]: row["assetsStatus"] for row in convex.table("renderSidecar/scenes")}


def shown_until_settled(system: System, convex: ConvexServer, *, synced: int) -> set[str]:
    """Wait until all files are known again; return every status that any scene had meanwhile."""
    seen: set[str] = set()

    def is_known() -> bool:
        seen.update(shown(convex).values())
        return system.settled() and bool(system.status()["transfers"]["synced"] == synced)

    eventually("the files are known again", is_known)
    return seen


@pytest.mark.parametrize("identity", [False, True], ids=["journal", "journal and id"])
def test_a_lost_journal_uploads_nothing_twice(
    system: System, convex_server: ConvexServer, identity: bool
) -> None:
    """Every file is known again by its checksum; what is new is sent. No scene is unsaid meanwhile."""
    if identity:
        del system.settings["sidecar_id"]
    system.start()
    files = shipped(system)
    assert system.stop() == 0
    before = stored(system)
    remove_journal(system, identity=identity)
    system.start()
    assert shown_until_settled(system, convex_server, synced=len(files)) == {"ready"}
    assert stored(system) == before
    assert versions(system, convex_server) == {1}
    assert system.stop() == 0
    assert set(shown(convex_server).values()) == {"ready"}
    system.start()
    files |= shipped(system, 3, of="new")
    assert shown(convex_server) == {"s0": "uploading", "s1": "uploading", "s2": "uploading", "s3": "ready"}
    system.check(files)
    assert system.stop() == 0


def test_a_short_life_after_the_loss_unsays_nothing(system: System, convex_server: ConvexServer) -> None:
    """It is stopped before it knows all again: the drain is not clean, and every scene is shown as before."""
    system.settings["entities"] = {"complete_after": "1s", "abandon_after": "1s"}
    system.start()
    write(system.root / "demo/lesson/s1/video/torn.mp4", b"\x00\x00\x01\x00ftypisom" + b"\0" * 100)
    shipped(system, 8)
    before = {"s0": "ready", "s1": "error", "s2": "ready", "s3": "ready"}
    eventually("the scenes come to their ends", lambda: shown(convex_server) == before)
    assert system.stop() == 75
    del system.settings["entities"]
    system.settings["shutdown"] = {"grace": "2s"}
    remove_journal(system)
    system.start()
    assert system.stop() == 75
    assert shown(convex_server) == before


def test_a_scene_that_only_the_lost_journal_knew_comes_to_its_end(
    system: System, convex_server: ConvexServer
) -> None:
    """Its folder went with the journal: nobody is on the way to it, and no player waits for ever."""
    system.start()
    files = {f"demo/lesson/{scene}/video/a.mp4": film(scene) for scene in ("s1", "s2")}
    for name, data in files.items():
        write(system.root / name, data)
    system.wait_settled(synced=2)
    eventually("both are on their way", lambda: set(shown(convex_server).values()) == {"uploading"})
    system.kill()
    remove_journal(system)
    shutil.rmtree(system.root / "demo/lesson/s2")
    system.settings["entities"] = {"complete_after": "1s"}
    system.start()
    eventually("both are over", lambda: shown(convex_server) == {"s1": "ready", "s2": "ready"})
    system.check(files)
    assert system.stop() == 0


@pytest.mark.parametrize("place", ["header", "middle"])
def test_a_damaged_journal_is_moved_aside_and_known_content_found(
    system: System, convex_server: ConvexServer, place: str
) -> None:
    """Log and /status say so; the damaged file is kept."""
    system.start()
    files = shipped(system)
    assert system.stop() == 0
    before = stored(system)
    with journal(system).open("r+b") as file:
        file.seek(0 if place == "header" else journal(system).stat().st_size // 2)
        file.write(b"\xa5" * 8192)
    system.start()
    system.wait_settled(synced=len(files))
    (aside,) = quarantined(system)
    assert str(aside) in " ".join(system.status()["reasons"])
    assert "journal_quarantined" in system.log.read_text()
    assert stored(system) == before
    assert versions(system, convex_server) == {1}
    system.check(files)
    assert system.stop() == 0


def test_a_big_journal_that_rotted_is_found_beside_the_work(
    system: System, convex_server: ConvexServer
) -> None:
    """It was believed at the opening; the check after the first scan begins a new life with a new journal."""
    system.module = "tests.e2e.believing"
    system.start()
    files = shipped(system)
    assert system.stop() == 0
    assert "journal_checked" not in system.log.read_text(), "a new one is not believed"
    before = stored(system)
    spoil(journal(system), "events")
    system.start()
    eventually("it is found", lambda: quarantined(system))
    eventually("a new life begins", system._ready)
    system.wait_settled(synced=len(files))
    assert "is damaged" in " ".join(system.status()["reasons"])
    assert stored(system) == before
    assert versions(system, convex_server) == {1}
    assert system.stop() == 0
    system.start()
    eventually("the new one is whole", lambda: "journal_checked" in system.log.read_text())
    system.check(files)


def test_an_old_copy_is_noticed_and_replaced_in_the_same_process(
    system: System, convex_server: ConvexServer
) -> None:
    """A backup from under the running daemon: Convex knows later ops, and a new journal takes its place."""
    system.start()
    files = shipped(system)
    copied = system.run("journal", "backup", "-c", str(system.write_config()), str(system.folder / "copy.db"))
    assert (copied.returncode, copied.stderr) == (0, "")
    checked = system.run("journal", "check", "--journal", str(system.folder / "copy.db"), "--json")
    assert json.loads(checked.stdout)["transfers"] == {"synced": len(files)}
    files |= shipped(system, of="late")
    assert system.stop() == 0
    before = stored(system)
    shutil.copy(system.folder / "copy.db", journal(system))
    system.start()
    eventually("it is noticed", lambda: quarantined(system))
    assert shown_until_settled(system, convex_server, synced=len(files)) == {"ready"}
    assert "old copy" in " ".join(system.status()["reasons"])
    assert len(quarantined(system)) == 1
    assert stored(system).keys() == before.keys()
    assert versions(system, convex_server) == {1}
    system.check(files)
    assert system.stop() == 0
    assert system.run("journal", "check", "--journal", str(journal(system))).returncode == 0


def test_a_copy_that_is_not_old_is_the_journal_again(system: System, convex_server: ConvexServer) -> None:
    """Nothing happened since: it is taken up where it was."""
    system.start()
    files = shipped(system)
    copied = system.run("journal", "backup", "-c", str(system.write_config()), str(system.folder / "copy.db"))
    assert copied.returncode == 0
    system.kill()  # an orderly end would tell Convex that the scenes are complete
    before = stored(system)
    remove_journal(system)
    shutil.copy(system.folder / "copy.db", journal(system))
    system.start()
    files |= shipped(system, 3, of="new")
    assert not quarantined(system)
    assert {key: stored(system)[key] for key in before} == before
    assert versions(system, convex_server) == {1}
    system.check(files)


def test_what_only_s3_holds_gets_its_op_alone(system: System, convex_server: ConvexServer) -> None:
    """Uploaded during an outage of Convex, then the journal was lost: no second object."""
    system.start()
    files = shipped(system, 3)
    convex_server.control("faults", [{"action": "drop_before", "times": 1_000_000}])
    for n in range(12):
        name = f"demo/lesson/s1/source/late{n}.py"
        files[name] = write(system.root / name, f"# late {n}\n".encode())
    eventually("they are in S3", lambda: len(system.keys()) == len(files))
    system.kill()
    convex_server.control("faults", [])
    before = stored(system)
    remove_journal(system)
    system.start()
    system.wait_settled(synced=len(files))
    assert stored(system) == before
    assert versions(system, convex_server) == {1}
    system.check(files)


def test_with_convex_away_a_lost_journal_is_recalled_from_s3_alone(
    system: System, convex_server: ConvexServer
) -> None:
    """Nothing is sent twice; the ops wait, and change nothing when they arrive: no scene either."""
    system.start()
    files = shipped(system, 5)
    assert system.stop() == 0
    before = stored(system)
    remove_journal(system)
    convex_server.control("faults", [{"action": "drop_before", "times": 1_000_000}])
    system.start()
    eventually("they are found", lambda: system.status()["transfers"]["uploaded"] == len(files))
    convex_server.control("faults", [])
    assert shown_until_settled(system, convex_server, synced=len(files)) == {"ready"}
    assert stored(system) == before
    assert versions(system, convex_server) == {1}


def test_what_s3_has_lost_or_spoilt_is_sent_again_under_its_key(
    system: System, convex_server: ConvexServer
) -> None:
    """Convex names the object; players need it there."""
    system.start()
    files = shipped(system, 4)
    assert system.stop() == 0
    gone, spoilt = [row["s3Key"] for row in system.assets() if row["name"] in {"f1.mp4", "f2.mp4"}]
    system.client.delete_object(Bucket=system.bucket, Key=gone)
    system.client.put_object(Bucket=system.bucket, Key=spoilt, Body=b"garbage")
    remove_journal(system)
    system.start()
    system.wait_settled(synced=len(files))
    assert versions(system, convex_server) == {1}
    system.check(files)


def test_a_file_that_changed_meanwhile_is_a_new_version(system: System, convex_server: ConvexServer) -> None:
    """Only equal content is known."""
    system.start()
    files = shipped(system, 4)
    assert system.stop() == 0
    remove_journal(system)
    changed = "demo/lesson/s1/video/f1.mp4"
    write(system.root / changed, film("other content"))
    system.start()
    system.wait_settled(synced=len(files))
    assert sorted(row["version"] for row in system.assets()) == [1, 1, 1, 1, 2]
    assert len(convex_server.table("renderSidecar/assetVersions")) == 6
