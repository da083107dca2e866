"""How many effects each scenario has: a new effect, or a lost one, has to be written down here.

Made by ``python -m tests.support.simulation table``.
"""

EFFECTS = {
    "small": 18,
    "batch": 48,
    "multipart": 30,
    "fixed-key": 29,
    "resume": 40,
    "grow": 30,
    "replace-ready": 28,
    "replace-synced": 36,
    "replace-under-put": 23,
    "swap-under-put": 27,
    "replace-under-part": 46,
    "big-then-small": 40,
    "aba": 36,
    "aba-unsent": 45,
    "aba-untold": 46,
    "reply-lost": 30,
    "delete-ready": 31,
    "delete-synced": 25,
    "delete-under-part": 33,
    "dead-told": 33,
    "dead-sent": 37,
    "dead-replaced": 66,
    "marker": 47,
    "manifest": 40,
    "restart": 49,
    "tidy": 54,
    "tidy-rewrite": 40,
    "foreign": 31,
}
