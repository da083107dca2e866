"""What a program may say of an asset: what no remote would take is refused before anything of it is kept."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping

from .asset_metadata import MetadataRefusedError, check_size, problem_with_name
from .model import AssetType

TEXT_CHARS_MAX = 1024  # what our functions take of an id, a name, a role
CONTENT_TYPE_CHARS_MAX = 255
FIELDS_MAX = 1000  # a record of Convex holds 1,024
INDEX_MAX = 2**53 - 1  # beyond it a number of Convex skips integers


def require_text(what: str, text: object, *, chars_max: int = TEXT_CHARS_MAX) -> None:
    """Raise TypeError for what is no text, ValueError for one that no remote holds; ``what`` names it."""
    if not isinstance(text, str):
        raise TypeError(f"{what} is a text, not {text!r}")
    if not text:
        raise ValueError(f"{what} is empty")
    if len(text) > chars_max:
        raise ValueError(f"{what} has {len(text)} characters; at most {chars_max} are taken")
    if any(unicodedata.category(char) in {"Cc", "Cs"} for char in text):
        raise ValueError(f"{what} {text!r} holds control characters, or is not UTF-8")


def require_segment(what: str, text: object) -> None:
    """Raise as ``require_text`` does, and for a text that is several segments."""
    require_text(what, text)
    if "/" in str(text):
        raise ValueError(f"{what} {text!r} is one segment, without a slash")


def require_index(index: object) -> None:
    """Raise TypeError for what is no integer, ValueError for one that cannot be told."""
    if isinstance(index, bool) or not isinstance(index, int):
        raise TypeError(f"index is an integer, not {index!r}")
    if not 0 <= index <= INDEX_MAX:
        raise ValueError(f"index is 0 to {INDEX_MAX}, not {index}")


def require_metadata(metadata: object) -> None:
    """Raise TypeError for what maps no texts to texts, ValueError for more or other than Convex takes."""
    if not isinstance(metadata, Mapping):
        raise TypeError(f"metadata is a mapping of texts, not {metadata!r}")
    for name, value in metadata.items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise TypeError(f"metadata holds texts by name, and {name!r}: {value!r} is not")
        if (problem := problem_with_name(name)) is not None:
            raise ValueError(f"metadata {name!r}: {problem}")
        if any(unicodedata.category(char) == "Cs" for char in value):
            raise ValueError(f"metadata {name!r} is not UTF-8")
    if len(metadata) > FIELDS_MAX:
        raise ValueError(f"metadata has {len(metadata)} names; at most {FIELDS_MAX} are taken")
    try:
        check_size(metadata)
    except MetadataRefusedError as error:
        raise ValueError(str(error)) from None


def asset_type_of(given: object) -> AssetType:
    """Return what an asset is. Raises ValueError for what none is."""
    try:
        return AssetType(given)  # type: ignore[arg-type]  # it says so itself
    except ValueError:
        raise ValueError(f"asset_type is one of {', '.join(AssetType)}, not {given!r}") from None
