"""Finds which file below a root a path means, however whoever names it came there.

The daemon resolves a path, in the watch stage's threads and with a time limit. Links to folders are followed
first, then the text counts, then ``/proc/self/mountinfo``, which needs no disk and knows files that are
gone. A link that is the file itself is not followed, for it is not sent; and a path need not be there, since
people ask about a file that is gone, too. The settings' check of roots follows links as well. Blocking:
called off the event loop.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from sidecar.core.mounts import origin_of
from sidecar.core.paths import below


def locate(path: str, roots: Sequence[str]) -> tuple[str, str] | None:
    """Return (root, path below it) of an absolute path, or None if it lies below no root.

    First by where its links lead, then by its text (a link that leads out of a root is said to be one),
    then by another mount of the same folder.
    """
    real = resolved(path)
    really = {os.path.realpath(root): root for root in roots}
    if (found := below(real, really)) is not None:
        return really[found[0]], found[1]
    return below(path, roots) or _by_mount(real, really)


def resolved(path: str) -> str:
    """Return a path with all links to folders followed."""
    trimmed = path.rstrip("/")
    above, name = os.path.split(trimmed)
    if name in {"", ".", ".."} or os.path.isdir(trimmed):  # noqa: PTH112 - surrogate escapes
        return os.path.realpath(path)
    return os.path.join(os.path.realpath(above), name)  # noqa: PTH118 - surrogate escapes


def _by_mount(real: str, really: Mapping[str, str]) -> tuple[str, str] | None:
    try:
        mountinfo = Path("/proc/self/mountinfo").read_text(errors="surrogateescape")
    except OSError:
        return None
    here = origin_of(real, mountinfo)
    for folder, root in really.items():
        there = origin_of(folder, mountinfo)
        if here and there and here[0] == there[0] and (found := below(here[1], [there[1]])):
            return root, found[1]
    return None
