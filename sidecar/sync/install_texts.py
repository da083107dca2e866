"""What ``sidecar convex install`` says: why it refused, and what is left to do by hand."""

from __future__ import annotations

from pathlib import Path

CONFIG_LINES = """
Your convex.config was kept. Add these two lines to it:

    import renderSidecar from "./renderSidecar/convex.config";
    app.use(renderSidecar);
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
_CLOSING = """
Nothing is to be added to your schema: the tables are the component's. Then say in sidecarAccess.ts who may
read and where each project's objects are, and set the variables that `sidecar convex keys new` prints:

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


def closing(module: str) -> str:
    """Return what is left to do by hand."""
    named = (
        ""
        if module == "sidecar"
        else f"\nand name the wrappers to each sidecar: `convex.module: {module}`.\n"
    )
    return _CLOSING + named


def other_names(stems: list[str], module: str) -> str:
    """Return by which names front ends call the queries whose files' names are the user's."""
    names = ", ".join(f"`{module}/{stem}`" for stem in stems)
    return f"\nFiles of yours have the names of ours: front ends find the sidecar's queries in {names}."


def refusal_of_files(paths: list[Path]) -> str:
    """Return why files that are not ours end the installation."""
    return (
        f"nothing was written, because these files are not the sidecar's, which never overwrites them:\n"
        f"{_lines(paths)}\ngive them other names, or give the sidecar's another one with --module"
    )


def refusal_of_changes(paths: list[Path]) -> str:
    """Return why files of ours that were edited, or are newer, end the installation."""
    return (
        f"nothing was written, because these files of the sidecar were edited, or are of a newer one:\n"
        f"{_lines(paths)}\nmove your changes elsewhere, or overwrite the files with --force"
    )


def refusal_of_earlier(path: Path) -> str:
    """Return why functions of the version before, whose tables are the application's, are left alone."""
    return (
        f"nothing was written: {path} is of a version whose tables are your application's own, and it goes on"
        " working with this sidecar; `sidecar convex migrate` moves it and its rows into the component"
    )


def refusal_of_version(version: str, least: tuple[int, int, int]) -> str:
    """Return which ``convex`` the functions need."""
    wanted = ".".join(map(str, least))
    return f"nothing was written: the functions need convex {wanted} or newer, and your project has {version}"


def _lines(paths: list[Path]) -> str:
    return "\n".join(f"  {path}" for path in paths)
