"""Every row of the table of refusals, met by one lone file and by five: whose fault it is."""

from __future__ import annotations

import asyncio
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from sidecar.core.breaker import BreakerPolicy
from sidecar.core.clock import Clock
from sidecar.core.errors import Scope
from sidecar.core.failures import Refusal, RefusalRow, meaning
from sidecar.core.model import MIB, State
from sidecar.core.retry import RetryPolicy
from sidecar.core.s3_failures import S3_ROWS
from sidecar.upload.limits import MemoryBudget
from sidecar.upload.s3.errors import translate
from sidecar.upload.s3.refusals import Asker
from tests.support import journals
from tests.support.memory_store import MemoryStore
from tests.support.virtual import InlineWriter, virtually

from .rig import Hooked, Rig, content, running

BAD_SECONDS, WELL_SECONDS = 60.0, 150.0
PART_BYTES = 64
OPERATIONS = {
    "put": "PutObject",
    "create": "CreateMultipartUpload",
    "complete": "CompleteMultipartUpload",
} | {f"part {n}": "UploadPart" for n in range(1, 4)}


def refusal_of(row: RefusalRow) -> ClientError:
    """Return an answer that this row is about, as botocore reads it."""
    status = row.statuses[1] if row.statuses else 400
    code = str(status) if row.code is None else row.code.replace("*", "X")
    code = "AWordOfItsOwn" if row.bodyless is False else code
    wordless = row.code is None and row.bodyless is not False
    about = {"Code": code, "Message": "" if wordless else f"because {row.words or 'so'}"}
    return ClientError(
        {"Error": about, "ResponseMetadata": {"HTTPStatusCode": status, "HTTPHeaders": {}}}, "Put"
    )


def named(row: RefusalRow) -> str:
    """Return a row's name in a report."""
    return f"{row.source} {row.code or row.statuses} {row.words or ''}"


@pytest.mark.parametrize("row", S3_ROWS, ids=named)
def test_no_row_hides_another(row: RefusalRow) -> None:
    """Each answer means what its own row says, and none stands behind a wider one."""
    error = refusal_of(row)
    told = translate(error, operation="PutObject", target="k", asker=Asker())
    assert (told.kind, told.scope, told.hint) == (row.kind, row.scope, row.hint)
    assert told.maybe_done == row.maybe_done
    assert told.silent == (row.code is None and row.bodyless is not False)


def test_only_a_closed_list_of_codes_blames_the_object_at_once() -> None:
    """Whatever else S3 says may be true for every file."""
    assert {row.code for row in S3_ROWS if row.scope is Scope.OBJECT} == {
        *("BadDigest", "XAmzContentChecksumMismatch", "XAmzContentSHA256Mismatch"),
        *(
            "EntityTooSmall",
            "EntityTooLarge",
            "KeyTooLongError",
            "KeyTooLong",
            "MetadataTooLarge",
            "InvalidURI",
        ),
        *("InvalidObjectName", "XMinioInvalidObjectName", "XMinioObjectExistsAsDirectory"),
        *("XMinioParentIsObject", "ExistingObjectIsDirectory", "ExistingObjectIsFile"),
        "InvalidRequest",  # "Object is WORM protected"
    }


def test_a_page_in_the_place_of_s3_has_words_and_a_head_has_none() -> None:
    """What a firewall writes is worth more than HEAD's bare status, which must not hide it."""
    answers = [
        ClientError(
            {"Error": {"Code": "403", "Message": said}, "ResponseMetadata": {"HTTPStatusCode": 403}}, ""
        )
        for said in ("'<html>blocked'", "Forbidden")
    ]
    told = [translate(one, operation="PutObject", target="k", asker=Asker()) for one in answers]
    assert [one.silent for one in told] == [False, True]
    assert "blocked" in told[0].message


def test_an_unknown_code_follows_its_status() -> None:
    """A store may have words of its own: they are shown, and nobody is blamed for them."""
    row = meaning(S3_ROWS, Refusal(operation="PutObject", status=400, code="XOurOwnWord"))
    assert row.scope is not Scope.OBJECT


@pytest.mark.parametrize(("files", "probe_is_refused"), [(1, False), (1, True), (5, False)])
def test_a_minute_of_any_refusal_costs_no_file_its_life(
    files: int, probe_is_refused: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is dead, everything arrives, and meanwhile the hint is the row's.

    The closed list alone kills, where S3 answers otherwise well.
    """
    monkeypatch.setattr("sidecar.core.parts.PART_BYTES_MIN", PART_BYTES)
    wrong: list[str] = []
    with closing(journals.open_journal(tmp_path)) as journal:
        journal.db.execute("PRAGMA synchronous = OFF")  # no power is cut here
        for row in S3_ROWS:
            trouble = Trouble(row, InlineWriter(journal), tmp_path, probe_is_refused=probe_is_refused)
            wrong += virtually(partial(trouble.meet, files))
    assert wrong == []


class Trouble:
    """A store that gives every request one answer for a minute, and then is well."""

    def __init__(
        self, row: RefusalRow, writer: InlineWriter, folder: Path, *, probe_is_refused: bool
    ) -> None:
        """A HEAD is refused with the same status, and without a word, or passes."""
        self._row, self._probe_is_refused = row, probe_is_refused
        store = Hooked(MemoryStore())
        store.before = dict.fromkeys([*OPERATIONS, "probe", "head", "list"], self._refuse)
        self._rig = Rig(
            folder=folder,
            bucket="lessons",
            store=store,
            writer=writer,
            budget=MemoryBudget(MIB),
            part_bytes=PART_BYTES,
        )
        self._bad = True

    async def meet(self, files: int, clock: Clock) -> list[str]:
        """Let files meet it, every other one of three parts; return what went wrong."""
        gate = self._rig.gate(clock, RetryPolicy(), BreakerPolicy())
        sizes = [40 if n % 2 == 0 else 3 * PART_BYTES for n in range(files)]
        transfers = [
            await self._rig.file(content(size), f"{named(self._row)}-{n}.py".replace("/", "-"))
            for n, size in enumerate(sizes)
        ]
        async with running(self._rig.stage(clock=clock, gate=gate)):
            tending = asyncio.ensure_future(gate.run())
            await asyncio.sleep(BAD_SECONDS)
            hint = gate.last_error.hint if gate.last_error else None
            self._bad = False
            await asyncio.sleep(WELL_SECONDS)
            tending.cancel()
        states = [(await self._rig.now(transfer)).state for transfer in transfers]
        blamed = self._row.scope is Scope.OBJECT and not self._probe_is_refused
        expected = State.DEAD if blamed else State.UPLOADED
        wrong = [] if set(states) == {expected} else [f"{named(self._row)}: {states}"]
        return wrong if hint == self._row.hint else [*wrong, f"{named(self._row)}: said {hint!r}"]

    async def _refuse(self) -> None:
        call = self._rig.store.calls[-1]
        if not self._bad:
            return
        if call in OPERATIONS:
            raise translate(refusal_of(self._row), operation=OPERATIONS[call], target="k", asker=Asker())
        if self._probe_is_refused:
            wordless = refusal_of(self._row)
            status = str(wordless.response["ResponseMetadata"]["HTTPStatusCode"])
            wordless.response["Error"] = {"Code": status, "Message": ""}
            raise translate(wordless, operation="HeadObject", target="k", asker=Asker())
