"""The journal's tables, as sqlite-utils migrations. A landed migration is never edited, only followed.

All times called ``due`` are monotonic and mean nothing to another process: opening the journal sets
them, and all leases, back to 0. Times called ``*_ms`` are the wall's, for people and for Convex.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sqlite_utils.migrations import Migrations

if TYPE_CHECKING:
    from sqlite_utils import Database

TAKEDOWNS = """
-- Assets that a program has asked to remove, and the objects of which are then deleted.
CREATE TABLE takedowns (
  id INTEGER PRIMARY KEY, project_id TEXT NOT NULL, session_id TEXT NOT NULL, entity_type TEXT NOT NULL,
  entity_id TEXT NOT NULL, asset_type TEXT NOT NULL, name TEXT NOT NULL, version INTEGER NOT NULL,
  bucket TEXT NOT NULL, key TEXT NOT NULL, transfer TEXT NOT NULL
);
"""

TAKEDOWNS_OF_OLDER_VERSIONS = """
-- Whether the objects of an asset's older versions are deleted with its own.
ALTER TABLE takedowns ADD COLUMN with_older INTEGER NOT NULL DEFAULT 0;
"""

migrations = Migrations("render-sidecar")

FIRST = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

CREATE TABLE roots (id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE);

-- One row per file, so that a scan can pass over what it knows with one range query per folder.
-- The identity is that of the newest content that was handled, NULL until there is one.
CREATE TABLE files (
  root INTEGER NOT NULL, folder TEXT NOT NULL, name TEXT NOT NULL,
  inode INTEGER, size INTEGER, mtime_ns INTEGER, ctime_ns INTEGER,
  slot TEXT NOT NULL,
  fixed_key TEXT,                     -- the object key, only where the template reuses keys
  transfer INTEGER NOT NULL,          -- the newest transfer of this file
  absent INTEGER NOT NULL DEFAULT 0,  -- full listings in a row that did not show it
  PRIMARY KEY (root, folder, name)
) WITHOUT ROWID;
CREATE INDEX files_by_slot ON files (slot);
CREATE INDEX files_by_key ON files (fixed_key) WHERE fixed_key IS NOT NULL;

CREATE TABLE transfers (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  transfer TEXT NOT NULL,
  root INTEGER NOT NULL, folder TEXT NOT NULL, name TEXT NOT NULL,
  slot TEXT NOT NULL, session_id TEXT NOT NULL, entity_id TEXT NOT NULL, scene_id TEXT,
  asset_type TEXT NOT NULL, priority INTEGER NOT NULL, route TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN
    ('discovered', 'ready', 'uploaded', 'synced', 'superseded', 'dead', 'gone', 'abandoned')),
  bucket TEXT NOT NULL, key TEXT NOT NULL,
  inode INTEGER, size INTEGER, mtime_ns INTEGER, ctime_ns INTEGER, checksum TEXT,
  upload_id TEXT, part_bytes INTEGER,
  may_upload INTEGER NOT NULL DEFAULT 0,  -- a multipart upload under our key may be open
  may_object INTEGER NOT NULL DEFAULT 0,  -- an object under our key may exist
  etag TEXT, version_id TEXT, version INTEGER,
  failures INTEGER NOT NULL DEFAULT 0, lease INTEGER NOT NULL DEFAULT 0, due REAL NOT NULL DEFAULT 0,
  died_in TEXT, error_kind TEXT, error_message TEXT,
  discovered_ms INTEGER NOT NULL, ready_ms INTEGER, uploaded_ms INTEGER, synced_ms INTEGER
);
-- At most one candidate per file: it may grow as long as it likes.
CREATE UNIQUE INDEX one_candidate ON transfers (root, folder, name) WHERE state = 'discovered';
CREATE INDEX transfers_by_file ON transfers (root, folder, name, id);
CREATE INDEX transfers_by_slot ON transfers (slot, id);
CREATE INDEX transfers_by_entity ON transfers (session_id, entity_id, id);
CREATE INDEX uploads_waiting ON transfers (priority, id) WHERE state = 'ready' AND lease = 0;
CREATE INDEX uploads_backing_off ON transfers (due) WHERE state = 'ready' AND lease = 0 AND due > 0;
CREATE INDEX leased ON transfers (slot) WHERE lease = 1;
CREATE INDEX owed_since ON transfers (ready_ms) WHERE state IN ('ready', 'uploaded');
CREATE INDEX dead_letters ON transfers (id) WHERE state = 'dead';
CREATE INDEX open_by_scene ON transfers (session_id, scene_id, state)
  WHERE state IN ('discovered', 'ready', 'uploaded', 'dead', 'abandoned');
CREATE INDEX multipart_uploads ON transfers (key) WHERE may_upload = 1;

CREATE TABLE parts (
  transfer INTEGER NOT NULL, number INTEGER NOT NULL,
  size INTEGER NOT NULL, etag TEXT NOT NULL, checksum TEXT NOT NULL,
  PRIMARY KEY (transfer, number)
) WITHOUT ROWID;

-- Ops owed to Convex; a settled op leaves. AUTOINCREMENT: a seq is never given twice.
CREATE TABLE outbox (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  op_id TEXT NOT NULL UNIQUE,
  kind TEXT NOT NULL CHECK (kind IN ('put', 'facts', 'remove')),
  state TEXT NOT NULL CHECK (state IN ('pending', 'sent', 'dead')),  -- sent: Convex may know it
  project_id TEXT NOT NULL, session_id TEXT NOT NULL, scene_id TEXT,
  slot TEXT NOT NULL, transfer INTEGER, body TEXT NOT NULL,
  failures INTEGER NOT NULL DEFAULT 0, lease INTEGER NOT NULL DEFAULT 0, due REAL NOT NULL DEFAULT 0
);
CREATE INDEX outbox_by_session ON outbox (session_id, seq) WHERE state <> 'dead';
CREATE INDEX outbox_by_slot ON outbox (slot, seq) WHERE state <> 'dead';
CREATE INDEX outbox_by_scene ON outbox (session_id, scene_id, seq) WHERE state <> 'dead';
CREATE INDEX outbox_by_transfer ON outbox (transfer);

CREATE TABLE debts (
  id INTEGER PRIMARY KEY, delete_object INTEGER NOT NULL, key TEXT NOT NULL, upload_id TEXT,
  transfer TEXT NOT NULL, due REAL NOT NULL DEFAULT 0
);

CREATE TABLE sessions (session_id TEXT PRIMARY KEY, manifest_mtime_ns INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE scenes (
  session_id TEXT NOT NULL, scene_id TEXT NOT NULL, project_id TEXT NOT NULL,
  content_mtime_ns INTEGER NOT NULL DEFAULT 0,
  complete_mtime_ns INTEGER, chunks INTEGER, cancelled_mtime_ns INTEGER,
  quiet INTEGER NOT NULL DEFAULT 0,
  change INTEGER NOT NULL DEFAULT 0,  -- grows with every new content
  reported TEXT,                      -- the facts that entered the outbox last, as JSON
  PRIMARY KEY (session_id, scene_id)
) WITHOUT ROWID;
CREATE INDEX scenes_without_end ON scenes (session_id) WHERE quiet = 0;

CREATE TABLE events (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  at_ms INTEGER NOT NULL, transfer INTEGER NOT NULL, event TEXT NOT NULL, detail TEXT
);
CREATE INDEX events_by_transfer ON events (transfer, id);

-- Counts by state, kept by triggers: /status must not count a million rows.
CREATE TABLE counts (
  state TEXT PRIMARY KEY, transfers INTEGER NOT NULL, bytes INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TRIGGER count_new AFTER INSERT ON transfers BEGIN
  INSERT INTO counts VALUES (new.state, 1, coalesce(new.size, 0))
    ON CONFLICT (state) DO UPDATE SET transfers = transfers + 1, bytes = bytes + coalesce(new.size, 0);
END;
CREATE TRIGGER count_changed AFTER UPDATE OF state, size ON transfers
WHEN old.state <> new.state OR old.size IS NOT new.size BEGIN
  UPDATE counts SET transfers = transfers - 1, bytes = bytes - coalesce(old.size, 0) WHERE state = old.state;
  INSERT INTO counts VALUES (new.state, 1, coalesce(new.size, 0))
    ON CONFLICT (state) DO UPDATE SET transfers = transfers + 1, bytes = bytes + coalesce(new.size, 0);
END;
CREATE TRIGGER count_dropped AFTER DELETE ON transfers BEGIN
  UPDATE counts SET transfers = transfers - 1, bytes = bytes - coalesce(old.size, 0) WHERE state = old.state;
END;
"""


