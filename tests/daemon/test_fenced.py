"""The ports behind the fence."""

from __future__ import annotations

import asyncio
import inspect

import pytest

from sidecar.core.ports import effects
from sidecar.daemon.fenced_port import UNFENCED, fenced
from sidecar.sync.store import MetadataStore
from sidecar.upload.store import ObjectStore
from sidecar.watch.ownership.fence import Fence

OBJECT_QUESTIONS = {"probe", "existing_parts", "head", "list_objects", "open_uploads"}
METADATA_QUESTIONS = {"probe", "register", "beat", "current_assets", "unfinished_scenes", "versions"}


class Lapsing:
    """A lease that a test ends and confirms."""

    holds = False


class Port:
    """Says what it was asked."""

    value = 7

    async def put(self, what: str, *, checksum: str) -> str:
        """Change something."""
        return f"{what} {checksum}"

    async def head(self) -> str:
        """Ask something."""
        return "head"


@pytest.mark.parametrize(
    ("port", "questions"), [(ObjectStore, OBJECT_QUESTIONS), (MetadataStore, METADATA_QUESTIONS)]
)
def test_every_call_of_a_port_is_an_effect_or_a_question(port: type, questions: set[str]) -> None:
    """A new one has to be put on one side. ``register`` names a journal, not a folder's files."""
    held_back = effects(port) - UNFENCED
    calls = {name for name, _ in inspect.getmembers(port, inspect.isfunction) if not name.startswith("_")}
    assert calls == held_back | questions
    assert not held_back & questions


async def test_an_effect_waits_until_all_is_confirmed_and_a_question_does_not() -> None:
    """With its arguments and its answer; a lapse of one of several is enough."""
    fence, lapsing, other = Fence(), Lapsing(), Lapsing()
    port = fenced(Port(), fence.passable, port=ObjectStore)
    assert (port.value, await port.put("a", checksum="c")) == (7, "a c")
    other.holds = True
    fence.add(lapsing)
    fence.add(other)
    effect = asyncio.create_task(port.put("b", checksum="c"))
    assert await port.head() == "head"
    assert not (await asyncio.wait({effect}, timeout=0.2))[0]
    lapsing.holds = True
    assert await asyncio.wait_for(effect, 5) == "b c"
    lapsing.holds = False
    fence.discard(lapsing)
    assert await asyncio.wait_for(port.put("c", checksum="c"), 5) == "c c"
