"""Rows that come over as one value are those that come one by one."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.clock import SystemClock
from sidecar.journal.db.connection import JournalConnection

INTEGERS = st.integers(-(2**63), 2**63 - 1)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
VALUES = st.lists(st.tuples(INTEGERS, st.none() | INTEGERS | TEXTS), max_size=80)
AS_ONE = "SELECT json_array(a, b) AS one FROM given ORDER BY a, b LIMIT 70"
ONE_BY_ONE = "SELECT a, b FROM given ORDER BY a, b LIMIT 70"
OVER = "WITH g (a, b) AS (VALUES {rows}) SELECT json_array(a, b) AS one FROM g WHERE a NOT NULL"


def test_values_and_their_order_are_the_same(tmp_path: Path) -> None:
    """Quotes, control characters and NUL in texts, numbers of 64 bits, NULL; an ORDER BY with its LIMIT."""
    journal = JournalConnection(tmp_path / "journal.db", tag="0" * 8, bucket="b", clock=SystemClock())
    journal.execute("CREATE TEMP TABLE given (a, b)")

    @given(VALUES)
    def check(values: list[tuple[int, int | str | None]]) -> None:
        journal.execute("DELETE FROM given")
        journal.conn.executemany("INSERT INTO given VALUES (?, ?)", values)
        assert journal.in_one(AS_ONE) == [list(row) for row in journal.execute(ONE_BY_ONE)]
        assert journal.over_in_one(OVER, values) == [list(row) for row in values]

    try:
        check()
    finally:
        journal.close()
