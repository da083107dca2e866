"""Reads from the settings what they make of the bucket: where keys lie, tags, encryption, history."""

from __future__ import annotations

from collections.abc import Sequence

from sidecar.core.bucket_rules import History
from sidecar.core.key_areas import KeyArea, area
from sidecar.core.s3_access import BucketUse
from sidecar.core.templates import Template

from .model import Settings


class SharedKeysError(Exception):
    """Keys of different projects lie beside each other; the message is one sentence with a hint."""


def bucket_use(settings: Settings, *, region: str, projects: Sequence[str] = ()) -> BucketUse:
    """Return what these settings make of the bucket; ``projects``: of these alone, none: of whatever comes.

    Raises SharedKeysError where the keys of these projects lie among others'.
    """
    encryption = settings.s3.encryption
    return BucketUse(
        bucket=settings.s3.bucket,
        region=region,
        areas=tuple(_areas(settings, projects)),
        projects=tuple(sorted(projects)),
        tags=any(rule.tags for rule in settings.rules),
        encryption=encryption.mode,
        kms_key=encryption.kms_key_id,
    )


def history(settings: Settings) -> History:
    """Return how long old versions stay, as ``retention.superseded`` says."""
    superseded = settings.retention.superseded
    unique = all("{transfer}" in template for template in _templates(settings))
    return History(seconds=superseded.for_, kept=None if unique else superseded.keep)


def _areas(settings: Settings, projects: Sequence[str]) -> list[KeyArea]:
    session_id = Template(settings.entities.session_id)
    # Of a program that uses the library no folder says anything beforehand.
    pins: list[dict[str, str]] = [dict(watch.fields) for watch in settings.watch] or [{}]
    pinned = {fields.get("project") for fields in pins}
    if None not in pinned and (others := set(projects) - pinned):
        raise SharedKeysError(f"no root of these settings is pinned to the project {min(others)}")
    if projects:
        pins = [{**pinned, "project": project} for pinned in pins for project in projects]
    areas = {
        area(Template(template), fields, session_id) for template in _templates(settings) for fields in pins
    }
    if projects and (shared := [one for one in areas if not one.of_project]):
        where = f"below {shared[0].folder}" if shared[0].folder else "anywhere in the bucket"
        message = f"keys of a project may lie {where}, among others': let s3.key begin with {{project}}/"
        raise SharedKeysError(message)
    return sorted(areas, key=lambda one: one.folder)


def _templates(settings: Settings) -> list[str]:
    return [settings.s3.key, *(rule.key for rule in settings.rules if rule.key)]
