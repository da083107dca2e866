"""Says what ``environment`` sets: defaults of other keys.

Keys that are written win, whether in the file or by the environment's variables.
What only one's own store or lesson can tell (encryption, buckets, retention) is set by none of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

Environment = Literal["development", "staging", "production"]
PRESETS: Mapping[str, Mapping[str, Any]] = {
    "development": {  # one looks on, and servers are one's own
        "https_only": "false",
        "entities": {"complete_after": "10s"},
        "shutdown": {"grace": "5s"},
        "logging": {"format": "console", "level": "debug"},
    },
    "staging": {  # as production, but it says more
        "https_only": "true",
        "shutdown": {"grace": "35s"},
        "logging": {"format": "json", "level": "debug"},
    },
    "production": {
        "https_only": "true",
        "shutdown": {"grace": "35s"},
        "logging": {"format": "json", "level": "info"},
    },
}


def with_defaults(values: Any) -> Any:
    """Return the values over what their ``environment`` sets; unchanged where there is no such one."""
    name = values.get("environment") if isinstance(values, Mapping) else None
    return _over(values, PRESETS[name]) if isinstance(name, str) and name in PRESETS else values


def _over(values: Any, defaults: Any) -> Any:
    if not isinstance(values, Mapping) or not isinstance(defaults, Mapping):
        return values
    missing = {name: default for name, default in defaults.items() if name not in values}
    return {**{name: _over(value, defaults.get(name)) for name, value in values.items()}, **missing}
