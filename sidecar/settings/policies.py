"""Turns settings into the plain values of core."""

from __future__ import annotations

from sidecar.core import presets
from sidecar.core.routing import Router
from sidecar.core.rules import Ids, Root, RoutingRule

from .model import Settings
from .watch import Rule as RuleSettings


def build_router(settings: Settings) -> Router:
    """Return the router of these settings: the user's rules, then the preset's."""
    return Router(
        roots=router_roots(settings),
        rules=router_rules(settings),
        ids=router_ids(settings),
        priority=settings.upload.priority,
    )


def router_rules(settings: Settings) -> tuple[RoutingRule, ...]:
    """Return all rules, the user's first."""
    return (*(_rule(rule) for rule in settings.rules), *presets.PRESETS[settings.preset])


def router_roots(settings: Settings) -> tuple[Root, ...]:
    """Return the roots with what the preset ignores besides."""
    besides = presets.IGNORED_FINAL[settings.preset]
    return tuple(
        Root(
            path=watch.root,
            fields=watch.fields,
            ignore=(*watch.ignore, *(besides if watch.chunks == "final" else ())),
            scratch=presets.SCRATCH[settings.preset],
        )
        for watch in settings.watch
    )


def router_ids(settings: Settings) -> Ids:
    """Return the templates of ids and keys."""
    entities = settings.entities
    return Ids(session_id=entities.session_id, scene_id=entities.scene_id, key=settings.s3.key)


def _rule(rule: RuleSettings) -> RoutingRule:
    return RoutingRule(
        match=rule.match,
        asset_type=rule.asset_type,
        entity=rule.entity,
        role=rule.role,
        name=rule.name,
        key=rule.key,
        priority=rule.priority,
        content_type=rule.content_type,
        cache_control=rule.cache_control,
        settle_seconds=rule.settle,
        check_structure=rule.structure == "on",
        heeds_playlists=rule.playlist == "auto",
        metadata=rule.metadata,
        tags=rule.tags,
        storage_class=rule.storage_class,
        content_disposition=rule.content_disposition,
    )