RECALL = """
-- Where content that a lost journal knew may be already, as JSON; held: Convex is to be asked first.
ALTER TABLE transfers ADD COLUMN recall TEXT;
ALTER TABLE transfers ADD COLUMN held INTEGER NOT NULL DEFAULT 0;
DROP INDEX uploads_waiting;
CREATE INDEX uploads_waiting ON transfers (priority, id) WHERE state = 'ready' AND lease = 0 AND held = 0;
CREATE INDEX uploads_held ON transfers (id) WHERE state = 'ready' AND held = 1;
"""

PRUNING = """
-- Since when nothing shows a row any more: its content was replaced, or its file is gone. What was over
-- before there was this column is over from now on.
ALTER TABLE transfers ADD COLUMN ended_ms INTEGER;
UPDATE transfers SET ended_ms = CAST(strftime('%s', 'now') AS INTEGER) * 1000
  WHERE state IN ('superseded', 'gone') OR state = 'synced' AND (
    NOT EXISTS (SELECT 1 FROM files f WHERE f.slot = transfers.slot AND f.absent < 2)
    OR EXISTS (SELECT 1 FROM transfers n WHERE n.slot = transfers.slot AND n.id > transfers.id
               AND n.state = 'synced'));
CREATE INDEX ended ON transfers (ended_ms) WHERE ended_ms IS NOT NULL;
CREATE INDEX debts_by_transfer ON debts (transfer);
ALTER TABLE scenes ADD COLUMN empty_ms INTEGER;  -- since when no transfer of it was found
"""

