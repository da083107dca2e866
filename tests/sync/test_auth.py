"""Credentials: what is shown to Convex, when it is made anew, and what happens to files that change."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import jwt
import pytest
from aiohttp import web

from sidecar.core.clock import RemoteClock
from sidecar.core.errors import ErrorKind, SidecarError
from sidecar.settings.convex import Convex, JwtAuth
from sidecar.settings.secret import Secret
from sidecar.sync import signing_keys, tokens
from sidecar.sync.auth import SecretCredentials, credentials
from sidecar.sync.convex import open_store
from sidecar.sync.tokens import JwtCredentials
from tests.support.clock import ManualClock
from tests.support.wire import PONG, Wire


@pytest.fixture
def clock() -> ManualClock:
    """Time that a test moves."""
    return ManualClock()


@pytest.fixture
def pem(tmp_path: Path) -> Path:
    """A key file."""
    signing_keys.create(tmp_path / "key.pem")
    return tmp_path / "key.pem"


def minter(pem: Path, clock: ManualClock, remote: RemoteClock | None = None) -> JwtCredentials:
    """Return credentials in the mode jwt."""
    return JwtCredentials(
        Secret(path=pem),
        issuer="https://i.test",
        audience="aud",
        sidecar_id="sidecar-7",
        clock=clock,
        remote_clock=remote or RemoteClock(clock),
    )


def read(header: str | None) -> dict[str, Any]:
    """Return the claims of a header's token, unchecked."""
    assert header is not None
    claims: dict[str, Any] = jwt.decode(header.removeprefix("Bearer "), options={"verify_signature": False})
    return claims


async def test_a_token_names_us_for_five_minutes(pem: Path, clock: ManualClock) -> None:
    """ES256 with kid, iss, aud, sub, iat and exp, verifiable with the published key."""
    header = await minter(pem, clock).header()
    assert header is not None
    token = header.removeprefix("Bearer ")
    published = signing_keys.public_jwk(signing_keys.read(pem))
    assert jwt.get_unverified_header(token) == {"alg": "ES256", "typ": "JWT", "kid": published["kid"]}
    options: Any = {"verify_exp": False, "verify_iat": False}
    claims = jwt.decode(token, jwt.PyJWK(published), ["ES256"], audience="aud", options=options)
    assert (claims["iss"], claims["sub"]) == ("https://i.test", "sidecar-7")
    assert claims["exp"] - claims["iat"] == 300
    assert abs(claims["iat"] - clock.wall_ms() / 1000) <= 5


async def test_a_token_is_replaced_a_minute_before_it_expires(pem: Path, clock: ManualClock) -> None:
    """And not before: signing costs, and a stable header is a cacheable one."""
    one = minter(pem, clock)
    first = await one.header()
    clock.advance(239)
    assert await one.header() == first
    clock.advance(2)
    assert await one.header() != first


async def test_a_changed_key_file_is_used_at_once(pem: Path, clock: ManualClock, tmp_path: Path) -> None:
    """The last step of a rotation needs no restart."""
    one = minter(pem, clock)
    before = await one.header()
    signing_keys.create(tmp_path / "next.pem")
    (tmp_path / "next.pem").replace(pem)
    after = await one.header()
    assert before is not None
    assert after is not None
    kids = [jwt.get_unverified_header(header.removeprefix("Bearer "))["kid"] for header in (before, after)]
    assert kids[1] == signing_keys.kid(signing_keys.read(pem)) != kids[0]


async def test_a_wrong_clock_is_made_up_for(pem: Path, clock: ManualClock) -> None:
    """iat and exp are by Convex's clock, learnt from its Date header."""
    remote = RemoteClock(clock)
    one = minter(pem, clock, remote)
    await one.header()
    remote.learn("Tue, 01 Jan 2030 00:00:00 GMT")
    assert one.refused()
    assert abs(read(await one.header())["iat"] - datetime(2030, 1, 1, tzinfo=UTC).timestamp()) <= 5
    assert remote.skew_seconds == pytest.approx(clock.wall_ms() / 1000 - 1_893_456_000)


async def test_a_refused_token_is_minted_once_more(wire: Wire, pem: Path) -> None:
    """By the time that came with the refusal; a second refusal is the end of it."""
    clock = ManualClock()
    now = datetime.fromtimestamp(clock.wall_ms() / 1000 + 7200, UTC)

    async def strict(request: web.Request) -> web.Response:
        date = {"Date": format_datetime(now, usegmt=True)}
        if read(request.headers["Authorization"])["iat"] < now.timestamp() - 60:
            return web.json_response({"code": "Unauthenticated", "message": "m"}, status=401, headers=date)
        return web.json_response(PONG, headers=date)

    wire.handler = strict
    signed = JwtAuth.model_validate(
        {"mode": "jwt", "issuer": "https://i.test", "audience": "a", "private_key": Secret(path=pem)}
    )
    settings = Convex.model_validate({"url": wire.url, "auth": signed})
    async with open_store(settings, sidecar_id="s", clock=clock, version="1") as store:
        await store.probe()
        assert len(wire.requests) == 2
        wire.answers(401, {"code": "Unauthenticated", "message": "m"})
        with pytest.raises(SidecarError) as caught:
            await store.probe()
    assert caught.value.kind is ErrorKind.UNAUTHORIZED
    assert len(wire.requests) == 4
    told = str(caught.value.hint)
    assert "SIDECAR_JWT_ISSUER=https://i.test as convex.auth.issuer" in told
    assert "SIDECAR_JWT_AUDIENCE=a as convex.auth.audience" in told


@pytest.mark.parametrize("text", ["one\ntwo", "to\x00ken", "tökén", "\x1btoken"])
async def test_what_no_header_can_carry_is_no_token(tmp_path: Path, text: str) -> None:
    """A file with two tokens, say: it is named, and what it holds is not."""
    path = tmp_path / "token"
    path.write_text(text)
    with pytest.raises(SidecarError) as caught:
        await SecretCredentials(Secret(path=path), scheme="Bearer", internal=False).header()
    assert (caught.value.kind, caught.value.target) == (ErrorKind.UNAUTHORIZED, str(path))
    assert text not in str(caught.value)


async def test_a_token_file_is_read_again_when_it_changes(tmp_path: Path) -> None:
    """As a projected service account token does."""
    path = tmp_path / "token"
    path.write_text("one\n")
    one = SecretCredentials(Secret(path=path), scheme="Bearer", internal=False)
    assert await one.header() == "Bearer one"
    path.write_text("two\n")
    os.utime(path, ns=(1, 1))
    assert await one.header() == "Bearer two"


@pytest.mark.parametrize("content", [None, "not a key"])
async def test_an_unusable_key_is_an_error_with_its_file_and_no_traceback(
    tmp_path: Path, clock: ManualClock, content: str | None
) -> None:
    """The breaker opens and says so; the daemon lives."""
    path = tmp_path / "key.pem"
    if content is not None:
        path.write_text(content)
    with pytest.raises(SidecarError) as caught:
        await minter(path, clock).header()
    assert caught.value.kind is ErrorKind.UNAUTHORIZED
    assert str(path) in str(caught.value)


async def test_without_credentials_there_is_no_header(clock: ManualClock) -> None:
    """Mode none, for `sidecar dev`."""
    nobody = credentials(None, sidecar_id="s", clock=clock, remote_clock=RemoteClock(clock))
    assert await nobody.header() is None
    assert not nobody.refused()
    assert tokens.TOKEN_SECONDS == 300
