-- The tables of a new journal, written by tests/support/journal_schema.py: migrations.py explains them.
CREATE TABLE "_sqlite_migrations" (
   "id" INTEGER PRIMARY KEY,
   "migration_set" TEXT,
   "name" TEXT,
   "applied_at" TEXT
);
CREATE UNIQUE INDEX "idx__sqlite_migrations_migration_set_name"
    ON "_sqlite_migrations" ("migration_set", "name");
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE roots (id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE, removed INTEGER NOT NULL DEFAULT 0);
CREATE TABLE files (
  root INTEGER NOT NULL, folder TEXT NOT NULL, name TEXT NOT NULL,
  inode INTEGER, size INTEGER, mtime_ns INTEGER, ctime_ns INTEGER,
  slot TEXT NOT NULL,
  fixed_key TEXT,                     -- the object key, only where the template reuses keys
  transfer INTEGER NOT NULL,          -- the newest transfer of this file
  absent INTEGER NOT NULL DEFAULT 0, spared INTEGER NOT NULL DEFAULT 0,  -- full listings in a row that did not show it
  PRIMARY KEY (root, folder, name)
) WITHOUT ROWID;
CREATE INDEX files_by_key ON files (fixed_key) WHERE fixed_key IS NOT NULL;
CREATE TABLE transfers (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  transfer TEXT NOT NULL,
  root INTEGER NOT NULL, folder TEXT NOT NULL, name TEXT NOT NULL,
  slot TEXT NOT NULL, session_id TEXT NOT NULL, entity_id TEXT NOT NULL, scene_id TEXT,
  asset_type TEXT NOT NULL, priority INTEGER NOT NULL, route TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state = 'discovered' OR state = 'ready' OR state = 'uploaded' OR state = 'synced' OR state = 'superseded' OR state = 'dead' OR state = 'gone' OR state = 'abandoned'),
  bucket TEXT NOT NULL, key TEXT NOT NULL,
  inode INTEGER, size INTEGER, mtime_ns INTEGER, ctime_ns INTEGER, checksum TEXT,
  upload_id TEXT, part_bytes INTEGER,
  may_upload INTEGER NOT NULL DEFAULT 0,  -- a multipart upload under our key may be open
  may_object INTEGER NOT NULL DEFAULT 0,  -- an object under our key may exist
  etag TEXT, version_id TEXT, version INTEGER,
  failures INTEGER NOT NULL DEFAULT 0, lease INTEGER NOT NULL DEFAULT 0, due REAL NOT NULL DEFAULT 0,
  died_in TEXT, error_kind TEXT, error_message TEXT,
  discovered_ms INTEGER NOT NULL, ready_ms INTEGER, uploaded_ms INTEGER, synced_ms INTEGER
