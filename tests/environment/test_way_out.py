"""Proxies and certificate authorities of the environment hold for S3, STS and Convex alike."""

from __future__ import annotations

import base64
import os
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import quote

import pytest

from sidecar.core.clock import SystemClock
from sidecar.core.errors import ErrorKind, FatalError, SidecarError
from sidecar.settings.convex import Convex, NoAuth
from sidecar.settings.s3 import S3
from sidecar.sync.convex import open_store as open_convex
from sidecar.upload.s3.endpoint import s3_config
from sidecar.upload.s3.object_store import S3Store
from sidecar.upload.s3.object_store import open_store as open_s3
from sidecar.upload.store import Body, ObjectSpec
from tests.support.memory_store import checksum_of
from tests.support.outside import Authority, remote, way

PROXIES = [
    name
    for scheme in ("http", "https", "all", "no")
    for name in (f"{scheme}_proxy", f"{scheme}_PROXY".upper())
]
BUNDLES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
Ask = Callable[[str], Awaitable[None]]


async def s3(url: str) -> None:
    async with _opened(url) as store:
        await store.probe()


async def body(url: str) -> None:
    """Files' bytes go another way through the program, and the same way out."""
    data = b"0123456789"
    spec = ObjectSpec(bucket="lessons", key="k", content_type="a/b", cache_control=None, metadata={})
    async with _opened(url) as store:
        range_ = Body(fd=-1, offset_bytes=0, length_bytes=len(data), data=data)
        await store.put(spec, range_, checksum=checksum_of(data))


@asynccontextmanager
async def _opened(url: str) -> AsyncIterator[S3Store]:
    settings = {
        "bucket": "lessons",
        "endpoint_url": url,
        "access_key_id": "AKID",
        "secret_access_key": "secret",
    }
    config = s3_config(S3.model_validate(settings))
    async with open_s3(config, clock=SystemClock(), connections=2) as store:
        yield store


async def sts(url: str) -> None:
    """S3 itself is nowhere, and it is not reached before there are credentials for it."""
    os.environ["AWS_ENDPOINT_URL_STS"] = url
    async with remote() as bucket:
        config = s3_config(S3(bucket="lessons", endpoint_url=f"http://127.0.0.1:{bucket.port}"))
        async with open_s3(config, clock=SystemClock(), connections=2) as store:
            await store.probe()


async def convex(url: str) -> None:
    settings = Convex(url=url, auth=NoAuth(mode="none"), timeout=5.0)
    async with open_convex(settings, sidecar_id="s", clock=SystemClock(), version="1") as store:
        await store.probe()


REMOTES = pytest.mark.parametrize("ask", [s3, body, sts, convex])


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(autouse=True)
def environ(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """An environment with nothing but a role to assume."""
    for name in (*PROXIES, *BUNDLES, *(name for name in os.environ if name.startswith("AWS_"))):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "token").write_text("a.b.c")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/x")
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", "")
    return monkeypatch


@REMOTES
async def test_loopback_is_asked_directly(ask: Ask, environ: pytest.MonkeyPatch) -> None:
    """Although proxies are set, and one of them is nonsense."""
    environ.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    environ.setenv("ALL_PROXY", "socks4://127.0.0.1:9")
    async with remote() as server:
        await ask(f"http://127.0.0.1:{server.port}")
        await ask(f"http://localhost:{server.port}")
    assert len(server.asked) == 2


