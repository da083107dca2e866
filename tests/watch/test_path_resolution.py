"""Which file a path means, through links."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from sidecar.watch.path_resolution import locate

FILE = "p/s/x.py"


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """A folder with a file; ``link`` leads to it, ``above`` to the folder that it is in."""
    real = tmp_path / "real" / "renders"
    (real / "p" / "s").mkdir(parents=True)
    (real / FILE).touch()
    (tmp_path / "link").symlink_to(real)
    (tmp_path / "above").symlink_to(tmp_path / "real")
    (tmp_path / "outside").mkdir()
    return tmp_path


@pytest.mark.parametrize("root", ["real/renders", "link", "above/renders"])
@pytest.mark.parametrize(
    "way", ["real/renders", "link", "above/renders", "real/../link", "link/p/../../renders"]
)
def test_every_way_to_a_root_leads_to_its_files(disk: Path, root: str, way: str) -> None:
    """By its own name, by a link to it, by a link above it; also to what is not there any more."""
    roots = [str(disk / "outside"), str(disk / root)]
    for inside in (FILE, "p/s/gone.py", "p/gone/for/ever.py", "p", "e\u0301 %+'\n.py"):
        assert locate(f"{disk}/{way}/{inside}", roots) == (roots[1], inside)
    assert locate(f"{disk}/{way}//", roots) == (roots[1], "")


def test_names_that_are_no_utf8_are_found_as_well(disk: Path) -> None:
    """Byte by byte."""
    name = os.fsdecode(b"b\xff.py")
    assert locate(f"{disk}/link/{name}", [str(disk / "real/renders")]) == (str(disk / "real/renders"), name)


def test_a_link_below_a_root_means_what_it_leads_to_only_if_that_is_watched(disk: Path) -> None:
    """One that leads out of the roots stays itself, and so does one that is the file: both are refused."""
    root = disk / "link"
    (root / "latest").symlink_to("p")
    (root / "out").symlink_to(disk / "outside")
    (root / "file.py").symlink_to(FILE)
    assert locate(f"{root}/latest/s/x.py", [str(root)]) == (str(root), FILE)
    assert locate(f"{root}/latest", [str(root)]) == (str(root), "p")
    assert locate(f"{root}/out", [str(root)]) == (str(root), "out")
    assert locate(f"{root}/out/x.py", [str(root)]) == (str(root), "out/x.py")
    assert locate(f"{root}/file.py", [str(root)]) == (str(root), "file.py")
    assert locate(f"{disk}/outside/x.py", [str(root)]) is None


def test_a_root_that_is_away_is_found_by_its_text(disk: Path) -> None:
    """As an unmounted volume."""
    assert locate(f"{disk}/away/x", [str(disk / "away")]) == (str(disk / "away"), "x")


def test_another_mount_of_a_folder_leads_to_the_root(disk: Path) -> None:
    """Of a folder below it, too; the file need not be there any more. Root only."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("mounting needs root")
    mounted = disk / "mounted"
    mounted.mkdir()
    root = str(disk / "link")
    done = subprocess.run(["mount", "--bind", disk / "real/renders/p", mounted], check=False)
    if done.returncode:
        pytest.skip("this machine lets nobody mount")
    try:
        assert locate(f"{mounted}/s/x.py", [root]) == (root, FILE)
        assert locate(f"{mounted}/s/gone.py", [root]) == (root, "p/s/gone.py")
    finally:
        subprocess.run(["umount", mounted], check=True)
