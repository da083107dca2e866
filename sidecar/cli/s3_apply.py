"""Sets what ``sidecar s3 --apply`` is asked for: reads what is there, merges, shows, asks, writes, looks."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from sidecar.core import bucket_rules
from sidecar.core.bucket_rules import Document, is_same
from sidecar.core.clock import SystemClock
from sidecar.core.errors import ErrorKind, FatalError, SidecarError
from sidecar.core.s3_access import BucketUse, Statement
from sidecar.settings import Settings
from sidecar.upload.s3.bucket_setup import BucketSetup, open_setup
from sidecar.upload.s3.endpoint import s3_config


class Refused(Exception):  # noqa: N818 - it ends the command and is no failure of ours
    """It was not set; the message is one sentence."""

    def __init__(self, message: str, *, exit_status: int = 1) -> None:
        """``exit_status`` is the command's."""
        super().__init__(message)
        self.exit_status = exit_status


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """How one thing of a bucket is read, made of what is there, and written; ``right`` is what that needs."""

    read: Callable[[BucketSetup], Awaitable[Any]]
    merge: Callable[[Any], Any]
    write: Callable[[BucketSetup, Any], Awaitable[None]]
    right: str


def policy_change(ours: list[Statement], use: BucketUse) -> Change:
    """Put our statements into the bucket's policy."""
    return Change(
        read=BucketSetup.policy,
        merge=lambda there: bucket_rules.merged_policy(there, ours, use),
        write=BucketSetup.put_policy,
        right="s3:GetBucketPolicy and s3:PutBucketPolicy",
    )


def cors_change(rule: Document) -> Change:
    """Put our rule behind those of others."""
    return Change(
        read=BucketSetup.cors,
        merge=lambda there: bucket_rules.merged_rules(there, [rule]),
        write=BucketSetup.put_cors,
        right="s3:GetBucketCORS and s3:PutBucketCORS",
    )


def lifecycle_change(rules: list[Document]) -> Change:
    """Put our rules behind those of others."""
    return Change(
        read=BucketSetup.lifecycle,
        merge=lambda there: bucket_rules.merged_rules(there, rules),
        write=BucketSetup.put_lifecycle,
        right="s3:GetLifecycleConfiguration and s3:PutLifecycleConfiguration",
    )


def encryption_change(rule: Document, *, replace: bool) -> Change:
    """Set the default encryption; ``replace``: also where somebody chose another one."""

    def merge(there: Document | None) -> Document:
        if not (replace or bucket_rules.is_default_encryption(there) or is_same(there, rule)):
            raise Refused(f"somebody chose another encryption: {json.dumps(there)}; see --replace")
        return rule

    return Change(
        read=BucketSetup.encryption,
        merge=merge,
        write=BucketSetup.put_encryption,
        right="s3:GetEncryptionConfiguration and s3:PutEncryptionConfiguration",
    )


def apply(
    settings: Settings, profile: str | None, change: Change, *, confirm: Callable[[], bool] | None
) -> None:
    """Make the change, and print what was there before and what is there now. Raises Refused."""
    try:
        asyncio.run(_apply(_as(settings, profile), change, confirm))
    except FatalError as error:
        raise Refused(str(error), exit_status=error.exit_status) from None
    except SidecarError as error:
        needs = f"; it needs {change.right}" if error.kind is ErrorKind.FORBIDDEN else ""
        raise Refused(f"{error}{needs}") from None


def _as(settings: Settings, profile: str | None) -> Settings:
    """Take a profile's credentials in the place of the settings' own."""
    if profile is None:
        return settings
    none = dict.fromkeys(("access_key_id", "secret_access_key", "session_token"))
    return settings.model_copy(update={"s3": settings.s3.model_copy(update={**none, "profile": profile})})


async def _apply(settings: Settings, change: Change, confirm: Callable[[], bool] | None) -> None:
    config = await asyncio.to_thread(s3_config, settings.s3)
    async with open_setup(config, clock=SystemClock()) as setup:
        before = await change.read(setup)
        after = change.merge(before)
        if is_same(before, after):
            print(json.dumps({"before": before, "after": before, "changed": False}, indent=2))
            return
        if confirm is not None:
            print(json.dumps({"before": before, "after": after}, indent=2), file=sys.stderr)
            if not confirm():
                raise Refused("nothing was set")
        await change.write(setup, after)
        found = await change.read(setup)
        print(json.dumps({"before": before, "after": found, "changed": True}, indent=2, default=str))
        if not is_same(found, after):
            print("sidecar: the store keeps it in other words; compare `after`", file=sys.stderr)