VIDEOS = """
-- What a scene's facts say of its videos, kept by triggers: deriving them must cost no walk over the scene.
-- videos: slots that are ready or further, pruned ones included (one that is rendered again counts twice).
ALTER TABLE scenes ADD COLUMN videos INTEGER NOT NULL DEFAULT 0;
ALTER TABLE scenes ADD COLUMN videos_dead INTEGER NOT NULL DEFAULT 0;
ALTER TABLE scenes ADD COLUMN videos_abandoned INTEGER NOT NULL DEFAULT 0;
CREATE INDEX dead_videos ON transfers (session_id, scene_id, error_message)
  WHERE state = 'dead' AND asset_type = 'video_chunk';
CREATE TRIGGER video_lost AFTER UPDATE OF state ON transfers
WHEN new.asset_type = 'video_chunk' AND old.state <> new.state AND new.state IN ('dead', 'abandoned') BEGIN
  UPDATE scenes SET videos_dead = videos_dead + (new.state = 'dead'),
    videos_abandoned = videos_abandoned + (new.state = 'abandoned')
    WHERE session_id = new.session_id AND scene_id = new.scene_id;
END;
CREATE TRIGGER video_found AFTER UPDATE OF state ON transfers
WHEN new.asset_type = 'video_chunk' AND old.state <> new.state AND old.state IN ('dead', 'abandoned') BEGIN
  UPDATE scenes SET videos_dead = videos_dead - (old.state = 'dead'),
    videos_abandoned = videos_abandoned - (old.state = 'abandoned')
    WHERE session_id = old.session_id AND scene_id = old.scene_id;
END;
CREATE TRIGGER video_there AFTER UPDATE OF state ON transfers
WHEN new.asset_type = 'video_chunk' AND new.state IN ('ready', 'uploaded', 'synced')
  AND old.state NOT IN ('ready', 'uploaded', 'synced')
  AND NOT EXISTS (SELECT 1 FROM transfers o WHERE o.slot = new.slot AND o.id <> new.id
                  AND o.state IN ('ready', 'uploaded', 'synced')) BEGIN
  UPDATE scenes SET videos = videos + 1 WHERE session_id = new.session_id AND scene_id = new.scene_id;
END;
CREATE TRIGGER video_no_more AFTER UPDATE OF state ON transfers
WHEN new.asset_type = 'video_chunk' AND old.state IN ('ready', 'uploaded', 'synced')
  AND new.state NOT IN ('ready', 'uploaded', 'synced')
  AND NOT EXISTS (SELECT 1 FROM transfers o WHERE o.slot = new.slot AND o.id <> new.id
                  AND o.state IN ('ready', 'uploaded', 'synced')) BEGIN
  UPDATE scenes SET videos = videos - 1 WHERE session_id = new.session_id AND scene_id = new.scene_id;
END;
UPDATE scenes SET
  videos = (SELECT count(DISTINCT slot) FROM transfers t WHERE t.session_id = scenes.session_id
    AND t.entity_id = scenes.scene_id AND t.asset_type = 'video_chunk'
    AND t.state IN ('ready', 'uploaded', 'synced')),
  videos_dead = (SELECT count(*) FROM transfers t WHERE t.session_id = scenes.session_id
    AND t.scene_id = scenes.scene_id AND t.asset_type = 'video_chunk' AND t.state = 'dead'
    AND t.state IN ('discovered', 'ready', 'uploaded', 'dead', 'abandoned')),
  videos_abandoned = (SELECT count(*) FROM transfers t WHERE t.session_id = scenes.session_id
    AND t.scene_id = scenes.scene_id AND t.asset_type = 'video_chunk' AND t.state = 'abandoned'
    AND t.state IN ('discovered', 'ready', 'uploaded', 'dead', 'abandoned'));
"""

