"""The daemon, counting what it does: ``python -m tests.support.counter run --config FILE``.

Whoever started it writes file names into the pipe ``COUNTER_PIPE``, a line each. Each ends a phase: what was
counted since the one before is written to that file as JSON.

- *statements*: what SQLite's trace tells of the connection that writes the journal: one for each statement
  that begins (BEGIN, SAVEPOINT, RELEASE and COMMIT are statements, too), one for each trigger that it enters,
  whether or not the trigger's WHEN is true, and one for each statement in there. SQLite names these in a
  comment (``-- TRIGGER name``, ``-- UPDATE ...``), but Python hands out the outer statement's text again, so
  they are counted under it.
- *hops*: hand-overs from the event loop to another thread and back: what the journal's writer is given at
  once (named by its first call), what a pool of threads is given, and what awscrt's native threads call back.
"""

from __future__ import annotations

import functools
import json
import os
import re
import sqlite3
import sys
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from awscrt.s3 import S3Client

PIPE = "COUNTER_PIPE"
_VALUES = re.compile(r"'(?:[^']|'')*'|\b\d+(?:\.\d+)?\b|\bNULL\b")
_LISTED = re.compile(r"\?(?:, *\?)+")
_TRANSACTION = re.compile(r"^(SAVEPOINT|RELEASE|ROLLBACK TO)\b.*", re.IGNORECASE)
_SQL_MAX = 100


class Work:
    """What was counted in this phase, by name."""

    def __init__(self) -> None:
        """Nothing is counted before ``install``."""
        self._lock = threading.Lock()  # several threads count
        self._sql: Counter[str] = Counter()
        self._hops: Counter[str] = Counter()

    def install(self) -> None:
        """Count from here on."""
        self._count_statements()
        self._count_hops()
        self._count_callbacks()

    def end_phases(self, pipe: Path) -> None:
        """Write each phase to the file that is named, for ever."""
        while True:
            for name in pipe.read_text().splitlines():
                with self._lock:
                    ended = {"statements": self._shapes(), "hops": dict(self._hops)}
                    self._sql, self._hops = Counter(), Counter()
                file = Path(name)
                partial = file.with_suffix(".new")
                partial.write_text(json.dumps(ended))
                partial.rename(file)

    def _count_statements(self) -> None:
        from sidecar.journal.db import connection  # noqa: PLC0415 - patched before the daemon uses it

        opened = vars(connection)["open_database"]

        @functools.wraps(opened)
        def traced(path: Path) -> tuple[sqlite3.Connection, bool]:
            database, is_checked = opened(path)
            database.set_trace_callback(self._begins)
            return database, is_checked

        vars(connection)["open_database"] = traced

    def _count_hops(self) -> None:
        from sidecar.journal.writer import JournalWriter  # noqa: PLC0415 - patched before the daemon uses it

        submit, do, hand_over = ThreadPoolExecutor.submit, JournalWriter.do, JournalWriter._hand_over
        turn = list[str]()

        def submitted(
            pool: ThreadPoolExecutor, work: Callable[..., Any], /, *args: Any, **kwargs: Any
        ) -> Any:
            self._hop(f"{pool._thread_name_prefix or 'worker'}: {_named(work, args)}")
            return submit(pool, work, *args, **kwargs)

        async def done(
            writer: JournalWriter, method: Callable[..., Any], /, *args: Any, **kwargs: Any
        ) -> Any:
            turn.append(_named(method, ()))
            return await do(writer, method, *args, **kwargs)

        def handed_over(writer: JournalWriter) -> None:
            if writer._turn:
                self._hop(f"journal: {turn[0] if turn else 'run'}")
                turn.clear()
            hand_over(writer)

        ThreadPoolExecutor.submit = submitted  # type: ignore[assignment,method-assign]
        JournalWriter.do = done  # type: ignore[method-assign]
        JournalWriter._hand_over = handed_over  # type: ignore[assignment,method-assign]

    def _count_callbacks(self) -> None:
        make_request = S3Client.make_request

        def made(client: S3Client, **given: Any) -> Any:
            for name in ("on_headers", "on_body", "on_done", "on_progress"):
                if (callback := given.get(name)) is not None:
                    given[name] = self._counted(name, callback)
            request = make_request(client, **given)
            request.finished_future.add_done_callback(lambda _: self._hop("awscrt: finished"))
            return request

        S3Client.make_request = made

    def _counted(self, name: str, callback: Callable[..., None]) -> Callable[..., None]:
        def counted(*args: Any, **kwargs: Any) -> None:
            self._hop(f"awscrt: {name}")
            callback(*args, **kwargs)

        return counted

    def _begins(self, sql: str) -> None:
        with self._lock:
            self._sql[sql] += 1

    def _hop(self, name: str) -> None:
        with self._lock:
            self._hops[name] += 1

    def _shapes(self) -> dict[str, int]:
        """Return the statements without their values."""
        shapes: Counter[str] = Counter()
        for sql, count in self._sql.items():
            shape = _TRANSACTION.sub(r"\1", " ".join(_VALUES.sub("?", sql).split()))
            shapes[_LISTED.sub("?...", shape)[:_SQL_MAX]] += count
        return dict(shapes)


def _named(work: Callable[..., Any], args: tuple[Any, ...]) -> str:
    """Name a piece of work; asyncio.to_thread wraps it in a context."""
    if getattr(work, "__name__", "") == "run" and args:
        work = args[0]
    inner = work.func if isinstance(work, functools.partial) else work
    if inner is not work and getattr(inner, "__name__", "") == "run" and isinstance(work, functools.partial):
        inner = work.args[0]
    return str(getattr(inner, "__qualname__", type(inner).__name__))


if __name__ == "__main__":
    work = Work()
    phases = threading.Thread(target=work.end_phases, args=[Path(os.environ.pop(PIPE))], daemon=True)
    phases.start()
    work.install()
    from sidecar.cli import main

    sys.exit(main())
