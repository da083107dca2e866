"""How many effects each scenario has: a new effect, or a lost one, has to be written down here.

Made by ``python -m tests.support.simulation table``.
"""

EFFECTS = {
    "small": 21,
    "batch": 60,
    "multipart": 33,
    "fixed-key": 32,
    "resume": 43,
    "grow": 33,
    "replace-ready": 31,
    "replace-synced": 39,
    "replace-under-put": 27,
    "swap-under-put": 30,
    "replace-under-part": 49,
    "big-then-small": 42,
    "aba": 39,
    "aba-unsent": 48,
    "aba-untold": 49,
    "reply-lost": 33,
    "delete-ready": 36,
    "delete-synced": 32,
    "delete-under-part": 36,
    "dead-told": 40,
    "dead-sent": 40,
    "dead-replaced": 70,
    "marker": 47,
    "manifest": 41,
    "restart": 57,
    "tidy": 58,
    "tidy-rewrite": 34,
    "prune": 56,
    "foreign": 34,
}
