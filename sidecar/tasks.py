"""Background work on assets: thumbnails, manifests, clean-up; with the extra ``celery`` each is a task.

Where Celery is installed each is a shared task of the program's own app: ``make_thumbnail.delay(...)`` starts
it. Without it the same call runs in process. A task is acknowledged after its end, so that one whose worker
process is killed is done again; that makes no second version, because the same bytes are the same version.
What an outage fails is tried again, later and later. A worker opens its platform after its fork, for each
task, by ``config`` or SIDECAR_CONFIG.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, cast

import sidecar
from sidecar.core.errors import SidecarError
from sidecar.core.model import AssetType
from sidecar.library.errors import LibraryError
from sidecar.library.platform import Platform

RETRIES = 8
BACKOFF_SECONDS_MAX = 600
FFMPEG_SECONDS = 120
P = ParamSpec("P")
T = TypeVar("T")


def _task(function: Callable[P, T]) -> Callable[P, T]:
    """Return the function as a Celery task, where Celery is installed: it is called as before."""
    try:
        from celery import shared_task  # noqa: PLC0415 - an extra
    except ModuleNotFoundError:
        return function
    made = shared_task(
        name=f"sidecar.tasks.{function.__name__}",
        acks_late=True,
        reject_on_worker_lost=True,
        track_started=True,
        autoretry_for=(SidecarError, OSError),
        max_retries=RETRIES,
        retry_backoff=True,
        retry_backoff_max=BACKOFF_SECONDS_MAX,
        retry_jitter=True,
    )
    return cast("Callable[P, T]", made(function))


@_task
def make_thumbnail(
    video: str,
    scene_id: str,
    session_id: str,
    *,
    at_seconds: float = 0.0,
    width: int = 640,
    config: str | None = None,
) -> str:
    """Take a picture out of a video, store it as the scene's thumbnail, and return the asset's id.

    Needs ffmpeg in PATH, or the extra ``demo``. Raises LibraryError for a video without such a picture.
    """
    with tempfile.TemporaryDirectory(prefix="sidecar-thumbnail-") as folder:
        picture = Path(folder, f"{Path(video).stem}.png")
        _take_picture(video, picture, at_seconds=at_seconds, width=width)
        with _open(config) as platform:
            stored = platform.assets.store_scene_asset_sync(
                scene_id, AssetType.THUMBNAIL, picture, session_id=session_id
            )
    return stored.id


@_task
def write_manifest(session_id: str, *, key_prefix: str | None = None, config: str | None = None) -> str:
    """Store a list of a session's assets as its manifest, and return the asset's id.

    It holds key, size, checksum and version of each object below ``key_prefix``, by default the session's id,
    that Convex shows; not the manifest itself.
    """
    with _open(config) as platform, tempfile.TemporaryDirectory(prefix="sidecar-manifest-") as folder:
        entries = platform.storage.get_asset_manifest_sync(key_prefix or f"{session_id}/")
        listed = [
            {"key": one.key, "size": one.size, "checksum": one.checksum, "version": one.asset.version}
            for one in entries
            if one.asset is not None
            and one.asset.s3_key == one.key
            and one.asset.asset_type is not AssetType.MANIFEST
        ]
        file = Path(folder, "manifest.json")
        file.write_text(json.dumps({"sessionId": session_id, "assets": listed}, indent=1))
        return platform.assets.store_session_asset_sync(session_id, AssetType.MANIFEST, file).id


@_task
def clean_up_scene(scene_id: str, session_id: str, *, config: str | None = None) -> list[str]:
    """Remove all assets of a scene, and return the ids of those that went: none the second time."""
    with _open(config) as platform:
        gone = platform.assets.cleanup_scene_assets_sync(scene_id, session_id=session_id)
    return [one.id for one in gone]


def _open(config: str | None) -> Platform:
    return sidecar.open(config or os.environ.get("SIDECAR_CONFIG"))


def _take_picture(video: str, picture: Path, *, at_seconds: float, width: int) -> None:
    seek = ["-ss", str(at_seconds), "-i", f"file:{video}"]
    made = ["-frames:v", "1", "-vf", f"scale={width}:-2", "-y", f"file:{picture}"]
    done = subprocess.run(
        [_ffmpeg(), "-nostdin", "-v", "error", *seek, *made],
        capture_output=True, text=True, timeout=FFMPEG_SECONDS, check=False,
    )  # fmt: skip
    if done.returncode or not picture.is_file():
        words = done.stderr.strip()[-300:] or "it has no picture there"
        raise LibraryError(f"no thumbnail of {video} at {at_seconds} s: {words}")


def _ffmpeg() -> str:
    if (found := shutil.which("ffmpeg")) is not None:
        return found
    try:
        import imageio_ffmpeg  # noqa: PLC0415 - an extra
    except ModuleNotFoundError:
        raise LibraryError("thumbnails need ffmpeg in PATH, or pip install 'render-sidecar[demo]'") from None
    path: Any = imageio_ffmpeg.get_ffmpeg_exe()
    return str(path)
