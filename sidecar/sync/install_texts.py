"""What ``sidecar convex install`` says: why it refused, and what is left to do by hand."""

from __future__ import annotations

from pathlib import Path

SCHEMA_LINES = """
Two lines for your schema.ts:

    import { sidecarTables } from "./sidecarTables";
    export default defineSchema({ ...sidecarTables, /* your tables */ });
"""
PROVIDER_LINES = """
Your auth.config was kept. Add this provider to it:

    {
      type: "customJwt",
      applicationID: process.env.SIDECAR_JWT_AUDIENCE!,
      issuer: process.env.SIDECAR_JWT_ISSUER!,
      jwks: process.env.SIDECAR_JWKS_DATA_URI!,
      algorithm: "ES256",
    }
"""
CLOSING_LINES = """
Then say in sidecarAccess.ts who may read and where each project's objects are, and set the variables that
`sidecar convex keys new` prints:

    npx convex env set SIDECAR_JWT_ISSUER https://render.example.com   # as convex.auth.issuer
    npx convex env set SIDECAR_JWT_AUDIENCE render-sidecar             # as convex.auth.audience
    npx convex env set SIDECAR_JWKS_DATA_URI ...

For addresses of a private bucket (see urlsOf in sidecarAccess.ts), a key that may do s3:GetObject:

    npx convex env set SIDECAR_S3_REGION eu-central-1
    npx convex env set SIDECAR_S3_ACCESS_KEY_ID ...
    npx convex env set SIDECAR_S3_SECRET_ACCESS_KEY ...
"""

REACT_LINES = """
In your front end, below its ConvexProvider:

    import { ScenePlayer, useSessionScenes } from "./sidecar"; // the folder that was written

Its peers are react and convex. Say in sidecarAccess.ts how a browser opens objects (urlsOf).
"""


def refusal_of_modules(paths: list[Path]) -> str:
    """Return why files that are not ours end the installation of the hooks and the player."""
    return (
        f"nothing was written, because these files are not the sidecar's, which never overwrites them:\n"
        f"{_lines(paths)}\ngive the hooks and the player a folder of their own"
    )


def refusal_of_files(paths: list[Path]) -> str:
    """Return why files that are not ours end the installation."""
    return (
        f"nothing was written, because these files are not the sidecar's, which never overwrites them:\n"
        f"{_lines(paths)}\ngive them other names: the sidecar's functions are called by theirs"
    )


def refusal_of_changes(paths: list[Path]) -> str:
    """Return why files of ours that were edited, or are newer, end the installation."""
    return (
        f"nothing was written, because these files of the sidecar were edited, or are of a newer one:\n"
        f"{_lines(paths)}\nmove your changes elsewhere, or overwrite the files with --force"
    )


def refusal_of_tables(tables: dict[str, Path]) -> str:
    """Return why tables of the application end the installation."""
    names = "\n".join(f"  {name}, in {path}" for name, path in tables.items())
    return (
        "nothing was written, because your schema defines tables by names that the sidecar's functions need:"
        f"\n{names}\nrename them, or define them from sidecarTables and its fields"
    )


def _lines(paths: list[Path]) -> str:
    return "\n".join(f"  {path}" for path in paths)
