"""What operators ask for and get: requeueing, removals, reconciling, a scan."""

from __future__ import annotations

from pydantic import Field

from sidecar.core.errors import ErrorKind
from sidecar.core.model import AssetType
from sidecar.core.removal import RemovalState

from .models import Count, Instant, Model, Text


class RequeueRequest(Model):
    """Which dead letters: those that match all given filters; without a filter say `all`."""

    transfer: str | None = None
    path: str | None = Field(default=None, description="Absolute, or below a root.")
    error_kind: ErrorKind | None = None
    all: bool = False


class MissingFile(Model):
    """A file that is gone, and the asset that Convex still shows of it."""

    id: int = Field(description="Pages go by it.")
    path: Text = Field(description="Absolute.")
    state: RemovalState
    deletes_object: bool = Field(description="Whether its object goes, too.")
    noticed_at: Instant
    error: Text | None = Field(description="Why Convex refused.")
    transfer: str
    session_id: Text
    entity_id: Text
    asset_type: AssetType
    version: int | None


class RemovalPage(Model):
    """A page of files that are gone, in the order in which that was noticed."""

    removals: list[MissingFile]
    next: int | None = Field(description="Pass it as `after`; null on the last page.")


class RemovalRequest(Model):
    """Which files, of those that were asked about or refused."""

    path: str | None = Field(default=None, description="A file or folder: absolute, or below a root.")
    all: bool = False


class RemovalReply(Model):
    """How many removals were decided."""

    decided: Count


class ReconcileRequest(Model):
    """Whether to repair what is found."""

    apply: bool = Field(default=False, description="false: only report.")


class Inconsistency(Model):
    """A disagreement about one object key."""

    type: str
    key: Text
    repair: str = Field(description="What repairs it; none: only people can.")


class ReconcileReply(Model):
    """What a comparison of journal, bucket and Convex found."""

    applied: bool
    compared: Count = Field(description="Object keys.")
    found: dict[str, Count] = Field(description="Inconsistencies by type.")
    repaired: dict[str, Count] = Field(description="Those whose repair was journaled.")
    examples: list[Inconsistency]
    notes: list[Text]


class RequeueReply(Model):
    """How many dead letters went back to work."""

    requeued: Count


class RescanReply(Model):
    """A full scan was done."""

    seconds: float
