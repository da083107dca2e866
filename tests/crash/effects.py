"""How many effects each scenario has: a new effect, or a lost one, has to be written down here.

Made by ``python -m tests.support.simulation table``.
"""

EFFECTS = {
    "small": 18,
    "batch": 43,
    "multipart": 30,
    "resume": 40,
    "grow": 30,
    "replace-ready": 32,
    "replace-synced": 36,
    "replace-under-put": 24,
    "swap-under-put": 26,
    "replace-under-part": 47,
    "big-then-small": 33,
    "aba": 36,
    "aba-unsent": 45,
    "aba-untold": 46,
    "reply-lost": 30,
    "delete-ready": 33,
    "delete-synced": 24,
    "delete-under-part": 33,
    "dead-told": 33,
    "dead-sent": 37,
    "dead-replaced": 63,
    "marker": 44,
    "manifest": 34,
    "restart": 47,
    "foreign": 31,
}
