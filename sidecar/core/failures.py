"""Says what a remote's refusal means: a table is read from the top, and the first row that fits counts.

The tables are ``s3_failures.py`` and ``convex_failures.py``. A row names what it looks at (an operation, a
status, a code, words, whether there was a body) and what follows: what it means (kind), whom it concerns
(scope: object, bucket, credentials, remote, ours), what an operator can do (hint), and who answers so
(source). The adapters read a refusal into plain values and ask the table; ``retry.py`` decides what follows.

An answer to HEAD has no body. It replaces no words that an earlier refusal of the same trouble had, so that
``/status`` shows the newest code and words that the remote gave. A region that ``x-amz-bucket-region`` names
counts for more than what the answer's status says.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from .errors import ErrorKind, Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """An answer that says no. ``code`` and ``message`` are the remote's own; empty where it gave none.

    ``bodyless``: there was nothing to read a code from, as in every answer to HEAD.
    """

    operation: str
    status: int
    code: str = ""
    message: str = ""
    bodyless: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusalRow:
    """One row of a table of refusals. A field that is None is not looked at.

    ``code`` may end with ``*``; ``statuses`` are first and last; ``words`` stand somewhere in the message, in
    any case. ``maybe_done``: the request may have been carried out all the same. ``redacted``: somebody
    else answered in the remote's place, so that no object is ever at fault. ``source`` says who answers so.
    """

    kind: ErrorKind
    scope: Scope
    source: str
    code: str | None = None
    statuses: tuple[int, int] | None = None
    operations: frozenset[str] | None = None
    bodyless: bool | None = None
    words: str | None = None
    hint: str | None = None
    maybe_done: bool = False
    redacted: bool = False

    def fits(self, refusal: Refusal) -> bool:
        """Tell whether an answer is one of these."""
        return (
            (self.code is None or _matches(self.code, refusal.code))
            and (self.statuses is None or self.statuses[0] <= refusal.status <= self.statuses[1])
            and (self.operations is None or refusal.operation in self.operations)
            and (self.bodyless is None or self.bodyless == refusal.bodyless)
            and (self.words is None or self.words.lower() in refusal.message.lower())
        )


def meaning(table: Iterable[RefusalRow], refusal: Refusal) -> RefusalRow:
    """Return the first row that fits. Raises LookupError where the table has no last row for all."""
    for row in table:
        if row.fits(refusal):
            return row
    raise LookupError(f"no row for {refusal}")


def _matches(pattern: str, code: str) -> bool:
    return code.startswith(pattern[:-1]) if pattern.endswith("*") else code == pattern
