"""What Convex takes as an asset's metadata: texts by name, all of it within a bound."""

from __future__ import annotations

import json
from collections.abc import Mapping

CHARS_MAX = 16_384  # of the JSON, in UTF-16 units: what our functions take
NAME_CHARS_MAX = 1_024  # Convex's own limit on the name of a field


class MetadataRefusedError(Exception):
    """Convex would not take the metadata; the message is one sentence for people."""


def problem_with_name(name: str) -> str | None:
    """Return why Convex takes no field of this name, None if it does."""
    if not name:
        return "an empty name is none that Convex takes"
    if name[0] in "$_":
        return f"Convex keeps names that begin with {name[0]} for itself"
    if not name.isascii() or not name.isprintable():
        return "Convex takes printable ASCII as a name"
    if len(name) > NAME_CHARS_MAX:
        return f"the name has {len(name)} characters, and Convex takes {NAME_CHARS_MAX}"
    return None


def check_size(metadata: Mapping[str, str]) -> None:
    """Raise MetadataRefusedError for metadata that is more than Convex takes with an asset."""
    text = json.dumps(metadata, ensure_ascii=False, separators=(",", ":"))
    if (size := len(text.encode("utf-16-le", "surrogatepass")) // 2) > CHARS_MAX:
        raise MetadataRefusedError(f"its metadata has {size} characters, and Convex takes {CHARS_MAX}")
