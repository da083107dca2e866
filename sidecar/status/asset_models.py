"""What the endpoint says of single files: transfers, one path explained, what a wait names."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from sidecar.core.account import FileClass
from sidecar.core.findings import Finding
from sidecar.core.model import AssetType, EntityType, State
from sidecar.core.removal import RemovalState

from .models import Count, Instant, Model, Text


class Fault(Model):
    """Why a transfer failed last."""

    kind: Text
    message: Text
    hint: Text | None


class Asset(Model):
    """A transfer: one version of one file on its way."""

    id: int = Field(description="The journal's row; pages go by it.")
    transfer: str
    path: Text = Field(description="Absolute.")
    project_id: Text
    session_id: Text
    entity_type: EntityType
    entity_id: Text
    asset_type: AssetType
    name: Text
    index: int | None
    state: State
    bucket: Text
    key: Text
    size: Count
    checksum: str | None
    content_type: str
    version: int | None = Field(description="Convex's version of the slot.")
    failures: Count = Field(description="Attempts spent.")
    discovered_at: Instant
    ready_at: Instant | None
    uploaded_at: Instant | None
    synced_at: Instant | None
    removal: RemovalState | Literal["removed"] | None = Field(description="What its file's absence led to.")
    error: Fault | None


class AssetPage(Model):
    """A page of transfers in the order of their discovery."""

    assets: list[Asset]
    next: int | None = Field(description="Pass it as `after`; null on the last page.")


class HistoryEvent(Model):
    """Something that happened to a transfer."""

    at: Instant
    event: str
    detail: Text | None


class Explanation(Model):
    """Everything about one path."""

    path: Text = Field(description="Absolute, as it was understood.")
    root: Text | None
    verdict: Text = Field(description="One sentence.")
    file_class: FileClass | None = Field(
        serialization_alias="class", description="What became of it; null: no file is there."
    )
    finding: Finding | None = Field(description="What is there now.")
    state: State | None = Field(description="Of the newest transfer.")
    steps: list[Text] = Field(description="How the verdict came about, in order.")
    asset: Asset | None = Field(description="The newest transfer.")
    history: list[HistoryEvent]
    older: list[Asset] = Field(description="Earlier transfers, newest first.")


class Owed(Model):
    """A file, or a root, that is not delivered."""

    path: Text
    file_class: FileClass | None = Field(
        serialization_alias="class", description="null: no file, but a root or what is unseen."
    )
    state: str = Field(description="A transfer's state, what the watch finds, or why a root is away.")
    why: Text


class Delivered(Model):
    """What is in S3 and known to Convex."""

    files: Count
    bytes: Count


class WaitReply(Model):
    """What became of everything that was asked for."""

    result: Literal["synced", "failed", "timeout"]
    verdict: Text
    waited_seconds: float
    failed: list[Owed] = Field(description="What will not be delivered without help, at most 20 of it.")
    failed_files: Count = Field(description="How much that is.")
    owed: list[Owed] = Field(description="What still may be, when the time was over, at most 20 of it.")
    owed_files: Count = Field(description="How much that is.")
    unfinished: dict[State, Count]
    delivered: Delivered = Field(description="Of what was asked for, also files that are gone since.")
    summary: str = Field(description="The same as one line.")
