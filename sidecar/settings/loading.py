"""Turns bytes into settings, and reports every mistake at once."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from . import checks, environments, secret_files, unsupported
from .document import EXAMPLE, Document, parse, read_text, unusable
from .model import Settings
from .overrides import Overrides, override
from .problems import Key, Problem, SettingsError, dotted
from .validation_errors import explain


def load(path: Path | None, *, environ: Mapping[str, str], watching: bool = True) -> Settings:
    """Return the settings of a file (None: of the environment alone) under the environment's overrides.

    Without ``watching`` no folder has to be named. Raises SettingsError with every mistake that could be
    found.
    """
    document = Document("environment", values={}) if path is None else _read(path, environ)
    if document.values is None and document.problems:
        raise SettingsError(document.problems)
    values, overrides = override(document.values, environ, top_level=frozenset(Settings.model_fields))
    return _build(values, document, overrides, watching=watching)


def from_mapping(values: Mapping[str, Any], *, watching: bool = True) -> Settings:
    """Return the settings of a mapping that was built in code, as ``load`` says. Raises SettingsError."""
    return _build(dict(values), Document(""), Overrides(), watching=watching)


def _read(path: Path, environ: Mapping[str, str]) -> Document:
    name, text = str(path), read_text(path)
    document = parse(name, text, environ)
    if document.values is None and not document.problems:
        raise unusable(name, f"is empty; {EXAMPLE}")
    if document.values is not None and not isinstance(document.values, dict):
        raise unusable(
            f"{name}:1:1", f"must hold keys such as watch: and s3:, not a list or plain text; {EXAMPLE}"
        )
    return document


def _build(values: Any, document: Document, overrides: Overrides, *, watching: bool) -> Settings:
    if not watching and isinstance(values, dict):
        values = {"watch": [], **values}
    settings, findings = _validated(environments.with_defaults(values), watching=watching)
    known = {problem.key for problem in document.problems}
    problems = [*document.problems, *overrides.problems]
    problems += [
        _located(key, message, document, overrides) for key, message in findings if dotted(key) not in known
    ]
    if problems or settings is None:
        raise SettingsError(sorted(dict.fromkeys(problems), key=lambda problem: problem.place))
    return settings.warn(
        [
            *overrides.warnings,
            *checks.advise(settings),
            *unsupported.idle(settings),
            *secret_files.noted(settings),
        ]
    )


def _located(key: Key, message: str, document: Document, overrides: Overrides) -> Problem:
    for length in range(len(key), 0, -1):
        if variable := overrides.names.get(key[:length]):
            return Problem(where=f"environment variable {variable}", key=dotted(key), message=message)
    place = document.place(key)
    where = document.at(place) if document.places else document.name
    return Problem(where=where, key=dotted(key), message=message, place=place)


def _validated(values: Any, *, watching: bool) -> tuple[Settings | None, list[tuple[Key, str]]]:
    """Validate; where keys are wrong, check the others against each other all the same."""
    findings: list[tuple[Key, str]] = []
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        findings = list(dict.fromkeys(explain(error, values)))
        try:
            settings = Settings.model_validate(_repaired(values, [key for key, _ in findings]))
        except ValidationError:
            return None, findings
    wrong = {key for key, _ in findings}
    others = (
        *checks.check(settings, watching=watching),
        *unsupported.refused(settings),
        *secret_files.refused(settings),
    )
    findings += [(key, message) for key, message in others if not _touches(key, wrong)]
    return settings, findings


def _touches(key: Key, wrong: set[Key]) -> bool:
    """Whether a finding may only be there because a wrong key was left out."""
    return any(key[: len(other)] == other or other[: len(key)] == key for other in wrong)


_STAND_INS: dict[str | int, Any] = {  # for required keys
    "asset_type": "manifest",
    "bucket": "stand-in",
    "entity": "session",
    "match": "stand-in",
    "root": "/stand-in",
    "s3": {"bucket": "stand-in"},
    "watch": [{"root": "/stand-in"}],
}


def _repaired(values: Any, wrong: list[Key]) -> Any:
    """Return the values without the wrong ones; what is required gets a stand-in."""
    repaired = copy.deepcopy(values)
    for key in wrong:
        above = _at(repaired, key[:-1])
        if isinstance(above, dict) and key:
            above.pop(key[-1], None)
            if key[-1] in _STAND_INS:
                above[key[-1]] = _STAND_INS[key[-1]]
    return repaired


def _at(values: Any, key: Key) -> Any:
    """Return what is there, or None where a repair took it away."""
    for step in key:
        if isinstance(values, dict):
            values = values.get(step)
        elif isinstance(values, list | tuple) and isinstance(step, int) and step < len(values):
            values = values[step]
        else:
            return None
    return values
