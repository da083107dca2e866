"""``journal.keep`` and ``retention.events``, by the real daemon over real remotes."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from sidecar.local.convex_server import ConvexServer
from tests.support.system import System, eventually, write

SCRIPT, OTHER = "p/s/c1/source/scene.py", "p/s/c1/source/other.py"


def remembered(system: System) -> tuple[set[str], int]:
    """Return the names that the journal has transfers of, and the number of its events."""
    path = Path(system.settings["journal"]["path"])
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        names = {name for (name,) in db.execute("SELECT name FROM transfers")}
        return names, int(db.execute("SELECT count(*) FROM events").fetchone()[0])


def test_what_was_forgotten_comes_back_as_what_convex_shows(
    system: System, convex_server: ConvexServer
) -> None:
    """No second version or object of the same bytes; what lies in the folder is never forgotten."""
    system.settings["journal"]["keep"] = "2s"
    system.settings["retention"] = {"events": "2s"}
    system.settings["watch"][0]["rescan"] = "500ms"
    system.start()
    files = {OTHER: write(system.root / OTHER, b"other = 1\n")}
    write(system.root / SCRIPT, b"scene = 1\n")
    system.wait_settled(synced=2)
    (system.root / SCRIPT).unlink()
    eventually("all but the other file is forgotten", lambda: remembered(system) == ({"other.py"}, 0))
    before = system.keys()
    files[SCRIPT] = write(system.root / SCRIPT, b"scene = 1\n")
    eventually("it is synced again", lambda: system.status()["transfers"]["synced"] == 2)
    eventually("what was sent for nothing is gone", lambda: system.keys() == before)
    assert len(convex_server.table("renderSidecar/assetVersions")) == 2
    system.check(files)
    checked = system.run("journal", "check", "-c", str(system.write_config()))
    assert checked.returncode == 0, checked.stdout