@REMOTES
@pytest.mark.parametrize(("scheme", "user"), [("http", "rené"), ("socks5", "rene")])
async def test_a_remote_is_asked_through_the_proxy_and_must_prove_who_it_is(
    ask: Ask, scheme: str, user: str, authority: Authority, environ: pytest.MonkeyPatch
) -> None:
    """Whoever runs the proxy sees the name that is asked for, and nothing else."""
    async with (
        remote(authority.server_context("remote.example.test")) as server,
        way(server.port, scheme) as proxy,
    ):
        environ.setenv("HTTPS_PROXY", proxy.url.replace("://", f"://{quote(user)}:p%40ss@"))
        with pytest.raises(SidecarError, match=r"(?i)certificate") as caught:
            await ask("https://remote.example.test")
        assert not server.asked
        if ask is convex:
            assert (caught.value.maybe_done, "SSL_CERT_FILE" in (caught.value.hint or "")) == (False, True)
        environ.setenv("SSL_CERT_FILE", str(authority.pem))
        await ask("https://remote.example.test")
        with pytest.raises(SidecarError, match=r"(?i)certificate|hostname"):
            await ask("https://other.example.test")
    assert len(server.asked) == 1
    assert "remote.example.test:443" in " ".join(proxy.asked)
    basic = f"Basic {base64.b64encode(f'{user}:p@ss'.encode()).decode()}"
    expected = {f"{user}:p@ss"} if scheme == "socks5" else {basic}
    assert {line.partition(": ")[2] or line for line in proxy.told} == expected


@REMOTES
async def test_what_no_proxy_names_is_not_asked_through_it(
    ask: Ask, authority: Authority, environ: pytest.MonkeyPatch
) -> None:
    async with remote(authority.server_context("remote.example.test")) as server, way(server.port) as proxy:
        environ.setenv("ALL_PROXY", proxy.url)
        environ.setenv("NO_PROXY", "10.0.0.0/8, .example.test:443")
        with pytest.raises(SidecarError) as caught:
            await ask("https://remote.example.test")  # there is no such host
    assert caught.value.kind is (ErrorKind.UNAUTHORIZED if ask is sts else ErrorKind.NETWORK)
    assert not proxy.asked


@REMOTES
@pytest.mark.parametrize("scheme", ["http", "socks5"])
async def test_a_proxy_that_is_away_is_named(ask: Ask, scheme: str, environ: pytest.MonkeyPatch) -> None:
    environ.setenv("ALL_PROXY", f"{scheme}://127.0.0.1:9")
    with pytest.raises(SidecarError) as caught:
        await ask("https://remote.example.test")
    assert caught.value.hint
    assert "PROXY" in caught.value.hint


@pytest.mark.parametrize("ask", [s3, convex])
async def test_a_proxy_that_cannot_be_used_ends_the_start(ask: Ask, environ: pytest.MonkeyPatch) -> None:
    environ.setenv("ALL_PROXY", "socks4://127.0.0.1:9")
    with pytest.raises(FatalError, match=r"^ALL_PROXY names a socks4 proxy") as caught:
        await ask("https://remote.example.test")
    assert caught.value.exit_status == 78


@REMOTES
@pytest.mark.parametrize("variable", BUNDLES)
async def test_an_authority_of_the_environment_is_trusted_on_loopback_too(
    ask: Ask, variable: str, authority: Authority, environ: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with remote(authority.server_context("127.0.0.1")) as server:
        with pytest.raises(SidecarError, match=r"(?i)certificate"):
            await ask(f"https://127.0.0.1:{server.port}")
        environ.setenv(
            variable, str(_folder(authority, tmp_path) if variable == "SSL_CERT_DIR" else authority.pem)
        )
        await ask(f"https://127.0.0.1:{server.port}")


@pytest.mark.parametrize("ask", [s3, convex])
@pytest.mark.parametrize("variable", BUNDLES)
@pytest.mark.parametrize("content", [None, b"", b"no certificate\n"])
async def test_an_authority_that_cannot_be_read_ends_the_start(
    ask: Ask, variable: str, content: bytes | None, environ: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With one sentence that names the variable; a remote without TLS does not mind."""
    path = tmp_path / "bundle.pem"
    if content is not None:
        path.write_bytes(content)
    environ.setenv(variable, str(path))
    with pytest.raises(FatalError, match=rf"^{variable}: {path} ") as caught:
        await ask("https://remote.example.test")
    assert caught.value.exit_status == 78
    async with remote() as server:
        await ask(f"http://127.0.0.1:{server.port}")


def _folder(authority: Authority, tmp_path: Path) -> Path:
    """Return a folder as c_rehash makes it, second of two."""
    name = subprocess.run(
        ["openssl", "x509", "-subject_hash", "-noout", "-in", authority.pem],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    (tmp_path / f"{name}.0").symlink_to(authority.pem)
    return Path(f"/nonexistent:{tmp_path}")
