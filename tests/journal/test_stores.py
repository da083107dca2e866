"""The journal is composed: a store has its tables, takes the stores it needs, and knows no more of them."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
from pathlib import Path

from sidecar.core.model import State
from sidecar.journal import stores
from sidecar.journal.db.connection import JournalConnection
from sidecar.journal.db.store import Store
from sidecar.journal.journal import Journal
from sidecar.journal.stores.transfers import Transfers
from sidecar.journal.stores.uploads import Uploads
from sidecar.journal.writer import AsyncJournal, JournalWriter
from tests.support.journals import open_journal, ready

for module in pkgutil.iter_modules(stores.__path__):
    importlib.import_module(f"{stores.__name__}.{module.name}")


def _stores(journal: Journal) -> list[Store]:
    """Return a journal's stores in the order in which they were built."""
    return [one for one in vars(journal).values() if isinstance(one, Store)]


def _constructor(cls: type[Store]) -> list[object]:
    """Return what a store takes, in order, the connection first."""
    return [each.annotation for each in inspect.signature(cls, eval_str=True).parameters.values()]


def test_every_store_is_in_the_journal_and_found_by_its_methods(tmp_path: Path) -> None:
    """``do(Uploads.begin_put, ...)`` names the class; two of one name could not be told apart."""
    journal = open_journal(tmp_path)
    built = _stores(journal)
    assert {type(one) for one in built} == set(Store.__subclasses__())
    assert len({type(one).__name__ for one in built}) == len(built)
    for one in built:
        for method in vars(type(one)).values():
            if inspect.isfunction(method):
                assert journal.store_of(method) is one


def test_a_store_takes_only_stores_that_are_built_before_it(tmp_path: Path) -> None:
    """In the order of journal.py: the graph has no circle, and the constructor shows all of it."""
    before: list[object] = [JournalConnection]
    for one in _stores(open_journal(tmp_path)):
        assert _constructor(type(one))[0] is JournalConnection
        assert set(_constructor(type(one))) <= set(before)
        before.append(type(one))


def test_no_store_uses_a_private_name_of_another() -> None:
    """``self._other._name`` is the other's own business."""
    for path in Path(stores.__path__[0]).glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Attribute):
                assert not node.attr.startswith("_"), f"{path.name}:{node.lineno}: {ast.unparse(node)}"


async def test_a_method_of_a_store_runs_as_one_transaction_of_that_store(tmp_path: Path) -> None:
    """Stages name the method as its class has it, and hold no store that they could call by themselves."""
    async with JournalWriter(open_journal(tmp_path)) as writer:
        transfer = await writer.run(lambda journal: ready(journal, "A"))
        await writer.do(Uploads.begin_put, transfer.row_id)
        known = await writer.do(Transfers.one, transfer.row_id)
        assert (known.state, known.may_object) == (State.READY, True)
    assert {name for name in vars(AsyncJournal) if not name.startswith("_")} == {"do", "run", "subscribe"}
