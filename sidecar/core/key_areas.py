"""Says where in a bucket keys lie, as IAM writes it: what rights are given on.

An area ends with the last whole segment that is the same for all keys of a template. ``*`` of IAM crosses
slashes, so it stands behind one: ``algebra*`` would hold the keys of algebra-2 as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from .templates import Ref, Template

_Tokens = tuple[str | Ref, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyArea:
    """``folder`` is "" (the whole bucket) or ends with a slash. ``of_project``: no other project's keys."""

    folder: str
    of_project: bool

    @property
    def pattern(self) -> str:
        """All keys in it, as IAM writes them."""
        return "".join(f"${{{char}}}" if char in "*?$" else char for char in self.folder) + "*"


def area(template: Template, fields: Mapping[str, str], session_id: Template) -> KeyArea:
    """Return where the keys of a template lie; ``fields`` are known beforehand.

    A segment with a field that is not known ends it, for it may also be dropped.
    """
    texts, of_project = list[str](), False
    *folders, _ = _segments(template, session_id)
    for tokens in folders:
        known = [fields.get(token.name) if isinstance(token, Ref) else token for token in tokens]
        if None in known:
            break
        texts.append("".join(text for text in known if text is not None) + "/")
        of_project = of_project or tokens == (Ref("project"),)
    return KeyArea(folder="".join(texts), of_project=of_project)


def _segments(template: Template, session_id: Template) -> Iterator[_Tokens]:
    for segment in template.segments:
        if segment.tokens == (Ref("session_id"),):
            yield from (inner.tokens for inner in session_id.segments)
        else:
            yield segment.tokens
