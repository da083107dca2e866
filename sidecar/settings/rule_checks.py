"""Checks what must hold between rules, pins and templates."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sidecar.core import presets
from sidecar.core.asset_metadata import problem_with_name
from sidecar.core.entities import FILE_FIELDS, Naming
from sidecar.core.pattern_syntax import RESERVED
from sidecar.core.patterns import Pattern
from sidecar.core.rules import RoutingRule
from sidecar.core.templates import Template

from .model import Settings
from .policies import router_ids, router_rules
from .problems import Key
from .watch import Entities

Findings = Iterator[tuple[Key, str]]
_ALWAYS = frozenset({"project"})  # has a default


def check_rules(settings: Settings) -> Findings:
    """Yield unknown fields of templates, and rules that cannot name what they belong to."""
    if not settings.rules and settings.preset == "none":
        yield (
            ("rules",),
            "there is none, and preset is none, so no file would be sent; write a rule or a preset",
        )
        return
    pinned = {name for watch in settings.watch for name in watch.fields} | _ALWAYS
    captured = pinned.union(*(Pattern(rule.match).fields for rule in router_rules(settings)))
    naming = Naming(router_ids(settings))
    blamed: set[str] = set()
    for name, template in (("session_id", naming.session), ("scene_id", naming.scene)):
        if template.source != Entities.model_fields[name].default:  # else the rules are to blame
            blamed.update(template.unknown(captured | FILE_FIELDS))
            yield from _unknown(("entities", name), template, captured | FILE_FIELDS)
    yield from _unknown(("s3", "key"), Template(settings.s3.key), captured | RESERVED)
    for place, rule in enumerate(settings.rules):
        known = Pattern(rule.match).fields | pinned | RESERVED
        yield from _unknown(("rules", place, "name"), Template(rule.name), known - {"transfer"})
        if rule.key:
            yield from _unknown(("rules", place, "key"), Template(rule.key), known)
        for name, value in rule.metadata.items():
            if (problem := problem_with_name(name)) is not None:
                yield ("rules", place, "metadata", name), problem
            yield from _unknown(("rules", place, "metadata", name), Template(value), known - {"transfer"})
    yield from _unnamed(settings, naming, blamed)


def _unknown(key: Key, template: Template, known: Iterable[str]) -> Findings:
    known = set(known)
    for name in template.unknown(known):
        shown = ", ".join(f"{{{field}}}" for field in sorted(known))
        if name == "transfer":
            yield key, "{transfer} cannot be used here, because it differs each time; known here: " + shown
        else:
            yield (
                key,
                f"{{{name}}} is captured by no rule here and pinned by no root; known here: {shown}",
            )


def _unnamed(settings: Settings, naming: Naming, blamed: set[str]) -> Findings:
    rules = router_rules(settings)
    for place, rule in enumerate(rules[: len(settings.rules)]):
        for at, watch in enumerate(settings.watch):
            if missing := _missing(rule, naming) - blamed - watch.fields.keys():
                need = f"captures no {_braced(missing)}, which the id of a {rule.entity} needs"
                yield ("rules", place, "match"), f"{need}; capture it, or pin it in watch[{at}].fields"
                break
    preset = presets.PRESETS[settings.preset]
    for at, watch in enumerate(settings.watch):
        missing = (
            frozenset().union(*(_missing(rule, naming) for rule in preset)) - blamed - watch.fields.keys()
        )
        if missing:
            example = ", ".join(f"{name}: my-{name}" for name in sorted(missing))
            need = f"preset {settings.preset} captures no {_braced(missing)}, which the ids in entities need"
            yield ("watch", at, "fields"), f"{need}; pin it, as fields: {{{example}}}, or write preset: none"


def _missing(rule: RoutingRule, naming: Naming) -> frozenset[str]:
    """Return the fields that the ids of the rule's entity need and that it does not capture."""
    return naming.needs(rule.entity) - Pattern(rule.match).fields


def _braced(names: Iterable[str]) -> str:
    return " and no ".join(f"{{{name}}}" for name in sorted(names))
