"""``sidecar convex install | migrate | keys``: the Convex side's functions, and the keys that it trusts."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from . import common
from .config import BAD_CONFIGURATION
from .convex_migrate import migrate_

app = typer.Typer(help="Install the Convex functions; make and publish keys.", no_args_is_help=True)
keys_app = typer.Typer(help="The ES256 keys that sign this sidecar's tokens.", no_args_is_help=True)
app.add_typer(keys_app, name="keys")
app.command("migrate")(migrate_)

FAILED = 1
Config = Annotated[
    Path | None,
    typer.Option("--config", "-c", envvar="SIDECAR_CONFIG", help="The configuration; of it convex is read."),
]


@app.command("install")
def install_(
    into: Annotated[Path | None, typer.Option(help="Your Convex project's convex folder.")] = None,
    *,
    module: Annotated[
        str, typer.Option(help="File and folder of the wrappers; sidecars name it in convex.module.")
    ] = "sidecar",
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
    """Write the sidecar's component and its wrappers into your Convex project, and say what is left to do.

    With --react also, or only, the hooks and the player for your front end.
    """
    from sidecar.sync import install as installing

    if into is None and react is None:
        _fail("say where: --into convex writes the functions, --react src/sidecar the hooks and the player")
    try:
        if into is not None:
            if not create:
                installing.require_project(into)
            results = installing.install(into, module=module, force=force)
            print("\n".join(installing.describe(results, module=module)))
        if react is not None:
            print(
                "\n".join(
                    installing.describe_react(installing.install_react(react, module=module, force=force))
                )
            )
    except installing.InstallError as error:
        _fail(str(error))


@app.command("check-totals")
def check_totals(
    sessions: Annotated[list[str], typer.Argument(metavar="SESSION...", help="Ids of the sessions.")],
    *,
    config: Config = None,
    json_output: common.Json = False,
) -> None:
    """Count the assets of sessions again, in Convex, and set their totals right.

    Sidecars may go on writing meanwhile. Exit status 1 if a session could not be counted.
    """
    import asyncio

    with configuration_sentences():
        found = asyncio.run(_recounted(sessions, config))
    if json_output:
        common.print_json([fields for fields, _ in found])
    for fields, sentence in [] if json_output else found:
        print(f"{fields['session_id']}: {sentence}")
    if any(fields["outcome"] in ("changed", "failed") for fields, _ in found):
        raise typer.Exit(FAILED)


async def _recounted(sessions: list[str], config: Path | None) -> list[tuple[dict[str, Any], str]]:
    from sidecar import __version__
    from sidecar.core.clock import SystemClock
    from sidecar.settings import load
    from sidecar.sync.convex import open_store
    from sidecar.sync.totals import Recount, check_totals

    settings = load(config, environ=os.environ)
    name = settings.sidecar_id or "check-totals"
    opening = open_store(settings.convex, sidecar_id=name, clock=SystemClock(), version=__version__)
    found: list[tuple[dict[str, Any], str]] = []
    async with opening as store:
        async for one in check_totals(store, sessions):
            session_id = sessions[len(found)]
            if isinstance(one, Recount):
                found.append((asdict(one), _TOTALS[one.outcome].format(wrong=one.wrong)))
            else:
                failed = {"session_id": session_id, "outcome": "failed", "error": str(one)}
                found.append((failed, str(one)))
    return found


_TOTALS = {
    "exact": "the totals are exact.",
    "mended": "the totals were wrong and are right now; {wrong} scenes did not add up.",
    "changed": "sidecars write all the time; try again when it is quieter.",
}


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


@contextmanager
def configuration_sentences() -> Iterator[None]:
    """Say in one sentence what is wrong with the configuration."""
    from sidecar.settings import SettingsError

    try:
        yield
    except SettingsError as error:
        print(error, file=sys.stderr)
        raise typer.Exit(BAD_CONFIGURATION) from None
    except ValueError as error:
        print(f"sidecar: {error}", file=sys.stderr)
        raise typer.Exit(BAD_CONFIGURATION) from None


def _fail(message: str) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(FAILED)
