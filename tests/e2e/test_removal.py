"""``removal``: what it means that a local file is gone, with the real daemon, S3 and Convex."""

from __future__ import annotations

import shutil
from typing import Any

import pytest

from sidecar.cli.address import Address, EndpointAccess
from sidecar.cli.client import ask
from tests.support.system import System, eventually, write


def names(system: System) -> set[str]:
    """Return what Convex shows."""
    return {row["name"] for row in system.assets()}


def objects(system: System) -> list[bytes]:
    """Return what S3 holds."""
    return sorted(system.objects().values())


def several_listings(system: System) -> None:
    """Wait for enough of them that a removal would have been made."""
    began = system.status()["uptime_seconds"]
    eventually("time passes", lambda: system.status()["uptime_seconds"] > began + 1.5)


def post(system: System, where: str, **body: object) -> Any:
    """Ask for something by the daemon's socket."""
    door = EndpointAccess(address=Address(socket=system.settings["status"]["socket"]))
    return ask(door, where, method="POST", body=body)[1]


def versions(system: System, name: str) -> list[tuple[int, bool]]:
    """Return version and expired of each version row."""
    rows = system.convex.control("table/renderSidecar/assetVersions")
    mine = [row for row in rows if f"/{system.bucket}/" in row["s3Url"] and row["name"] == name]
    return sorted((row["version"], row["expired"]) for row in mine)


@pytest.fixture
def lesson(system: System) -> System:
    """Ship a small lesson with quick listings, absence meaning removal."""
    system.settings["watch"][0]["rescan"] = "200ms"
    system.settings["entities"] = {"complete_after": "200ms"}
    system.settings["removal"] = "tombstone"
    for scene in ("one", "two"):
        write(system.root / "p" / "s" / scene / "source" / f"{scene}.py", scene.encode())
    write(system.root / "p" / "s" / "one" / "video" / "a.mp4", b"a" * 1000)
    return system


def test_a_tombstone_leaves_the_object(lesson: System) -> None:
    """Its row goes from Convex and its scene, also through a kill; written again it is the next version."""
    system, film = lesson, lesson.root / "p" / "s" / "one" / "video" / "a.mp4"
    system.start()
    system.wait_settled(synced=3)
    before = objects(system)
    film.unlink()
    system.kill()
    system.start()
    eventually("Convex does not show it", lambda: names(system) == {"one.py", "two.py"})
    eventually("the journal knows", lambda: system.status()["transfers"]["gone"] == 1)
    assert "Removed" in system.explain(film)["verdict"]
    [shown] = system.get("/assets", state="gone")["assets"]
    assert shown["removal"] == "removed"
    several_listings(system)
    assert objects(system) == before
    assert versions(system, "a.mp4") == [(1, False)]
    assert post(system, "/reconcile", apply=True)["found"] == {}
    write(film, b"a" * 1000)
    eventually("it is back", lambda: names(system) == {"one.py", "two.py", "a.mp4"})
    assert versions(system, "a.mp4") == [(1, False), (2, False)]
    assert system.stop() == 0


def test_delete_takes_the_object_too(lesson: System) -> None:
    """After its version was marked; a whole scene that is deleted is empty, and pending."""
    system = lesson
    system.settings["removal"] = "delete"
    system.start()
    system.wait_settled(synced=3)
    shutil.rmtree(system.root / "p" / "s" / "one")
    eventually("both objects are gone", lambda: len(system.keys()) == 1)
    assert objects(system) == [b"two"]
    assert names(system) == {"two.py"}
    assert versions(system, "a.mp4") == versions(system, "one.py") == [(1, True)]
    scenes = {row["sceneId"]: row for row in system.convex.control("table/renderSidecar/scenes")}
    assert scenes["one"]["assetsStatus"] == "pending"
    assert not {"videoAsset", "sourceCodeAsset"} & set(scenes["one"])
    assert system.stop() == 0


def test_a_root_that_was_replaced_or_is_away_removes_nothing(lesson: System) -> None:
    """Also if the daemon starts on the empty folder; what is back is as it was."""
    system, away = lesson, lesson.folder / "away"
    system.start()
    system.wait_settled(synced=3)
    system.root.rename(away)
    system.root.mkdir()
    several_listings(system)
    system.kill()
    system.start()
    several_listings(system)
    assert len(names(system)) == 3
    assert system.status()["removals"] == {"asked": 0, "owed": 0, "refused": 0}
    system.root.rmdir()
    away.rename(system.root)
    eventually("it is watched again", lambda: system.status()["state"] == "ok")
    several_listings(system)
    (system.root / "p" / "s" / "one" / "video" / "a.mp4").unlink()
    eventually("this was a removal", lambda: names(system) == {"one.py", "two.py"})
    eventually("the journal knows", lambda: system.status()["transfers"]["synced"] == 2)


def test_many_files_at_once_wait_for_somebodys_word(lesson: System) -> None:
    """Nothing goes until an operator confirms; what is dismissed stays, and is not asked about again."""
    system = lesson
    for n in range(12):
        write(system.root / "p" / "s" / "many" / "source" / f"{n}.py", b"%d" % n)
    system.start()
    system.wait_settled(synced=15)
    (system.root / "p" / "s").rename(system.root.parent / "gone")  # at once: no listing sees a half
    eventually("it asks", lambda: system.status()["removals"]["asked"] == 15)
    status = system.status()
    assert status["state"] == "degraded"
    assert any(
        "15 files of" in reason and "sidecar removal confirm" in reason for reason in status["reasons"]
    )
    assert "too many others at once" in system.explain(system.root / "p/s/many/source/1.py")["verdict"]
    several_listings(system)
    assert len(names(system)) == 15
    assert system.log.read_text().count('"event": "removal_asks"') == 1
    listed = system.get("/removals", limit="10")
    assert (len(listed["removals"]), listed["removals"][0]["state"]) == (10, "asked")
    assert post(system, "/removals/dismiss", path=str(system.root / "p/s/one")) == {"decided": 2}
    assert post(system, "/removals/confirm", all=True) == {"decided": 13}
    eventually("the others are gone", lambda: names(system) == {"one.py", "a.mp4"})
    eventually("all is well", lambda: system.status()["state"] == "ok")
    several_listings(system)
    assert names(system) == {"one.py", "a.mp4"}
    assert system.get("/removals")["removals"] == []


def test_what_the_sidecar_deletes_itself_is_no_removal(lesson: System) -> None:
    """However its folder goes afterwards, and through a restart."""
    system = lesson
    system.settings["removal"] = "delete"
    system.settings["local_files"] = {"after_sync": "delete", "delete_after": "200ms"}
    system.start()
    eventually("all is deleted", lambda: not [path for path in system.root.rglob("*") if path.is_file()])
    shutil.rmtree(system.root / "p")
    system.kill()
    system.start()
    several_listings(system)
    assert len(names(system)) == len(objects(system)) == 3
    assert system.status()["transfers"]["synced"] == 3
