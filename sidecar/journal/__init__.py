"""The journal: SQLite, the only place where stages meet."""
