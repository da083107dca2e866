"""Reads what each key is for from the docstring below its field, once somebody asks.

pydantic can do the same whenever a class is made (``use_attribute_docstrings``). That reads and parses the
sources at each start, for a text that only mistakes and the JSON Schema show.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator
from functools import cache
from itertools import pairwise

from pydantic import BaseModel
from pydantic.fields import FieldInfo


@cache
def described(section: type[BaseModel]) -> dict[str, FieldInfo]:
    """Return a section's fields by their keys in the file, with their descriptions."""
    for name, text in _docstrings(section):
        section.model_fields[name].description = text
    return {field.alias or name: field for name, field in section.model_fields.items()}


def _docstrings(section: type[BaseModel]) -> Iterator[tuple[str, str]]:
    try:
        (parsed,) = ast.parse(textwrap.dedent(inspect.getsource(section))).body
    except OSError:  # installed without sources
        return
    body = parsed.body if isinstance(parsed, ast.ClassDef) else []
    for field, below in pairwise(body):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(below, ast.Expr)
            and isinstance(below.value, ast.Constant)
            and isinstance(below.value.value, str)
        ):
            yield field.target.id, inspect.cleandoc(below.value.value)
