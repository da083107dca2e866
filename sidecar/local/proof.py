"""Proves whether every file arrived: each object against its file, byte for byte, and each row of Convex."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from awscrt.checksums import crc64nvme
from botocore.exceptions import BotoCoreError, ClientError

from .convex_reader import ConvexReader
from .lesson import LESSON, PROJECT, SESSION
from .renderer import Rendered
from .seaweed import SeaweedServer

SESSION_ID = f"{PROJECT}/{SESSION}"
_BLOCK_BYTES = 1024 * 1024
_CONTENT_TYPES = {
    ".mp4": "video/mp4",
    ".png": "image/png",
    ".vtt": "text/vtt",
    ".py": "text/x-python",
    ".json": "application/json",
}
_SCENE_ASSETS = ("videoAsset", "sourceCodeAsset", "thumbnailAsset", "subtitleAsset")
_SESSION_ASSETS = ("combinedVideoAsset", "combinedSubtitleAsset", "manifestAsset")

Place = tuple[str, str]  # the scene's id or the session's, and the file's name
Asset = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """One file and what became of it; ``wrong`` is empty if all agree, else one clause each."""

    file: Rendered
    asset: Asset | None
    wrong: tuple[str, ...]

    @property
    def delay_ms(self) -> float | None:
        """From the file's last write to the commit of its row in Convex, both by this machine's clock."""
        return max(0.0, self.asset["createdAt"] - self.file.written_ms) if self.asset else None


def place_of(file: Rendered) -> Place:
    """Return where the lesson preset puts a file."""
    parts = file.path.split("/")
    scenes = {picture.scene for picture in LESSON}
    return (parts[2] if parts[2] in scenes else SESSION_ID, parts[-1])


async def assets_by_place(convex: ConvexReader) -> dict[Place, Asset]:
    """Return everything that Convex shows of the lesson."""
    return {(asset["entityId"], asset["name"]): asset async for asset in convex.assets(SESSION_ID)}


async def prove(
    root: Path, files: Sequence[Rendered], *, s3: SeaweedServer, convex: ConvexReader
) -> tuple[list[Proof], list[str]]:
    """Compare everything; return a proof per file, and what is wrong besides."""
    assets = await assets_by_place(convex)
    proofs = []
    for file in files:
        asset = assets.get(place_of(file))
        wrong = await asyncio.to_thread(_disagreements, root / file.path, file, asset, s3)
        proofs.append(Proof(file=file, asset=asset, wrong=tuple(wrong)))
    wanted = {asset["s3Key"] for asset in assets.values()}
    strays = sorted(await asyncio.to_thread(_keys, s3) - wanted)
    besides = [f"an object that Convex does not know: {key}" for key in strays]
    return proofs, besides + await _entities(convex)


def _disagreements(path: Path, file: Rendered, asset: Asset | None, s3: SeaweedServer) -> list[str]:
    if asset is None:
        return ["not in Convex"]
    expected = {
        "size": file.size_bytes,
        "checksum": checksum_of(path),
        "contentType": _CONTENT_TYPES[path.suffix],
        "version": 1,
    }
    wrong = [
        f"{name} is {asset[name]}, not {value}" for name, value in expected.items() if asset[name] != value
    ]
    try:
        same = same_bytes(path, asset["s3Key"], s3)
    except (BotoCoreError, ClientError) as error:
        return [*wrong, f"the object cannot be read: {error}"]
    return wrong if same else [*wrong, "the object differs from the file"]


def checksum_of(path: Path) -> str:
    """Return the file's checksum, computed here and not by the code that is being proved."""
    crc = 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            crc = crc64nvme(block, crc)
    return "crc64nvme:" + base64.b64encode(crc.to_bytes(8)).decode()


def same_bytes(path: Path, key: str, s3: SeaweedServer) -> bool:
    """Download an object and compare it with a file, block by block."""
    with path.open("rb") as file, closing(s3.client().get_object(Bucket=s3.bucket, Key=key)["Body"]) as body:
        while True:
            block = file.read(_BLOCK_BYTES)
            if body.read(_BLOCK_BYTES) != block:
                return False
            if not block:
                return True


def _keys(s3: SeaweedServer) -> set[str]:
    pages = s3.client().get_paginator("list_objects_v2").paginate(Bucket=s3.bucket)
    return {found["Key"] for page in pages for found in page.get("Contents", [])}


async def _entities(convex: ConvexReader) -> list[str]:
    """Say what is missing in the documents that a player subscribes to."""
    scenes = {scene["sceneId"]: scene for scene in await convex.scenes(SESSION_ID)}
    session = await convex.session(SESSION_ID)
    found = [(p.scene, scenes.get(p.scene), _SCENE_ASSETS) for p in LESSON]
    wrong = [complaint for entity in found for complaint in _incomplete(*entity)]
    return wrong + list(_incomplete("the session", session, _SESSION_ASSETS))


def _incomplete(name: str, document: Asset | None, fields: Sequence[str]) -> Iterator[str]:
    if document is None:
        yield f"{name} is not in Convex"
        return
    yield from (f"{name} has no {field}" for field in fields if not document.get(field))
    if document["assetsStatus"] != "ready":
        yield f"{name} is {document['assetsStatus']}, not ready"