, recall TEXT, held INTEGER NOT NULL DEFAULT 0, ended_ms INTEGER, home TEXT, piece INTEGER NOT NULL DEFAULT 0, parked INTEGER NOT NULL DEFAULT 0, algorithm TEXT, checksum_part_bytes INTEGER, part_checksums BLOB, media TEXT);
CREATE UNIQUE INDEX one_candidate ON transfers (root, folder, name) WHERE state = 'discovered';
CREATE INDEX transfers_by_file ON transfers (root, folder, name, id);
CREATE INDEX transfers_by_slot ON transfers (slot, id);
CREATE INDEX transfers_by_entity ON transfers (session_id, entity_id, id);
CREATE INDEX uploads_backing_off ON transfers (due) WHERE state = 'ready' AND lease = 0 AND due > 0;
CREATE INDEX leased ON transfers (slot) WHERE lease = 1;
CREATE INDEX dead_letters ON transfers (id) WHERE state = 'dead';
CREATE INDEX multipart_uploads ON transfers (key) WHERE may_upload = 1;
CREATE TABLE parts (
  transfer INTEGER NOT NULL, number INTEGER NOT NULL,
  size INTEGER NOT NULL, etag TEXT NOT NULL, checksum TEXT NOT NULL,
  PRIMARY KEY (transfer, number)
) WITHOUT ROWID;
CREATE TABLE outbox (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  op_id TEXT NOT NULL UNIQUE,
  kind TEXT NOT NULL CHECK (kind = 'put' OR kind = 'facts' OR kind = 'remove'),
  state TEXT NOT NULL CHECK (state = 'pending' OR state = 'sent' OR state = 'dead'),  -- sent: Convex may know it
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
, looked_ms INTEGER);
CREATE TABLE sessions (session_id TEXT PRIMARY KEY, manifest_mtime_ns INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE scenes (
  session_id TEXT NOT NULL, scene_id TEXT NOT NULL, project_id TEXT NOT NULL,
  content_mtime_ns INTEGER NOT NULL DEFAULT 0,
  complete_mtime_ns INTEGER, chunks INTEGER, cancelled_mtime_ns INTEGER,
  quiet INTEGER NOT NULL DEFAULT 0,
  change INTEGER NOT NULL DEFAULT 0,  -- grows with every new content
  reported TEXT, empty_ms INTEGER, videos INTEGER NOT NULL DEFAULT 0, videos_dead INTEGER NOT NULL DEFAULT 0, videos_abandoned INTEGER NOT NULL DEFAULT 0, recalled INTEGER NOT NULL DEFAULT 0,                      -- the facts that entered the outbox last, as JSON
  PRIMARY KEY (session_id, scene_id)
) WITHOUT ROWID;
CREATE INDEX scenes_without_end ON scenes (session_id) WHERE quiet = 0;
CREATE TABLE events (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  at_ms INTEGER NOT NULL, transfer INTEGER NOT NULL, event TEXT NOT NULL, detail TEXT
);
CREATE INDEX events_by_transfer ON events (transfer, id);
CREATE TABLE counts (
  state TEXT PRIMARY KEY, transfers INTEGER NOT NULL, bytes INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX uploads_held ON transfers (id) WHERE state = 'ready' AND held = 1;
CREATE INDEX ended ON transfers (ended_ms) WHERE ended_ms IS NOT NULL;
CREATE INDEX debts_by_transfer ON debts (transfer);
CREATE INDEX dead_videos ON transfers (session_id, scene_id, error_message)
  WHERE state = 'dead' AND asset_type = 'video_chunk';
CREATE TABLE places (
  root INTEGER NOT NULL, folder TEXT NOT NULL, device INTEGER NOT NULL, inode INTEGER NOT NULL,
  PRIMARY KEY (root, folder)
) WITHOUT ROWID;
CREATE INDEX files_absent ON files (root, absent) WHERE absent > 0 AND absent < 4;
CREATE TABLE removals (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  slot TEXT NOT NULL UNIQUE, transfer INTEGER NOT NULL,
  root INTEGER NOT NULL, folder TEXT NOT NULL, name TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('asked', 'owed', 'refused')),
  delete_object INTEGER NOT NULL, noticed_ms INTEGER NOT NULL, error TEXT
);
CREATE INDEX removals_by_state ON removals (state, root);
CREATE INDEX removals_by_transfer ON removals (transfer);
CREATE TABLE expiries (transfer INTEGER PRIMARY KEY, version INTEGER NOT NULL);
CREATE INDEX scenes_recalled ON scenes (session_id, scene_id) WHERE recalled = 1;
CREATE TABLE present (root INTEGER PRIMARY KEY, files INTEGER NOT NULL);
CREATE TRIGGER file_changed AFTER UPDATE OF absent ON files WHEN (old.absent = 0) <> (new.absent = 0) BEGIN
  INSERT INTO present VALUES (new.root, new.absent = 0)
    ON CONFLICT (root) DO UPDATE SET files = files + (new.absent = 0) - (old.absent = 0);
END;
CREATE TRIGGER file_went AFTER DELETE ON files WHEN old.absent = 0 BEGIN
  UPDATE present SET files = files - 1 WHERE root = old.root;
END;
CREATE INDEX uploads_waiting ON transfers (priority, id)
  WHERE state = 'ready' AND lease = 0 AND held = 0 AND parked = 0;
CREATE INDEX uploads_begun ON transfers (priority, id) WHERE state = 'ready' AND lease = 0 AND may_upload = 1;
CREATE INDEX parked ON transfers (session_id, scene_id) WHERE parked = 1 AND state = 'ready';
CREATE INDEX fragments ON transfers (session_id, scene_id) WHERE piece = 2;
CREATE TABLE playlists (
  session_id TEXT NOT NULL, scene_id TEXT NOT NULL, path TEXT NOT NULL, PRIMARY KEY (session_id, scene_id)
) WITHOUT ROWID;
CREATE INDEX ops_backing_off ON outbox (due) WHERE lease = 0 AND due > 0;
CREATE TABLE takedowns (
  id INTEGER PRIMARY KEY, project_id TEXT NOT NULL, session_id TEXT NOT NULL, entity_type TEXT NOT NULL,
  entity_id TEXT NOT NULL, asset_type TEXT NOT NULL, name TEXT NOT NULL, version INTEGER NOT NULL,
  bucket TEXT NOT NULL, key TEXT NOT NULL, transfer TEXT NOT NULL
, with_older INTEGER NOT NULL DEFAULT 0);
CREATE INDEX owed_since ON transfers (ready_ms) WHERE NOT (state <> 'ready' AND state <> 'uploaded');
CREATE INDEX open_by_scene ON transfers (session_id, scene_id, state)
  WHERE NOT (state = 'synced' OR state = 'superseded' OR state = 'gone');
CREATE INDEX files_by_transfer ON files (transfer);
INSERT INTO _sqlite_migrations (migration_set, name) VALUES
  ('render-sidecar', 'first'),
  ('render-sidecar', 'recall'),
  ('render-sidecar', 'pruning'),
  ('render-sidecar', 'videos'),
  ('render-sidecar', 'removals'),
  ('render-sidecar', 'recalled_scenes'),
  ('render-sidecar', 'homes'),
  ('render-sidecar', 'present'),
  ('render-sidecar', 'pieces'),
  ('render-sidecar', 'algorithms'),
  ('render-sidecar', 'gathered_counts'),
  ('render-sidecar', 'ops_backing_off'),
  ('render-sidecar', 'part_checksums'),
  ('render-sidecar', 'takedowns'),
  ('render-sidecar', 'media_facts'),
  ('render-sidecar', 'takedowns_of_older_versions'),
  ('render-sidecar', 'rechecks_by_the_wall'),
  ('render-sidecar', 'states_one_by_one'),
  ('render-sidecar', 'files_by_transfer');
UPDATE _sqlite_migrations SET applied_at = strftime('%Y-%m-%d %H:%M:%f000+00:00', 'now');