REMOVALS = """
-- Where each root, and each file system mounted below it, lay when it was listed last; folder "": the root.
CREATE TABLE places (
  root INTEGER NOT NULL, folder TEXT NOT NULL, device INTEGER NOT NULL, inode INTEGER NOT NULL,
  PRIMARY KEY (root, folder)
) WITHOUT ROWID;
ALTER TABLE roots ADD COLUMN removed INTEGER NOT NULL DEFAULT 0;  -- lately, without asking

-- Its absence says nothing: its root was another one, we deleted it ourselves, or `removal` was keep.
-- Until it is seen as it was, or with complete content of its own.
ALTER TABLE files ADD COLUMN spared INTEGER NOT NULL DEFAULT 0;
UPDATE files SET spared = 1 WHERE absent > 0;
CREATE INDEX files_absent ON files (root, absent) WHERE absent > 0 AND absent < 4;

-- Removed files whose asset Convex still shows. An owed one has its op in the outbox.
CREATE TABLE removals (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  slot TEXT NOT NULL UNIQUE, transfer INTEGER NOT NULL,
  root INTEGER NOT NULL, folder TEXT NOT NULL, name TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('asked', 'owed', 'refused')),
  delete_object INTEGER NOT NULL, noticed_ms INTEGER NOT NULL, error TEXT
);
CREATE INDEX removals_by_state ON removals (state, root);
CREATE INDEX removals_by_transfer ON removals (transfer);

-- Convex has removed the asset; it marks the version as expired before the object is a debt.
CREATE TABLE expiries (transfer INTEGER PRIMARY KEY, version INTEGER NOT NULL);
"""

RECALLED_SCENES = """
-- All that is known of the scene lay there when this journal was begun, and Convex may know it from the one
-- before: what is not yet so is not told.
ALTER TABLE scenes ADD COLUMN recalled INTEGER NOT NULL DEFAULT 0;
CREATE INDEX scenes_recalled ON scenes (session_id, scene_id) WHERE recalled = 1;
"""

HOMES = """
-- Where the file was seen, while its bytes are owed (sidecar/homes.py): a volume that is away takes none
-- along.
ALTER TABLE transfers ADD COLUMN home TEXT;
"""

PRESENT = """
-- Files that the last listing showed, by root, kept by triggers: /status must not count a million rows.
CREATE TABLE present (root INTEGER PRIMARY KEY, files INTEGER NOT NULL);
CREATE TRIGGER file_came AFTER INSERT ON files WHEN new.absent = 0 BEGIN
  INSERT INTO present VALUES (new.root, 1) ON CONFLICT (root) DO UPDATE SET files = files + 1;
END;
CREATE TRIGGER file_changed AFTER UPDATE OF absent ON files WHEN (old.absent = 0) <> (new.absent = 0) BEGIN
  INSERT INTO present VALUES (new.root, new.absent = 0)
    ON CONFLICT (root) DO UPDATE SET files = files + (new.absent = 0) - (old.absent = 0);
END;
CREATE TRIGGER file_went AFTER DELETE ON files WHEN old.absent = 0 BEGIN
  UPDATE present SET files = files - 1 WHERE root = old.root;
END;
INSERT INTO present SELECT root, count(*) FROM files WHERE absent = 0 GROUP BY root;
"""

