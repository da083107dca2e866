"""The whole configuration as one frozen value; attribute names are the file's keys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field, PrivateAttr

from .convex import Convex
from .daemon import (
    JournalSettings,
    LocalFiles,
    LoggingSettings,
    ReconcileSettings,
    Retention,
    RetrySettings,
    ShutdownSettings,
    StatusSettings,
)
from .environments import Environment
from .s3 import S3, Upload
from .types import Section, word
from .urls import Urls
from .watch import Entities, Rule, Watch

_SIDECAR_ID = "write 1 to 128 letters, digits and . _ : @ -, such as render-7"


class Settings(Section):
    """What one sidecar does. ``load`` and ``from_mapping`` also check one key against another."""

    sidecar_id: Annotated[str, word(r"[A-Za-z0-9][A-Za-z0-9._:@-]{0,127}", _SIDECAR_ID)] | None = None
    """Who this sidecar is, for ever; default: made once beside the journal."""
    environment: Environment | None = None
    """development | staging | production: other defaults for keys that are not written; null: none."""
    https_only: bool = False
    """Whether an address of S3, Convex or the CDN that is not https is a mistake."""
    watch: tuple[Watch, ...] = Field(json_schema_extra={"minItems": 1})
    """The folders that renderers write into."""
    preset: Literal["lesson", "manim", "none"] = "lesson"
    """Rules that come after yours."""
    rules: tuple[Rule, ...] = ()
    """What paths mean; the first match wins."""
    entities: Entities = Field(default_factory=Entities)
    """How paths name sessions and scenes."""
    s3: S3
    """Where bytes go."""
    upload: Upload = Field(default_factory=Upload)
    """How uploads share the machine and the line."""
    convex: Convex = Field(default_factory=Convex)
    """Where metadata goes."""
    urls: Urls = Field(default_factory=Urls)
    """Addresses that the library gives out."""
    journal: JournalSettings = Field(default_factory=JournalSettings)
    """What is remembered."""
    retry: RetrySettings = Field(default_factory=RetrySettings)
    """When to try again."""
    shutdown: ShutdownSettings = Field(default_factory=ShutdownSettings)
    """What SIGTERM may take."""
    local_files: LocalFiles = Field(default_factory=LocalFiles)
    """What becomes of the renderer's files."""
    removal: Literal["keep", "tombstone", "delete"] = "keep"
    """What a deleted local file means to S3 and Convex; keep: nothing."""
    reconcile: ReconcileSettings = Field(default_factory=ReconcileSettings)
    """Comparing journal, bucket and Convex."""
    retention: Retention = Field(default_factory=Retention)
    """How long history stays."""
    status: StatusSettings = Field(default_factory=StatusSettings)
    """The local endpoint."""
    logging: LoggingSettings = Field(default_factory=LoggingSettings)
    """What is written to standard output."""

    _warnings: tuple[str, ...] = PrivateAttr(default=())

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences about what is allowed but probably not meant."""
        return self._warnings

    def warn(self, sentences: Sequence[str]) -> Settings:
        """Keep sentences to be shown once these settings take effect; return the settings."""
        self._warnings = (*self._warnings, *sentences)
        return self
