"""Every wrapper and every fake of a port is asked for every method of the port."""

from __future__ import annotations

import ast
import asyncio
import inspect
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Protocol, cast

import pytest

from sidecar.core.ports import effect, effects, methods, question
from sidecar.daemon.fenced_port import UNFENCED, fenced
from sidecar.journal.writer import AsyncJournal, JournalWriter
from sidecar.sync.convex import ConvexStore
from sidecar.sync.store import MetadataStore
from sidecar.upload.s3.object_store import S3Store
from sidecar.upload.store import ObjectStore
from tests.support.memory_metadata import MemoryMetadata
from tests.support.memory_store import MemoryStore
from tests.support.simulation.convex import SimulatedConvex
from tests.support.simulation.journal import InlineJournal
from tests.support.simulation.power import Power
from tests.support.simulation.s3 import SimulatedS3
from tests.support.virtual import InlineWriter
from tests.upload.rig import Hooked

ANYTHING = SimpleNamespace(length_bytes=0)  # a body has a length, and nothing else is looked at
TOP = Path(__file__).resolve().parent.parent.parent
PORTS = [ObjectStore, MetadataStore]
ALL: dict[type, list[type]] = {
    ObjectStore: [S3Store, MemoryStore, SimulatedS3, Hooked],
    MetadataStore: [ConvexStore, MemoryMetadata, SimulatedConvex],
    AsyncJournal: [JournalWriter, InlineJournal, InlineWriter],
}
CASES = [(port, name) for port in PORTS for name in sorted(methods(port))]


class Recorder:
    """Answers whatever it is asked, and keeps what it was."""

    def __init__(self, port: type) -> None:
        """Have the port's methods, of the same kinds: a coroutine, or a listing."""
        self.asked: list[str] = []
        for name in methods(port):
            setattr(self, name, self._of(name, is_listing=not _is_coroutine(port, name)))

    def _of(self, name: str, *, is_listing: bool) -> Callable[..., Any]:
        async def answer(*_: Any, **__: Any) -> None:
            self.asked.append(name)

        async def listing(*_: Any, **__: Any) -> AsyncIterator[None]:
            self.asked.append(name)
            for one in list[None]():
                yield one

        return listing if is_listing else answer


class Meter:
    """What carries the calls of one simulated life: keeps which of them change the remote."""

    def __init__(self) -> None:
        """No call so far."""
        self.changes: list[bool] = []

    async def call(self, _name: str, _request: object, *, changes: bool) -> list[None]:
        """Keep it."""
        self.changes.append(changes)
        return []


def _is_coroutine(port: type, name: str) -> bool:
    return inspect.iscoroutinefunction(getattr(port, name))


async def ask(store: object, port: type, name: str) -> None:
    """Ask a store for one method of a port, with anything."""
    parameters = list(inspect.signature(getattr(port, name)).parameters.values())[1:]
    given = [ANYTHING for one in parameters if one.kind is not one.KEYWORD_ONLY]
    named = {one.name: ANYTHING for one in parameters if one.kind is one.KEYWORD_ONLY}
    answer = getattr(store, name)(*given, **named)
    if _is_coroutine(port, name):
        await answer
    else:
        _ = [found async for found in answer]


@pytest.mark.parametrize("port", PORTS)
def test_a_method_that_nobody_declared_stops_the_construction(port: type) -> None:
    """The daemon does not start, and says which one."""

    async def undo(self: object) -> None:
        """Change something that nobody thought of."""

    grown = type("Grown", (port,), {"undo": undo})
    with pytest.raises(TypeError, match="Grown: neither @effect nor @question: undo"):
        fenced(Recorder(port), asyncio.Event().wait, port=grown)  # type: ignore[arg-type]  # never waited for
    for declare in (effect, question):
        grown = type("Grown", (port,), {"undo": declare(undo)})
        assert ("undo" in effects(grown)) is (declare is effect)


@pytest.mark.parametrize(("port", "name"), CASES)
async def test_the_fence_holds_back_what_changes_a_remote_and_nothing_else(port: type, name: str) -> None:
    """Each method of both ports; a journal may be announced while it is uncertain whose the folders are."""
    inner, is_open = Recorder(port), asyncio.Event()

    async def passable() -> None:
        await is_open.wait()

    asking = asyncio.create_task(ask(fenced(inner, passable, port=port), port, name))
    for _ in range(5):
        await asyncio.sleep(0)
    is_held_back = name in effects(port) and name not in UNFENCED
    assert inner.asked == ([] if is_held_back else [name])
    is_open.set()
    await asking
    assert inner.asked == [name]


@pytest.mark.parametrize(("port", "name"), CASES)
async def test_the_simulation_may_cut_off_what_changes_a_remote_and_nothing_else(
    port: type, name: str
) -> None:
    """A change that it took for a question would have no crash point."""
    meter = Meter()
    power = cast("Power", meter)
    simulated = SimulatedS3(power) if port is ObjectStore else SimulatedConvex(power)
    await ask(simulated, port, name)
    assert meter.changes == [name in effects(port)]


@pytest.mark.parametrize("name", sorted(methods(ObjectStore)))
async def test_the_hooked_store_passes_every_question_on(name: str) -> None:
    """And nothing else with it."""
    inner = Recorder(ObjectStore)
    hooked = Hooked(cast("ObjectStore", inner))
    await ask(hooked, ObjectStore, name)
    assert (inner.asked, len(hooked.calls)) == ([name], 1)


@pytest.mark.parametrize(("port", "store"), [(port, one) for port, stores in ALL.items() for one in stores])
def test_whoever_stands_in_for_a_port_takes_what_it_takes(port: type, store: type) -> None:
    """All of its methods, with the same parameters."""
    for name in methods(port):
        assert _parameters(store, name) == _parameters(port, name), name


def _parameters(owner: type, name: str) -> list[tuple[str, object, object]]:
    found = inspect.signature(getattr(owner, name)).parameters.values()
    return [(one.name, one.kind, one.default) for one in found]


def test_nobody_stands_in_for_a_port_unasked() -> None:
    """A class with most of a port's methods is listed above, and so it is asked."""
    listed = {one.__name__ for stores in ALL.values() for one in [*stores, *ALL]}
    found = {
        node.name
        for path in [*TOP.glob("sidecar/**/*.py"), *TOP.glob("tests/**/*.py")]
        if any(word in (text := path.read_text()) for word in ("def put_part(", "def current_assets("))
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.ClassDef) and _stands_in(node)
    }
    assert found == listed - {AsyncJournal.__name__, *(one.__name__ for one in ALL[AsyncJournal])}


def _stands_in(node: ast.ClassDef) -> bool:
    own = {one.name for one in node.body if isinstance(one, (ast.AsyncFunctionDef, ast.FunctionDef))}
    return any(2 * len(own & methods(port)) > len(methods(port)) for port in PORTS)


class Declared(Protocol):
    """A port with one of each."""

    @effect
    async def change(self) -> None:
        """Change something."""

    @question
    async def look(self) -> None:
        """Ask something."""


def test_a_port_says_which_of_its_methods_change_the_remote() -> None:
    """By the declaration at each."""
    assert methods(Declared) == {"change", "look"}
    assert effects(Declared) == {"change"}
