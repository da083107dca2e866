"""Addresses of an asset by its id: those that open, and those that these settings cannot give."""

from __future__ import annotations

import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

import sidecar
from sidecar import AssetType, NotFoundError, UrlType
from sidecar.local.seaweed import SeaweedServer
from sidecar.upload.s3.credentials import Keys
from sidecar.upload.s3.endpoint import S3Config
from sidecar.upload.s3.presigned import presigned_url
from tests.support.system import eventually

KEYS = Keys(access_key_id="AKIDEXAMPLE", secret_access_key="secret", session_token="a token/+=")


def opened(url: str) -> bytes | int:
    """GET an address; return its bytes, or the status of the refusal."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=30) as answer:
            return bytes(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code


async def test_a_presigned_address_opens_and_expires(
    settings: dict[str, Any], tmp_path: Path, seaweed: SeaweedServer
) -> None:
    """Also of a name with what URLs escape; the unsigned ones are the bucket's own, and the CDN's."""
    source = tmp_path / "a b+é%.py"
    source.write_text("print()")
    settings["s3"]["public_base_url"] = "https://cdn.test/lessons"
    async with sidecar.open(settings) as platform:
        stored = await platform.assets.store_scene_asset(
            "intro", AssetType.SOURCE_CODE, source, session_id="p/s"
        )
        url = platform.assets.get_asset_url
        signed = await url(stored.id, expiration=600)
        short = await url(stored.id, UrlType.PRESIGNED, expiration=1)
        public, cdn = await url(stored.id, UrlType.PUBLIC), await url(stored.id, UrlType.CDN)
        with pytest.raises(NotFoundError, match="knows no asset"):
            await url("unknown")
        with pytest.raises(ValueError, match="604800"):
            await url(stored.id, expiration=10**6)
    assert opened(signed) == b"print()"
    assert opened(f"{signed[:-1]}{'0' if signed[-1] != '0' else '1'}") == 403
    eventually("it has expired", lambda: opened(short) == 403, seconds=10)
    assert public == signed.partition("?")[0]
    assert public.startswith(seaweed.endpoint_url)
    assert (
        cdn
        == stored.s3_url
        == f"https://cdn.test/lessons/{public.partition(settings['s3']['bucket'])[2][1:]}"
    )


def test_what_is_signed_is_in_the_address() -> None:
    """Temporary keys come with their token; what S3 is to answer is part of the signature."""
    config = S3Config(bucket="lessons", region="eu-central-1")
    url = presigned_url(
        config,
        KEYS,
        "p/a b.py",
        seconds=60,
        stamp="20261129T120000Z",
        answer={"response-content-type": "a/b"},
    )
    assert url.startswith(
        "https://lessons.s3.eu-central-1.amazonaws.com/p/a%20b.py?X-Amz-Algorithm=AWS4-HMAC"
    )
    assert "X-Amz-Security-Token=a%20token%2F%2B%3D" in url
    assert "response-content-type=a%2Fb" in url
    other = presigned_url(config, KEYS, "p/a b.py", seconds=60, stamp="20261129T120000Z")
    assert url.rpartition("=")[2] != other.rpartition("=")[2]