PIECES = """
-- piece: 1 and 2 are pieces of streams (core.model.Piece), which are parked until their scene is complete.
ALTER TABLE transfers ADD COLUMN piece INTEGER NOT NULL DEFAULT 0;
ALTER TABLE transfers ADD COLUMN parked INTEGER NOT NULL DEFAULT 0;
DROP INDEX uploads_waiting;
CREATE INDEX uploads_waiting ON transfers (priority, id)
  WHERE state = 'ready' AND lease = 0 AND held = 0 AND parked = 0;
CREATE INDEX uploads_begun ON transfers (priority, id) WHERE state = 'ready' AND lease = 0 AND may_upload = 1;
CREATE INDEX parked ON transfers (session_id, scene_id) WHERE parked = 1 AND state = 'ready';
CREATE INDEX fragments ON transfers (session_id, scene_id) WHERE piece = 2;
-- Scenes that ever had a playlist; scene_id '' is the session itself. As long as the journal.
CREATE TABLE playlists (
  session_id TEXT NOT NULL, scene_id TEXT NOT NULL, path TEXT NOT NULL, PRIMARY KEY (session_id, scene_id)
) WITHOUT ROWID;
-- A withheld piece is the only ready transfer whose row is dropped.
CREATE TRIGGER video_withheld AFTER DELETE ON transfers
WHEN old.asset_type = 'video_chunk' AND old.state = 'ready'
  AND NOT EXISTS (SELECT 1 FROM transfers o WHERE o.slot = old.slot AND o.id <> old.id
                  AND o.state IN ('ready', 'uploaded', 'synced')) BEGIN
  UPDATE scenes SET videos = videos - 1 WHERE session_id = old.session_id AND scene_id = old.scene_id;
END;
"""

ALGORITHMS = """
-- The checksum that the multipart upload was begun with.
ALTER TABLE transfers ADD COLUMN algorithm TEXT;
"""

GATHERED_COUNTS = """
-- Counted once for all that a transaction changed (stores/counts.py): every trigger that is entered costs,
-- true or not. Files that are marked absent, or go, have their triggers still.
DROP TRIGGER IF EXISTS count_new;
DROP TRIGGER IF EXISTS count_changed;
DROP TRIGGER IF EXISTS count_dropped;
DROP TRIGGER IF EXISTS video_lost;
DROP TRIGGER IF EXISTS video_found;
DROP TRIGGER IF EXISTS video_there;
DROP TRIGGER IF EXISTS video_no_more;
DROP TRIGGER IF EXISTS video_withheld;
DROP TRIGGER IF EXISTS file_came;
"""

OPS_BACKING_OFF = """
-- When the next op that failed is due: seldom any, among very many that wait.
CREATE INDEX ops_backing_off ON outbox (due) WHERE lease = 0 AND due > 0;
"""

PART_CHECKSUMS = """
-- From the read that completed a file: 8 bytes of crc64nvme for each part of so many bytes. Until it is sent.
ALTER TABLE transfers ADD COLUMN checksum_part_bytes INTEGER;
ALTER TABLE transfers ADD COLUMN part_checksums BLOB;
"""

MEDIA_FACTS = """
-- What the structure of a complete film or picture told, as JSON: its duration, size, frame rate and codec.
ALTER TABLE transfers ADD COLUMN media TEXT;
"""

STATES_ONE_BY_ONE = """
-- SQLite makes a table of a list, anew for each row that is written; rows.py has the words.
DROP INDEX owed_since;
CREATE INDEX owed_since ON transfers (ready_ms) WHERE NOT (state <> 'ready' AND state <> 'uploaded');
DROP INDEX open_by_scene;
CREATE INDEX open_by_scene ON transfers (session_id, scene_id, state)
  WHERE NOT (state = 'synced' OR state = 'superseded' OR state = 'gone');
"""

FILES_BY_TRANSFER = """
-- Files are found by their transfers, which have their slots. A new file's slot lies anywhere in an index of
-- slots, its transfer at the end of this one.
DROP INDEX files_by_slot;
CREATE INDEX files_by_transfer ON files (transfer);
"""


@migrations()
def first(db: Database) -> None:
    """Create everything."""
    for statement in _statements(FIRST):
        db.execute(statement)


@migrations()
def recall(db: Database) -> None:
    """Let a fresh journal look for what is known before it sends."""
    for statement in _statements(RECALL):
        db.execute(statement)


@migrations()
def pruning(db: Database) -> None:
    """Let what is over be forgotten after a while."""
    for statement in _statements(PRUNING):
        db.execute(statement)


@migrations()
def videos(db: Database) -> None:
    """Count the videos of a scene as they come and go."""
    for statement in _statements(VIDEOS):
        db.execute(statement)


