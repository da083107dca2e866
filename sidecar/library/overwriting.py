"""Keeps a program from overwriting another asset's object: S3 would, and Convex refuses only afterwards."""

from __future__ import annotations

from sidecar.upload.metadata import SLOT

from .errors import RefusedError
from .reading import Reading


async def require_own(reading: Reading, key: str, *, asset_id: str, syncing: bool) -> None:
    """Look what lies under a key that a program chose: nothing, the asset's own object, or nobody's.

    The object itself names its asset. For one that names another, or none, Convex is asked with ``syncing``,
    which needs the role `backend`; whoever may not ask may not overwrite. Raises RefusedError, SidecarError.
    """
    head = await reading.head(key)
    named = None if head is None else head.metadata.get(SLOT)
    if head is None or named == asset_id:
        return
    if not syncing:
        if named is not None:
            raise _taken(key, f"asset {named}'s")
        return
    shown = await reading.shown_under(key)
    if shown is None:
        raise _taken(key, f"asset {named}'s" if named else "one that only the role backend may ask for")
    others = [one.id for one in shown.assets if one.id != asset_id]
    if others or shown.others:
        raise _taken(key, f"asset {others[0]}'s" if others else "of a project that is not ours")


def _taken(key: str, whose: str) -> RefusedError:
    return RefusedError(f"{key} is not overwritten, for the object there is {whose}: choose another key")
