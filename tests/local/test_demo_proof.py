"""The demo's proof would notice: it is only worth something if it can fail."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from sidecar.local.convex_reader import ConvexReader
from sidecar.local.convex_server import ConvexServer
from sidecar.local.demo import DemoReport
from sidecar.local.lesson import LESSON, PROJECT
from sidecar.local.proof import SESSION_ID, Proof, checksum_of, prove
from sidecar.local.renderer import Rendered
from sidecar.local.seaweed import SeaweedServer

SCENE = LESSON[0].scene
KEY = "some/key.py"


@pytest.fixture(scope="module")
def s3() -> Iterator[SeaweedServer]:
    """One server for the whole module."""
    with SeaweedServer() as server:
        yield server


@pytest.fixture
def convex() -> Iterator[ConvexServer]:
    """Empty tables for every test."""
    with ConvexServer(dev_auth=True) as server:
        yield server


@pytest.fixture
def source(tmp_path: Path, s3: SeaweedServer) -> Rendered:
    """Write a file of the lesson and put the same bytes into S3."""
    path = f"{SESSION_ID}/{SCENE}/source/scene.py"
    file = tmp_path / path
    file.parent.mkdir(parents=True)
    file.write_bytes(b"print('hello')\n")
    s3.client().put_object(Bucket=s3.bucket, Key=KEY, Body=file.read_bytes())
    return Rendered(path=path, size_bytes=file.stat().st_size, written_ms=file.stat().st_mtime_ns / 1e6)


async def test_a_file_that_convex_knows_and_s3_holds_agrees(
    tmp_path: Path, s3: SeaweedServer, convex: ConvexServer, source: Rendered
) -> None:
    """The delay is the time from the last write to the row."""
    _announce(convex, tmp_path / source.path)
    (proof,), _ = await _prove(tmp_path, source, s3, convex)
    assert proof.wrong == ()
    assert proof.delay_ms is not None
    assert 0 < proof.delay_ms < 60_000


async def test_a_file_that_convex_does_not_show_is_told(
    tmp_path: Path, s3: SeaweedServer, convex: ConvexServer, source: Rendered
) -> None:
    """So are the object that nobody announced, and the scenes that are not there."""
    (proof,), besides = await _prove(tmp_path, source, s3, convex)
    assert proof.wrong == ("not in Convex",)
    assert f"an object that Convex does not know: {KEY}" in besides
    assert f"{SCENE} is not in Convex" in besides


async def test_one_other_byte_in_the_object_is_told(
    tmp_path: Path, s3: SeaweedServer, convex: ConvexServer, source: Rendered
) -> None:
    """Same size, same row, other bytes."""
    _announce(convex, tmp_path / source.path)
    s3.client().put_object(Bucket=s3.bucket, Key=KEY, Body=b"print('hellO')\n")
    (proof,), _ = await _prove(tmp_path, source, s3, convex)
    assert proof.wrong == ("the object differs from the file",)


async def test_wrong_metadata_is_told(
    tmp_path: Path, s3: SeaweedServer, convex: ConvexServer, source: Rendered
) -> None:
    """Size and checksum in Convex are those of the file."""
    _announce(convex, tmp_path / source.path, size=1, checksum="crc64nvme:AAAAAAAAAAA=")
    (proof,), _ = await _prove(tmp_path, source, s3, convex)
    assert [clause.split()[0] for clause in proof.wrong] == ["size", "checksum"]


def test_a_report_is_good_only_if_nothing_is_wrong() -> None:
    """A wrong file, a complaint besides, a dead letter: each alone makes it fail."""
    file = Rendered(path="a", size_bytes=1, written_ms=0.0)
    fine = Proof(file=file, asset={"createdAt": 5.0, "version": 1}, wrong=())
    torn = Proof(file=file, asset={"createdAt": 5.0, "version": 1}, wrong=("the object differs",))
    assert DemoReport(proofs=[fine], besides=[], dead=0, seconds=1.0).good
    assert not DemoReport(proofs=[torn], besides=[], dead=0, seconds=1.0).good
    assert not DemoReport(proofs=[fine], besides=["a stray object"], dead=0, seconds=1.0).good
    assert not DemoReport(proofs=[fine], besides=[], dead=1, seconds=1.0).good


async def _prove(
    root: Path, file: Rendered, s3: SeaweedServer, convex: ConvexServer
) -> tuple[list[Proof], list[str]]:
    async with ConvexReader(convex.url) as reader:
        return await prove(root, [file], s3=s3, convex=reader)


def _announce(convex: ConvexServer, path: Path, **other: Any) -> None:
    """Tell Convex of the file, as a sidecar would."""
    asset = {"s3Key": KEY, "s3Url": "http://s3/key", "bucket": "lessons", "etag": "e", "uploadedAt": 1}
    asset |= {"size": path.stat().st_size, "checksum": checksum_of(path), "contentType": "text/x-python"}
    place = {"entityType": "scene", "entityId": SCENE, "assetType": "source_code", "name": path.name}
    op = {
        "opId": "op-1",
        "seq": 1,
        "kind": "put",
        "transfer": "t",
        "index": None,
        "role": None,
        "metadata": {},
    }
    sidecar = {"sidecarId": "sidecar-1"}
    epoch = _mutate(convex, "sidecar:register", {**sidecar, "journalId": "journal-1"})["epoch"]
    batch = {"projectId": PROJECT, "sessionId": SESSION_ID, "epoch": epoch, "ackedSeq": 0}
    (result,) = _mutate(
        convex, "sidecar:applyAssets", {**sidecar, **batch, "ops": [{**op, **place, "asset": asset | other}]}
    )
    assert result["outcome"] == "applied"


def _mutate(convex: ConvexServer, path: str, args: dict[str, Any]) -> Any:
    body = {"path": path, "args": args, "format": "json"}
    answer = httpx.post(f"{convex.url}/api/mutation", json=body, trust_env=False).json()
    assert answer["status"] == "success", answer
    return answer["value"]
