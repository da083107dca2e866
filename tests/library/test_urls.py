"""Addresses of an asset by its id: those that open, and those that these settings cannot give."""

from __future__ import annotations

import asyncio
import base64
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

import sidecar
from sidecar import AccessDeniedError, AssetReference, AssetType, NotFoundError, UrlType
from sidecar.library.cloudfront import signed_url
from sidecar.local.convex_server import ConvexServer
from sidecar.local.seaweed import SeaweedServer
from sidecar.sync.backend import BackendStore
from sidecar.upload.s3.credentials import Keys
from sidecar.upload.s3.endpoint import S3Config
from sidecar.upload.s3.presigned import presigned_url
from tests.support.system import eventually

SHA1 = hashes.SHA1()  # noqa: S303 - CloudFront knows no other
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


async def test_where_an_asset_is_is_asked_once_and_never_told_late(
    settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another program's questions are remembered; what this one replaces or removes is forgotten at once."""
    asked: list[str] = []
    ask = BackendStore.assets_by_id

    async def counted(store: BackendStore, ids: Sequence[str]) -> Any:
        asked.extend(ids)
        return await ask(store, ids)

    monkeypatch.setattr(BackendStore, "assets_by_id", counted)
    source = tmp_path / "a.py"
    async with sidecar.open(settings) as writer, sidecar.open(settings) as reader:
        keys = []
        for text in ("print(1)", "print(2)"):
            source.write_text(text)
            stored = await writer.assets.store_scene_asset(
                "intro", AssetType.SOURCE_CODE, source, session_id="p/s"
            )
            keys.append(stored.s3_key)
            for _ in range(3):
                assert stored.s3_key in await writer.assets.get_asset_url(stored.id, UrlType.PUBLIC)
        assert asked == []  # who stored it knows
        urls = [await reader.assets.get_asset_url(stored.id) for _ in range(3)]
        assert asked == [stored.id]
        assert all(keys[1] in url for url in urls)
        assert await writer.assets.cleanup_scene_assets("intro", session_id="p/s")
        with pytest.raises(NotFoundError):
            await writer.assets.get_asset_url(stored.id)


async def test_what_nobody_waits_for_and_orphans_are_forgotten_as_well(
    settings: dict[str, Any], tmp_path: Path, convex: ConvexServer, seaweed: SeaweedServer
) -> None:
    """A version that was handed over takes the place of the one before once it has arrived."""
    source = tmp_path / "a.py"
    async with sidecar.open(settings) as platform:
        for text, wait in (("print(1)", True), ("print(2)", False)):
            source.write_text(text)
            stored = await platform.assets.store_scene_asset(
                "intro", AssetType.SOURCE_CODE, source, session_id="p/s", wait=wait
            )

        async def shows_second() -> bool:
            return stored.s3_key in await platform.assets.get_asset_url(stored.id, UrlType.PUBLIC)

        async with asyncio.timeout(20):
            while not await shows_second():
                await asyncio.sleep(0.02)
        seaweed.client().delete_object(Bucket=settings["s3"]["bucket"], Key=stored.s3_key)
        assert await platform.convex.cleanup_orphaned_assets("p")
        with pytest.raises(NotFoundError):
            await platform.assets.get_asset_url(stored.id)
    assert convex.table("renderSidecar/assets") == []


async def test_an_address_is_given_to_whom_the_functions_admit(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    """They admit everybody here, and nobody to what is not there, or no longer; nor do they cache that."""
    source, ada = tmp_path / "a.py", "https://login.example.com|ada"
    source.write_text("print()")
    async with sidecar.open(settings) as platform:
        stored = await platform.assets.store_scene_asset(
            "intro", AssetType.SOURCE_CODE, source, session_id="p/s"
        )
        url = await platform.security.generate_secure_asset_url(stored.id, ada, expiration=60)
        assert opened(url) == b"print()"
        assert not await platform.security.validate_asset_access("unknown", ada)
        async with sidecar.open(settings) as other:
            await other.assets.cleanup_scene_assets("intro", session_id="p/s")
        with pytest.raises(AccessDeniedError):
            await platform.security.generate_secure_asset_url(stored.id, ada)


async def test_the_version_that_was_judged_is_the_one_that_is_signed(
    settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What this program remembers is older than what the functions judge; and it may change meanwhile."""
    source, ada = tmp_path / "a.py", "https://login.example.com|ada"
    stored: list[AssetReference] = []
    can_read, judged = BackendStore.can_read, list[str]()
    async with sidecar.open(settings) as platform, sidecar.open(settings) as other:

        async def store(text: str) -> None:
            source.write_text(text)
            stored.append(
                await other.assets.store_scene_asset("intro", AssetType.SOURCE_CODE, source, session_id="p/s")
            )

        async def replaced_behind(store_: BackendStore, asset_id: str, viewer: Any) -> bool:
            judged.append(stored[-1].s3_key)
            is_allowed = await can_read(store_, asset_id, viewer)
            if len(judged) == 2:
                await store("print(3)")
            return is_allowed

        monkeypatch.setattr(BackendStore, "can_read", replaced_behind)
        await store("print(1)")
        assert stored[0].s3_key in await platform.assets.get_asset_url(stored[0].id)
        await store("print(2)")
        url = await platform.security.generate_secure_asset_url(stored[0].id, ada, expiration=60)
    assert opened(url) == b"print(3)"
    assert judged == [stored[1].s3_key, stored[1].s3_key, stored[2].s3_key]


@pytest.mark.parametrize("kind", ["rsa", "ec"])
def test_an_address_for_cloudfront_is_signed_by_the_key(kind: str) -> None:
    """The canned policy of exactly this address and time; verified by the public half."""
    key = rsa.generate_private_key(65537, 2048) if kind == "rsa" else ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    url = signed_url("https://cdn.test/p/a%20b.py", key_id="K1", private_key=pem, expires_at=1_800_000_000)
    plain, _, query = url.partition("?")
    fields = dict(urllib.parse.parse_qsl(query))
    assert (plain, fields["Expires"], fields["Key-Pair-Id"]) == (
        "https://cdn.test/p/a%20b.py",
        "1800000000",
        "K1",
    )
    policy = (
        b'{"Statement":[{"Resource":"https://cdn.test/p/a%20b.py",'
        b'"Condition":{"DateLessThan":{"AWS:EpochTime":1800000000}}}]}'
    )
    signature = base64.b64decode(fields["Signature"].translate(str.maketrans("-_~", "+=/")))
    public = key.public_key()
    if isinstance(public, rsa.RSAPublicKey):
        public.verify(signature, policy, padding.PKCS1v15(), SHA1)
    else:
        public.verify(signature, policy, ec.ECDSA(SHA1))


async def test_what_the_settings_cannot_sign_is_said(settings: dict[str, Any], tmp_path: Path) -> None:
    """With all three keys the address is the CDN's; without them a sentence names what is missing."""
    source, pem = tmp_path / "a.py", tmp_path / "key.pem"
    source.write_text("print()")
    key = ec.generate_private_key(ec.SECP256R1())
    pem.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    pem.chmod(0o600)
    async with sidecar.open(settings) as platform:
        stored = await platform.assets.store_scene_asset(
            "intro", AssetType.SOURCE_CODE, source, session_id="p/s"
        )
        with pytest.raises(ValueError, match=r"urls\.cloudfront_key_id"):
            await platform.assets.get_asset_url(stored.id, UrlType.CLOUDFRONT)
    settings["s3"]["public_base_url"] = "https://cdn.test"
    settings["urls"] = {"cloudfront_key_id": "K1", "cloudfront_private_key_file": str(pem)}
    async with sidecar.open(settings) as platform:
        url = await platform.assets.get_asset_url(stored.id, UrlType.CLOUDFRONT, expiration=60)
    assert url.startswith(f"https://cdn.test/{stored.s3_key}?Expires=")
    with pytest.raises(ValueError, match="no PEM"):
        signed_url("https://cdn.test/a", key_id="K1", private_key="no key", expires_at=1)
