"""``sidecar convex install | keys``: the Convex side's functions, and the keys that it trusts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, NoReturn

import typer

app = typer.Typer(help="Install the Convex functions; make and publish keys.", no_args_is_help=True)
keys_app = typer.Typer(help="The ES256 keys that sign this sidecar's tokens.", no_args_is_help=True)
app.add_typer(keys_app, name="keys")

FAILED = 1


@app.command("install")
def install_(
    into: Annotated[Path | None, typer.Option(help="Your Convex project's convex folder.")] = None,
    *,
    react: Annotated[
        Path | None, typer.Option(help="A new folder in your front end, for the React hooks and the player.")
    ] = None,
    force: Annotated[
        bool,
        typer.Option(
            "--force", help="Overwrite our own files that were edited; never a file that is not ours."
        ),
    ] = False,
    create: Annotated[
        bool, typer.Option("--create", help="Write also where nothing says that this is a Convex project.")
    ] = False,
) -> None:
    """Write the sidecar's functions into your Convex project and say what to add to its schema.

    With --react also, or only, the hooks and the player for your front end.
    """
    from sidecar.sync import install as module

    if into is None and react is None:
        _fail("say where: --into convex writes the functions, --react src/sidecar the hooks and the player")
    try:
        if into is not None:
            if not create:
                module.require_project(into)
            results = module.install(into, force=force)
            print("\n".join(module.describe(results)))
        if react is not None:
            print("\n".join(module.describe_react(module.install_react(react, force=force))))
    except module.InstallError as error:
        _fail(str(error))


@keys_app.command("new")
def new(
    out: Annotated[Path, typer.Option(help="File to write; it must not exist yet.")],
    *,
    json_output: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Make a private key (P-256, PEM, mode 0600) and print what Convex must know of it."""
    from sidecar.sync import signing_keys

    try:
        kid = signing_keys.create(out)
        uri = signing_keys.jwks_data_uri([signing_keys.read(out)])
    except signing_keys.KeyFileError as error:
        _fail(str(error))
    if json_output:
        print(json.dumps({"kid": kid, "file": str(out), "jwks_data_uri": uri}))
        return
    print(f"kid {kid}")
    print(f"The private key is in {out}: name it in convex.auth.private_key_file, and keep it secret.")
    print(_environment(uri))


@keys_app.command("jwks")
def jwks(
    files: Annotated[list[Path], typer.Argument(help="Private key files; several during a rotation.")],
    *,
    json_output: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Print the public keys as a key set; what to do with it goes to standard error."""
    from sidecar.sync import signing_keys

    try:
        loaded = [signing_keys.read(path) for path in files]
    except signing_keys.KeyFileError as error:
        _fail(str(error))
    uri = signing_keys.jwks_data_uri(loaded)
    if json_output:
        print(json.dumps({"jwks": signing_keys.jwks(loaded), "jwks_data_uri": uri}))
        return
    print(json.dumps(signing_keys.jwks(loaded), indent=2))
    typer.echo(_environment(uri), err=True)


def _environment(uri: str) -> str:
    return f"""Convex needs, once for each deployment:
  npx convex env set SIDECAR_JWT_ISSUER   https://render.example.com   # as convex.auth.issuer here
  npx convex env set SIDECAR_JWT_AUDIENCE render-sidecar               # as convex.auth.audience here
  npx convex env set SIDECAR_JWKS_DATA_URI '{uri}'"""


def _fail(message: str) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(FAILED)
