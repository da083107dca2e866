"""Paths by their text alone."""

from __future__ import annotations

import pytest

from sidecar.core.mounts import origin_of
from sidecar.core.paths import below

ROOTS = ("/renders", "/renders/inner", "/a b/")
MOUNTS = """\
1 0 0:30 / / rw - overlay overlay rw
2 1 8:1 /data/renders /renders rw - ext4 /dev/sda1 rw
3 1 8:1 /data /mnt\\040x rw - ext4 /dev/sda1 rw
4 1 8:1 /data/renders/p /only/p rw - ext4 /dev/sda1 rw
5 1 0:40 / /renders/tmp rw - tmpfs tmpfs rw
"""


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/renders", ("/renders", "")),
        ("/renders/", ("/renders", "")),
        ("//renders//x/./y/", ("/renders", "x/y")),
        ("///renders/x", ("/renders", "x")),
        ("/renders/inner/x", ("/renders/inner", "x")),
        ("/renders/x/../../a b/%41+", ("/a b/", "%41+")),
        ("/renders2/x", None),
        ("/", None),
    ],
)
def test_a_path_lies_below_the_innermost_root(path: str, found: tuple[str, str] | None) -> None:
    """Whatever its slashes and dots."""
    assert below(path, ROOTS) == found


def test_everything_lies_below_the_root_of_all() -> None:
    """Also itself."""
    assert below("/x/y", ["/"]) == ("/", "x/y")
    assert below("/", ["/"]) == ("/", "")


@pytest.mark.parametrize(
    ("path", "origin"),
    [
        ("/renders/p/x", ("8:1", "/data/renders/p/x")),
        ("/mnt x/renders/p/x", ("8:1", "/data/renders/p/x")),
        ("/only/p/x", ("8:1", "/data/renders/p/x")),
        ("/renders", ("8:1", "/data/renders")),
        ("/renders/tmp/p/x", ("0:40", "/p/x")),
        ("/renders/tmp", ("0:40", "/")),
        ("/renders2/x", ("0:30", "/renders2/x")),
    ],
)
def test_two_mounts_of_one_folder_have_one_origin(path: str, origin: tuple[str, str]) -> None:
    """Of the folder itself, of one above it and of one below it; what is mounted over it has another."""
    assert origin_of(path, MOUNTS) == origin
