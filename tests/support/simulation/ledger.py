"""Where a simulated journal lies: in memory, or, where other connections read it, in a file.

Either way its content is a value, ``bytes``, that a life begins with and that can be taken at any instant.
"""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import tempfile
from functools import cache
from pathlib import Path
from typing import Protocol
from unittest.mock import patch

from sidecar.core.clock import Clock
from sidecar.core.errors import JournalLostError
from sidecar.core.ids import sidecar_tag
from sidecar.journal.db import connection
from sidecar.journal.db.open import open_database
from sidecar.journal.journal import Journal

SIDECAR, BUCKET = "simulated", "lessons"
TAG = sidecar_tag(SIDECAR)


_BESIDE = "journal"


class Ledger(Protocol):
    """One journal at a time."""

    path: Path

    def open(
        self, image: bytes | None, *, clock: Clock, chance: random.Random, lost: JournalLostError | None
    ) -> Journal:
        """Open the journal that lies there, or a new one."""
        ...

    def image(self) -> bytes:
        """Return the file of the open journal, as the last commit left it."""
        ...

    def look(self, image: bytes) -> sqlite3.Connection:
        """Open an image, to read it; valid until the next call of anything here."""
        ...

    def close(self) -> None:
        """Close the journal."""
        ...


class InMemory:
    """One connection for all lives: what SQLite has prepared stays prepared.

    The image lies beside an empty main database: SQLite 3.40 crashes where json_each is used after main was
    replaced.
    """

    path = Path("journal.db")

    def __init__(self) -> None:
        """Make the tables once."""
        self._connection = sqlite3.connect(
            ":memory:", isolation_level=None, check_same_thread=False, cached_statements=256
        )
        self._connection.row_factory = sqlite3.Row
        self._connection.execute(f"ATTACH ':memory:' AS {_BESIDE}")
        self._empty = _without_log(_empty())
        self._journal: Journal | None = None

    def open(
        self, image: bytes | None, *, clock: Clock, chance: random.Random, lost: JournalLostError | None
    ) -> Journal:
        """Put the image in the place of the last one."""
        self._connection.deserialize(image or self._empty, name=_BESIDE)
        with patch.multiple(connection, lock=_no_lock, open_database=lambda _: (self._connection, True)):
            self._journal = Journal(
                self.path, tag=TAG, bucket=BUCKET, clock=clock, chance=chance.randbytes, lost=lost
            )
        return self._journal

    def image(self) -> bytes:
        """Copy the memory."""
        return self._connection.serialize(name=_BESIDE)

    def look(self, image: bytes) -> sqlite3.Connection:
        """Show the image."""
        self._connection.deserialize(image, name=_BESIDE)
        return self._connection

    def close(self) -> None:
        """Keep the connection; let the lock's descriptor go."""
        if self._journal is not None:
            os.close(self._journal.db._lock_fd)
            self._journal = None


class InFile:
    """A journal as production opens it, on a file system in memory."""

    def __init__(self) -> None:
        """Take a folder; ``remove`` gives it back."""
        self._folder = Path(tempfile.mkdtemp(prefix="simulation-", dir=_memory()))
        self.path = self._folder / "journal.db"
        self._journal: Journal | None = None

    def open(
        self, image: bytes | None, *, clock: Clock, chance: random.Random, lost: JournalLostError | None
    ) -> Journal:
        """Write the image and open it."""
        self._write(image or _empty())
        journal = Journal(self.path, tag=TAG, bucket=BUCKET, clock=clock, chance=chance.randbytes, lost=lost)
        journal.db.execute("PRAGMA synchronous = OFF")  # no power is cut that SQLite would notice
        self._journal = journal
        return journal

    def image(self) -> bytes:
        """Return file and log, as one."""
        assert self._journal is not None
        connection: sqlite3.Connection = self._journal.db.conn
        return connection.serialize()

    def look(self, image: bytes) -> sqlite3.Connection:
        """Show the image."""
        connection = sqlite3.connect(":memory:", isolation_level=None)
        connection.row_factory = sqlite3.Row
        connection.deserialize(_without_log(image))
        return connection

    def close(self) -> None:
        """Close the journal."""
        if self._journal is not None:
            self._journal.close()
            self._journal = None

    def remove(self) -> None:
        """Leave nothing behind."""
        self.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _write(self, image: bytes) -> None:
        for old in self._folder.iterdir():
            old.unlink()
        self.path.write_bytes(image)


@cache
def in_memory() -> InMemory:
    """Return this process's one."""
    return InMemory()


@cache
def _empty() -> bytes:
    """Make a journal's tables, with nothing in them."""
    with tempfile.TemporaryDirectory(dir=_memory()) as folder:
        db, _ = open_database(Path(folder) / "journal.db")
        image = db.serialize()
        db.close()
    return image


def _without_log(image: bytes) -> bytes:
    """Say in the file's head that there is no write-ahead log: memory knows none."""
    return image[:18] + b"\1\1" + image[20:]


def _memory() -> str | None:
    """Return a file system in memory, if the machine has one."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - a folder of its own is made there


def _no_lock(_path: Path) -> int:
    """Nobody else can have it open."""
    return os.open(os.devnull, os.O_RDONLY)
