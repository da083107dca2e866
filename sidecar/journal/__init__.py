"""REMEMBER: SQLite, the only place where stages meet."""
