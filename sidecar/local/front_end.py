"""The page of ``--open``: the React example, built on this machine, and a viewer who is signed in."""

from __future__ import annotations

import secrets
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import jwt
from cryptography.hazmat.primitives.asymmetric import ec

from sidecar.sync import signing_keys
from sidecar.sync.install import REACT, install_react

from .child import ServerError
from .convex_modules import find_node, modules_folder
from .convex_server import JwtTrust
from .page_server import PageServer

EXAMPLE = REACT / "example"
_SCRIPT, _STYLE = "/main.js", '<link rel="stylesheet" href="/main.css" />'
_FLAGS = ("--bundle", "--minify", "--format=esm", "--jsx=automatic", "--log-level=warning", "--target=es2022")
_AUDIENCE = "render-sidecar-page"
_TOKEN_SECONDS = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """What the page shows; without a session it asks for one. ``first``: the number of the first chunk."""

    session_id: str = ""
    first: int = 0


class Viewer:
    """Whoever looks at the page, as the application's own backend would sign them in."""

    def __init__(self) -> None:
        """Make a key that ends with this process."""
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._issuer = f"https://{secrets.token_hex(4)}.viewers.localhost"

    @property
    def trust(self) -> JwtTrust:
        """What Convex must know."""
        uri = signing_keys.jwks_data_uri([self._key])
        return JwtTrust(issuer=self._issuer, jwks_data_uri=uri, audience=_AUDIENCE)

    def token(self) -> str:
        """Return a token that Convex accepts for five minutes."""
        now = int(time.time())
        claims = {
            "iss": self._issuer,
            "aud": _AUDIENCE,
            "sub": "you",
            "iat": now,
            "exp": now + _TOKEN_SECONDS,
        }
        return jwt.encode(claims, self._key, algorithm="ES256", headers={"kid": signing_keys.kid(self._key)})


@contextmanager
def serving(folder: Path, lesson: Lesson, *, convex_url: str, viewer: Viewer) -> Iterator[PageServer]:
    """Build the page below ``folder`` and serve it for the block. Raises ServerError."""
    settings = {"convexUrl": convex_url, "sessionId": lesson.session_id, "first": str(lesson.first)}
    with PageServer(build(folder), settings=settings, token=viewer.token) as server:
        yield server


def build(folder: Path) -> Path:
    """Build the page with the local Convex server's modules; return the folder. Raises ServerError."""
    node = find_node()
    source, target = folder / "source", folder / "page"
    shutil.copytree(EXAMPLE, source)
    install_react(source / "src" / "sidecar")  # as a user does
    (source / "node_modules").symlink_to(modules_folder(node=node) / "node_modules")
    esbuild = [node.binary, "node_modules/esbuild/bin/esbuild", "src/main.tsx", *_FLAGS, f"--outdir={target}"]
    production = '--define:process.env.NODE_ENV="production"'
    done = subprocess.run([*esbuild, production], cwd=source, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ServerError(f"the page could not be built: {done.stderr.strip()}")
    html = (source / "index.html").read_text("utf-8")
    html = html.replace("/src/main.tsx", _SCRIPT).replace("</head>", f"{_STYLE}</head>")
    (target / "index.html").write_text(html, "utf-8")
    return target
