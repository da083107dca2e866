"""Settings of Convex: where it is, who we are to it, how ops are gathered."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from .secret import Secret, from_files
from .types import HttpUrl, PositiveSeconds, Seconds, Section

OPS_MAX = 100


class JwtAuth(Section):
    """Five-minute ES256 tokens that the sidecar signs with its own key; Convex knows the public one."""

    mode: Literal["jwt"]
    """Tokens signed here."""
    issuer: Annotated[str, Field(min_length=1)]
    """The token's iss, such as https://render.example.com; in Convex SIDECAR_JWT_ISSUER, to the letter."""
    audience: Annotated[str, Field(min_length=1)]
    """The token's aud, such as render-sidecar; in Convex SIDECAR_JWT_AUDIENCE, to the letter."""
    private_key: Secret | None = None
    """PEM of the ES256 key, as `sidecar convex keys new` makes it."""
    private_key_file: Path | None = None
    """File with that PEM; read again when it changes."""

    @model_validator(mode="before")
    @classmethod
    def _secrets(cls, values: Any) -> Any:
        return from_files(values, "private_key")

    @model_validator(mode="after")
    def _has_key(self) -> JwtAuth:
        if self.private_key is None:
            raise ValueError("jwt needs private_key_file; `sidecar convex keys new --out FILE` makes one")
        return self


class TokenFileAuth(Section):
    """Tokens that somebody else mints and leaves in a file, such as a projected service account token."""

    mode: Literal["token_file"]
    """Tokens found in a file."""
    token_file: Path
    """The file; read again when it changes."""

    @property
    def token(self) -> Secret:
        """The token."""
        return Secret(path=self.token_file)


class DeployKeyAuth(Section):
    """A deploy key that is scoped to running internal functions. Second choice; never an unscoped one."""

    mode: Literal["deploy_key"]
    """A scoped deploy key."""
    deploy_key: Secret | None = None
    """The key."""
    deploy_key_file: Path | None = None
    """File with the key; read again when it changes."""

    @model_validator(mode="before")
    @classmethod
    def _secrets(cls, values: Any) -> Any:
        return from_files(values, "deploy_key")

    @model_validator(mode="after")
    def _has_key(self) -> DeployKeyAuth:
        if self.deploy_key is None:
            raise ValueError(
                "deploy_key needs deploy_key or deploy_key_file; Convex's dashboard makes the key"
            )
        return self


class NoAuth(Section):
    """No credentials: works only against `sidecar dev` on this machine."""

    mode: Literal["none"]
    """Nothing."""


ConvexAuth = Annotated[JwtAuth | TokenFileAuth | DeployKeyAuth | NoAuth, Field(discriminator="mode")]


class BatchSettings(Section):
    """How ops are gathered into one call."""

    ops: Annotated[int, Field(ge=1, le=OPS_MAX)] = OPS_MAX
    """Most ops in a call."""
    wait: Seconds = 0.2
    """Longest that ops gather while files of their session wait to be uploaded; else they go at once."""


class Convex(Section):
    """The deployment that holds the metadata."""

    url: HttpUrl | None = None
    """The deployment's URL, such as https://happy-otter-123.convex.cloud; required unless sync is off."""
    auth: ConvexAuth | None = None
    """Who we are to it; required unless sync is off."""
    module: Annotated[str, Field(pattern=r"^[A-Za-z]\w*$")] = "sidecar"
    """Module of the functions that sidecars call, as `sidecar convex install --module` wrote it."""
    sync: Literal["on", "shadow", "off"] = "on"
    """off: only S3; nothing is told."""
    batch: BatchSettings = Field(default_factory=BatchSettings)
    """How ops are gathered."""
    timeout: PositiveSeconds = 10.0
    """How long a call may stand still; one that moves takes as long as it takes."""
    on_refused: Literal["keep", "delete"] = "keep"
    """keep: the object stays beside its dead letter. delete: the upload is taken back, if nobody shows it."""
    on_unknown_entity: Literal["create", "wait"] = "create"
    """What an asset does whose session or scene Convex does not know: make them, or wait for them."""