@migrations()
def removals(db: Database) -> None:
    """Remember what is gone, and since when it lies where."""
    for statement in _statements(REMOVALS):
        db.execute(statement)


@migrations()
def recalled_scenes(db: Database) -> None:
    """Let a fresh journal unsay nothing of scenes that Convex shows."""
    for statement in _statements(RECALLED_SCENES):
        db.execute(statement)


@migrations()
def homes(db: Database) -> None:
    """Tell a file that is gone from a volume that is away."""
    for statement in _statements(HOMES):
        db.execute(statement)


@migrations()
def present(db: Database) -> None:
    """Count the files that are there."""
    for statement in _statements(PRESENT):
        db.execute(statement)


@migrations()
def pieces(db: Database) -> None:
    """Let pieces of streams wait for their playlist."""
    for statement in _statements(PIECES):
        db.execute(statement)


@migrations()
def algorithms(db: Database) -> None:
    """Let an upload go on as it was begun."""
    for statement in _statements(ALGORITHMS):
        db.execute(statement)


@migrations()
def gathered_counts(db: Database) -> None:
    """Count once a transaction."""
    for statement in _statements(GATHERED_COUNTS):
        db.execute(statement)


@migrations()
def ops_backing_off(db: Database) -> None:
    """Find the next op that is due without reading them all."""
    for statement in _statements(OPS_BACKING_OFF):
        db.execute(statement)


@migrations()
def part_checksums(db: Database) -> None:
    """Let a part be sent without another look at its bytes."""
    for statement in _statements(PART_CHECKSUMS):
        db.execute(statement)


@migrations()
def takedowns(db: Database) -> None:
    """Let a clean-up of assets outlive the program that asked for it."""
    for statement in _statements(TAKEDOWNS):
        db.execute(statement)


@migrations()
def media_facts(db: Database) -> None:
    """Tell players what a film is before they have a byte of it."""
    for statement in _statements(MEDIA_FACTS):
        db.execute(statement)


@migrations()
def takedowns_of_older_versions(db: Database) -> None:
    """Let a clean-up take older versions' objects along."""
    for statement in _statements(TAKEDOWNS_OF_OLDER_VERSIONS):
        db.execute(statement)


@migrations()
def rechecks_by_the_wall(db: Database) -> None:
    """Let a recheck come to its end over several short lives."""
    db.execute("ALTER TABLE debts ADD COLUMN looked_ms INTEGER")


@migrations()
def states_one_by_one(db: Database) -> None:
    """Ask for a row's state without a list: each row is asked several times on its way.

    From here on a route is an array (rows.py), too; programs that read an object are kept out.
    """
    for statement in _statements(STATES_ONE_BY_ONE):
        db.execute(statement)
    _check_without_lists(db)


@migrations()
def files_by_transfer(db: Database) -> None:
    """Let a new file change no page that only it changes."""
    for statement in _statements(FILES_BY_TRANSFER):
        db.execute(statement)


def _check_without_lists(db: Database) -> None:
    """Rewrite the CHECKs, as sqlite.org/lang_altertable.html has it: no row is touched."""
    tables = db.execute(
        "SELECT name, sql FROM sqlite_master WHERE name IN ('transfers', 'outbox')"
    ).fetchall()
    ((version,),) = db.execute("PRAGMA schema_version").fetchall()
    db.execute("PRAGMA writable_schema = ON")
    try:
        for name, sql in tables:
            db.execute("UPDATE sqlite_master SET sql = ? WHERE name = ?", [_without_lists(sql), name])
    finally:
        db.execute("PRAGMA writable_schema = OFF")
    db.execute(f"PRAGMA schema_version = {version + 1}")


def _without_lists(sql: str) -> str:
    """Return a table's definition with a CHECK that asks for each word of its list."""

    def each(found: re.Match[str]) -> str:
        column, words = found.group(1), found.group(2).split(",")
        return f"CHECK ({' OR '.join([f'{column} = {word.strip()}' for word in words])})"

    return re.sub(r"CHECK \((\w+) IN\s+\(([^)]*)\)\)", each, sql)


def _statements(script: str) -> list[str]:
    """Split a script: executescript would commit the migration's transaction half-way."""
    import sqlite3  # noqa: PLC0415 - only a migration needs its tokenizer

    statements, pending = [], ""
    for line in script.splitlines(keepends=True):
        pending += line
        if pending.strip() and sqlite3.complete_statement(pending):
            statements.append(pending)
            pending = ""
    return statements
