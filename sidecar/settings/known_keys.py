"""Lists the keys, read from the models: for suggestions, descriptions, and the tests of the example."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from .descriptions import described
from .model import Settings
from .problems import Key, dotted


def all_keys() -> list[str]:
    """Return every key there is, dotted, without places in lists."""
    return [dotted(key) for key, _ in _walk(Settings, ())]


def known_keys(key: Key) -> dict[str, FieldInfo]:
    """Return the keys that may stand below ``key``, with what is known of each."""
    models: list[type[BaseModel]] = [Settings]
    for step in key:
        if isinstance(step, str):
            fields = [described(model)[step] for model in models if step in described(model)]
            models = [model for field in fields for model in _models(field.annotation)]
    return {name: field for model in models for name, field in described(model).items()}


def sections() -> list[type[BaseModel]]:
    """Return every section there is."""
    found, below = list[type[BaseModel]](), list[type[BaseModel]]([Settings])
    while below:
        section = below.pop()
        if section not in found:
            found.append(section)
            below += [model for field in described(section).values() for model in _models(field.annotation)]
    return found


def suggestion(name: str, key: Key) -> str:
    """Say which key was probably meant by the unknown ``name`` below ``key``."""
    known = list(known_keys(key))
    if name in known:  # of a section that has several forms
        return "it belongs to another mode than the one that is written"
    elsewhere = [full for full in all_keys() if full.rpartition(".")[2] == name]
    if elsewhere:
        return f"did you mean {' or '.join(elsewhere[:3])}?"
    near = get_close_matches(name, known, n=1, cutoff=0.6)
    return f"did you mean {near[0]}?" if near else f"known here: {', '.join(known)}"


def near_word(word: object, words: Sequence[str]) -> str:
    """Return a question after the word that was probably meant, or nothing."""
    near = get_close_matches(str(word).lower(), words, n=1, cutoff=0.6)
    return f"; did you mean {near[0]}?" if near else ""


def _walk(model: type[BaseModel], key: Key) -> Iterator[tuple[Key, FieldInfo]]:
    seen: set[str] = set()
    for name, field in described(model).items():
        yield (*key, name), field
        for below in _models(field.annotation):
            for found, info in _walk(below, (*key, name)):
                if dotted(found) not in seen:
                    seen.add(dotted(found))
                    yield found, info


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    arguments = get_args(annotation)[:1] if get_origin(annotation) is Annotated else get_args(annotation)
    return [model for argument in arguments for model in _models(argument)]
