"""Every row of the table of Convex's refusals, met by one lone op and by five."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from sidecar.core.clock import Clock
from sidecar.core.convex_failures import CONVEX_ROWS, FUNCTION
from sidecar.core.errors import Scope, SidecarError
from sidecar.core.failures import RefusalRow
from sidecar.core.model import State, Transfer
from sidecar.core.ops import Batch, OpResult
from sidecar.journal.journal import Journal
from sidecar.metrics import Metrics
from sidecar.settings.convex import BatchSettings
from sidecar.sync.errors import value_of
from sidecar.sync.stage import SyncStage
from tests.support import journals
from tests.support.gates import convex_gate
from tests.support.memory_metadata import MemoryMetadata
from tests.support.virtual import InlineWriter, virtually

BAD_SECONDS, WELL_SECONDS = 60.0, 150.0
ENDS_THE_RUN = {"FENCED", "UNREGISTERED"}  # tests/sync/test_stage.py
ROWS = [row for row in CONVEX_ROWS if row.code not in ENDS_THE_RUN]


def refusal_of(row: RefusalRow) -> SidecarError:
    """Return the error that an answer of this row becomes."""
    status = row.statuses[1] if row.statuses else 503
    status = 418 if status == 999 and (row.statuses or (0,))[0] == 0 else status
    body: dict[str, Any] = {"code": (row.code or "AWordOfItsOwn").replace("*", "YOUR_OWN"), "message": "so"}
    if FUNCTION in (row.operations or ()):
        status, body = 200, {"status": "error", "errorMessage": "so", "errorData": body}
    wire = b"<html>" if row.statuses is not None and row.bodyless is None else json.dumps(body).encode()
    with pytest.raises(SidecarError) as caught:
        value_of(status, wire, operation="call", target="sidecar:applyAssets")
    return caught.value


def named(row: RefusalRow) -> str:
    """Return a row's name in a report."""
    return f"{row.code or row.statuses}"


@pytest.mark.parametrize("row", CONVEX_ROWS, ids=named)
def test_no_row_hides_another(row: RefusalRow) -> None:
    """Each answer means what its own row says."""
    told = refusal_of(row)
    assert (told.kind, told.scope, told.hint) == (row.kind, row.scope, row.hint)
    assert told.maybe_done == row.maybe_done


@pytest.mark.parametrize("ops", [1, 5])
def test_a_minute_of_any_refusal_costs_no_op_its_life(ops: int, tmp_path: Path) -> None:
    """Nothing is dead, everything arrives, and meanwhile the hint is the row's. Our functions' word kills."""
    wrong: list[str] = []
    for number, row in enumerate(ROWS):
        trouble = Trouble(row, tmp_path / str(number))
        wrong += virtually(partial(trouble.meet, ops))
    assert wrong == []


class Trouble(MemoryMetadata):
    """A deployment that refuses every batch for a minute; it answers its probe."""

    def __init__(self, row: RefusalRow, folder: Path) -> None:
        """The journal is made in ``folder``."""
        super().__init__()
        self._row, self._folder, self._bad = row, folder, True
        folder.mkdir()

    async def apply(self, batch: Batch, *, sidecar_id: str, epoch: int) -> Sequence[OpResult]:
        """Refuse, or apply."""
        if self._bad:
            raise refusal_of(self._row)
        return await super().apply(batch, sidecar_id=sidecar_id, epoch=epoch)

    async def meet(self, ops: int, clock: Clock) -> list[str]:
        """Let ops meet it; return what went wrong."""
        with closing(journals.open_journal(self._folder)) as journal:
            journal.db.execute("PRAGMA synchronous = OFF")  # no power is cut here
            transfers = [self._uploaded(journal, n) for n in range(ops)]
            hint = await self._live(InlineWriter(journal), clock)
            states = {journal.transfers.one(transfer.row_id).state for transfer in transfers}
        expected = State.DEAD if self._row.scope is Scope.OBJECT else State.SYNCED
        wrong = [] if states == {expected} else [f"{named(self._row)}: {states}"]
        return wrong if hint == self._row.hint else [*wrong, f"{named(self._row)}: said {hint!r}"]

    def _uploaded(self, journal: Journal, n: int) -> Transfer:
        at = journals.route(f"{n}.mp4")
        transfer = journals.ready(journal, f"text-{n}", n + 1, at=at)
        journals.ship(journal, transfer)
        return transfer

    async def _live(self, writer: InlineWriter, clock: Clock) -> str | None:
        """Run the stage through trouble and recovery; return the hint that was shown in the trouble."""
        gate = convex_gate(self.probe, clock)
        stage = SyncStage(
            store=self,
            journal=writer,
            gate=gate,
            batch=BatchSettings(),
            sidecar_id="test-sidecar",
            clock=clock,
            metrics=Metrics(),
        )
        tasks = [asyncio.ensure_future(work) for work in (stage.run(), gate.run())]
        await asyncio.sleep(BAD_SECONDS)
        hint = gate.last_error.hint if gate.last_error else None
        self._bad = False
        await asyncio.sleep(WELL_SECONDS)
        for task in tasks:
            assert not task.done()
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return hint
