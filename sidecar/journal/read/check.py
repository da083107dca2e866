"""Checks what must be true of a journal's rows, rule by rule; a rule's query returns what breaks it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from sidecar.journal.db.integrity import FAILURES, is_damage
from sidecar.journal.db.meta import JOURNAL_ID
from sidecar.journal.db.migration_names import MIGRATION_NAMES, applied_migrations
from sidecar.journal.db.rows import IS_OPEN

from .snapshot import open_snapshot

EXAMPLES_MAX = 20
COUNTED = "('ready', 'uploaded', 'synced')"

RULES: Mapping[str, str] = {
    "a file's transfer is there": """
        SELECT folder || '/' || name FROM files f
        WHERE NOT EXISTS (SELECT 1 FROM transfers t WHERE t.id = f.transfer)""",
    "a file has its transfer's slot": """
        SELECT f.folder || '/' || f.name FROM files f JOIN transfers t ON t.id = f.transfer
        WHERE t.slot <> f.slot""",
    "complete content has a checksum": f"""
        SELECT transfer FROM transfers WHERE state IN {COUNTED} AND checksum IS NULL""",
    "what is uploaded has its op": """
        SELECT transfer FROM transfers t WHERE state = 'uploaded'
        AND NOT EXISTS (SELECT 1 FROM outbox o WHERE o.transfer = t.id AND o.kind = 'put')""",
    "an asset's op has its transfer": """
        SELECT o.seq FROM outbox o LEFT JOIN transfers t ON t.id = o.transfer WHERE o.kind = 'put'
        AND t.state IS NOT iif(o.state = 'dead', 'dead', 'uploaded')""",
    "no op is later than the last one": """
        SELECT seq FROM outbox WHERE seq > (SELECT seq FROM sqlite_sequence WHERE name = 'outbox')""",
    "a part's transfer is there": """
        SELECT transfer || ':' || number FROM parts p
        WHERE NOT EXISTS (SELECT 1 FROM transfers t WHERE t.id = p.transfer)""",
    "what is superseded has left nothing that is not a debt": """
        SELECT transfer FROM transfers WHERE state = 'superseded' AND lease = 0
        AND (may_upload OR may_object)""",
    "a removal's transfer is there": """
        SELECT slot FROM removals r WHERE NOT EXISTS (SELECT 1 FROM transfers t WHERE t.id = r.transfer)""",
    "what is over has its end": """
        SELECT transfer FROM transfers WHERE iif(state IN ('superseded', 'gone'), ended_ms IS NULL,
        ended_ms IS NOT NULL AND state <> 'synced')""",
    "the counts are those of the rows": """
        SELECT state FROM (
          SELECT state, count(*) AS n, sum(coalesce(size, 0)) AS bytes FROM transfers GROUP BY state
          UNION ALL SELECT state, -transfers, -bytes FROM counts)
        GROUP BY state HAVING sum(n) <> 0 OR sum(bytes) <> 0""",
    "the files that are there are counted": """
        SELECT root FROM (SELECT root, count(*) AS n FROM files WHERE absent = 0 GROUP BY root
          UNION ALL SELECT root, -files FROM present) GROUP BY root HAVING sum(n) <> 0""",
    "a scene's lost videos are counted": f"""
        SELECT session_id || '/' || scene_id FROM scenes s WHERE (videos_dead, videos_abandoned) <> (
          SELECT coalesce(sum(state = 'dead'), 0), coalesce(sum(state = 'abandoned'), 0) FROM transfers t
          WHERE t.session_id = s.session_id AND t.scene_id = s.scene_id AND asset_type = 'video_chunk'
          AND {IS_OPEN})""",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """A rule that is broken: how often, and by what (at most 20)."""

    rule: str
    count: int
    examples: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckReport:
    """What was found. ``notes`` are sentences about what was not looked at."""

    journal_id: str
    size_bytes: int
    transfers: Mapping[str, int]
    findings: tuple[Violation, ...]
    notes: tuple[str, ...]


def check_journal(path: Path) -> CheckReport:
    """Check the file and the rows of a journal, as they are at one moment. Raises JournalUnreadableError."""
    with closing(open_snapshot(path)) as db:
        db.execute("BEGIN")
        if damage := _damage(db):
            return CheckReport(
                journal_id="", size_bytes=path.stat().st_size, transfers={}, findings=(damage,), notes=()
            )
        notes = _unknown(db)
        findings = [] if notes else [*_broken(db)]
        transfers = dict(db.execute("SELECT state, count(*) FROM transfers GROUP BY state").fetchall())
        journal_id = JOURNAL_ID.read(db)
    return CheckReport(
        journal_id=journal_id or "",
        size_bytes=path.stat().st_size,
        transfers=transfers,
        findings=tuple(findings),
        notes=tuple(notes),
    )


def _damage(db: sqlite3.Connection) -> Violation | None:
    try:
        lines = [row[0] for row in db.execute(f"PRAGMA integrity_check({EXAMPLES_MAX})")]
    except FAILURES as error:
        if not is_damage(error):
            raise
        lines = [str(error)]
    if lines == ["ok"]:
        return None
    return Violation(rule="the file is a whole database", count=len(lines), examples=tuple(lines))


def _unknown(db: sqlite3.Connection) -> list[str]:
    applied = applied_migrations(db)
    if applied == MIGRATION_NAMES:
        return []
    which = "a newer" if applied - MIGRATION_NAMES else "an older"
    return [f"it was written by {which} version: only the file itself was checked"]


def _broken(db: sqlite3.Connection) -> Iterator[Violation]:
    for rule, query in RULES.items():
        count, examples = 0, list[str]()
        for row in db.execute(query):
            count += 1
            if count <= EXAMPLES_MAX:
                examples.append(str(row[0]))
        if count:
            yield Violation(rule=rule, count=count, examples=tuple(examples))
