"""The conditions of two indexes of ``transfers t``, which SQLite takes only where a question has their words.

No question for a single state has them by itself: it would be led away from the index that knows more of what
is asked. They have no list: SQLite makes a table of one, anew for each row that is written.
"""

from __future__ import annotations

# Not at the end of its way, by any end: open_by_scene.
IS_OPEN = "NOT (t.state = 'synced' OR t.state = 'superseded' OR t.state = 'gone')"
# Complete, and not delivered: owed_since.
IS_OWED = "NOT (t.state <> 'ready' AND t.state <> 'uploaded')"
