"""One look-up of credentials for all; what fails there is `unauthorized`, in the chain's own words."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiobotocore.credentials import AioCredentials, AioRefreshableCredentials
from aiohttp import web

from sidecar.core.clock import SystemClock
from sidecar.core.errors import ErrorKind, SidecarError
from sidecar.settings.s3 import S3
from sidecar.upload.s3 import credentials
from sidecar.upload.s3.credentials import Keys, OurKeys, SharedKeys
from sidecar.upload.s3.credentials_error import CredentialsError
from sidecar.upload.s3.endpoint import s3_config
from sidecar.upload.s3.object_store import open_store
from sidecar.upload.store import Body, ObjectSpec
from tests.support.clock import ManualClock
from tests.support.memory_store import checksum_of
from tests.support.outside import remote

pytestmark = pytest.mark.usefixtures("environ")


class Chain:
    """Counts its look-ups; each ends when it may, with what it is to give."""

    def __init__(self, *outcomes: AioCredentials | Exception) -> None:
        self.outcomes, self.asked, self.may_end = list(outcomes), 0, asyncio.Event()

    async def find(self) -> AioCredentials:
        """Go through it."""
        self.asked += 1
        await self.may_end.wait()
        outcome = self.outcomes.pop(0) if len(self.outcomes) > 1 else self.outcomes[0]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


def static(name: str = "AKID") -> AioCredentials:
    return AioCredentials(name, "secret")


def temporary(seconds: float, renew: Callable[[], object] | None = None) -> AioRefreshableCredentials:
    def refuse() -> object:
        raise ConnectionError("STS is away")

    ends = datetime.now(UTC) + timedelta(seconds=seconds)
    return AioRefreshableCredentials(
        "AKID", "secret", "token", ends, refresh_using=renew or refuse, method="test"
    )


async def many(keys: SharedKeys, count: int = 40) -> list[object]:
    asked = (keys.get_frozen_credentials() for _ in range(count))
    answers: list[object] = list(await asyncio.gather(*asked, return_exceptions=True))
    return answers


async def test_forty_files_ask_once() -> None:
    """And whoever comes later not at all: these do not expire."""
    chain, clock = Chain(static()), ManualClock()
    keys = SharedKeys(chain.find, clock=clock)
    waiting = asyncio.ensure_future(many(keys))
    await asyncio.sleep(0)
    chain.may_end.set()
    assert {found.access_key for found in await waiting} == {"AKID"}  # type: ignore[attr-defined]
    clock.advance(86_400)
    await many(keys)
    assert chain.asked == 1


async def test_a_failure_is_shared_for_a_moment() -> None:
    """Each gets an error of its own; a chain that is well again is found soon."""
    chain, clock = Chain(CredentialsError("refused", hint="do", code="No"), static()), ManualClock()
    chain.may_end.set()
    keys = SharedKeys(chain.find, clock=clock)
    failures = [*await many(keys), *await many(keys)]
    assert {str(failure) for failure in failures} == {"refused"}
    assert len({id(failure) for failure in failures}) == 80
    assert chain.asked == 1
    clock.advance(credentials.FAILED_SECONDS)
    assert {found.access_key for found in await many(keys)} == {"AKID"}  # type: ignore[attr-defined]
    assert chain.asked == 2


async def test_whatever_ends_a_look_up_is_told() -> None:
    chain = Chain(ValueError("no\nnumber"))
    chain.may_end.set()
    with pytest.raises(CredentialsError, match="no credentials: ValueError: no number"):
        await SharedKeys(chain.find, clock=ManualClock()).get_frozen_credentials()


async def test_keys_that_s3_refuses_are_looked_up_again(caplog: pytest.LogCaptureFixture) -> None:
    """A file of keys was rewritten: who asked before has them, not only who asks after a restart."""
    chain, clock = Chain(static("OLD"), static("NEW")), ManualClock()
    chain.may_end.set()
    keys = SharedKeys(chain.find, clock=clock)
    await many(keys)
    keys.learn({"ResponseMetadata": {"HTTPStatusCode": 403}, "Error": {"Code": "AccessDenied"}})
    clock.advance(credentials.AGAIN_SECONDS)
    assert (await keys.get_frozen_credentials()).access_key == "OLD"
    keys.learn({"ResponseMetadata": {"HTTPStatusCode": 400}, "Error": {"Code": "ExpiredToken"}})
    assert {found.access_key for found in await many(keys)} == {"NEW"}  # type: ignore[attr-defined]
    keys.learn({"ResponseMetadata": {"HTTPStatusCode": 403}, "Error": {}})
    await many(keys)
    assert chain.asked == 2  # not with every refusal
    assert not caplog.records


async def test_keys_are_used_until_they_expire_whatever_their_renewal_says() -> None:
    """An STS that is away in the last quarter of an hour stops nothing, and is not asked by every request."""
    renewals = []

    def renew() -> object:
        renewals.append(1)
        raise ConnectionError("STS is away")

    chain, clock = Chain(temporary(300, renew)), ManualClock()
    chain.may_end.set()
    keys = SharedKeys(chain.find, clock=clock)
    await many(keys)
    clock.advance(credentials.AGAIN_SECONDS)
    for _ in range(3):
        assert {getattr(found, "access_key", found) for found in await many(keys)} == {"AKID"}
    assert len(renewals) == 1


async def test_keys_that_end_soon_are_not_renewed_as_soon_as_they_are_found() -> None:
    """A helper that gives five minutes is asked once for them."""
    chain = Chain(temporary(300))  # whose renewal fails
    chain.may_end.set()
    keys = SharedKeys(chain.find, clock=ManualClock())
    assert {getattr(found, "access_key", found) for found in await many(keys)} == {"AKID"}
    assert chain.asked == 1


async def test_expired_keys_are_not_used() -> None:
    chain = Chain(temporary(-1))
    chain.may_end.set()
    with pytest.raises(CredentialsError, match="STS is away"):
        await SharedKeys(chain.find, clock=ManualClock()).get_frozen_credentials()


async def test_a_look_up_that_hangs_is_named_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits is told in time; what it brings in the end is not lost."""
    monkeypatch.setattr(credentials, "WAIT_SECONDS", 0.01)
    chain = Chain(static())
    keys = SharedKeys(chain.find, clock=ManualClock())
    with pytest.raises(CredentialsError, match="not over after"):
        await keys.get_frozen_credentials()
    chain.may_end.set()
    monkeypatch.setattr(credentials, "WAIT_SECONDS", 10)
    assert (await keys.get_frozen_credentials()).access_key == "AKID"
    assert chain.asked == 1


async def test_files_of_keys_are_looked_at_once_a_second_and_after_a_refusal() -> None:
    """A burst does not read them as often; what was rewritten is used at once where it must be."""
    looks, clock = [], ManualClock()

    def look() -> Keys:
        looks.append(threading.current_thread())
        return Keys(access_key_id=f"K{len(looks)}", secret_access_key="s")

    keys = OurKeys(look, in_files=True, clock=clock)
    for _ in range(3):
        assert (await keys.get_frozen_credentials()).access_key == "K1"
    clock.advance(credentials.LOOK_SECONDS)
    assert (await keys.get_frozen_credentials()).access_key == "K2"
    keys.learn({"ResponseMetadata": {"HTTPStatusCode": 403}, "Error": {"Code": "AccessDenied"}})
    assert (await keys.get_frozen_credentials()).access_key == "K2"
    keys.learn({"ResponseMetadata": {"HTTPStatusCode": 403}, "Error": {"Code": "InvalidAccessKeyId"}})
    assert (await keys.get_frozen_credentials()).access_key == "K3"
    assert threading.current_thread() not in looks


async def test_files_that_cannot_be_read_are_looked_at_again_and_again() -> None:
    """Nothing is kept of a failure."""
    outcomes: list[OSError | Keys] = [OSError("away"), Keys(access_key_id="A", secret_access_key="s")]

    def look() -> Keys:
        if isinstance(outcome := outcomes.pop(0), OSError):
            raise outcome
        return outcome

    keys = OurKeys(look, in_files=True, clock=ManualClock())
    with pytest.raises(OSError, match="away"):
        await keys.get_frozen_credentials()
    assert (await keys.get_frozen_credentials()).access_key == "A"


@pytest.mark.parametrize("given", ["files", "chain"])
async def test_a_body_that_is_refused_brings_newer_keys(
    given: str, environ: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A token expired, and whoever renews it has written the next one: the next body is signed with that."""
    environ.setattr(credentials, "AGAIN_SECONDS", 0.0)
    clock, signed = ManualClock(), []
    settings = {"bucket": "lessons"}
    names = ("access_key_id", "secret_access_key", "session_token")

    def write(access_key: str) -> None:
        if given == "files":
            for name in names:
                (tmp_path / name).write_text(access_key)
        else:
            lines = "".join(f"aws_{name} = {access_key}\n" for name in names)
            (tmp_path / "credentials").write_text(f"[default]\n{lines}")

    def answer(request: web.Request) -> web.Response:
        key = request.headers["Authorization"].partition("Credential=")[2].partition("/")[0]
        signed.append((key, request.headers["X-Amz-Security-Token"]))
        if key == "OLD":
            text = (
                "<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>"
            )
            return web.Response(status=400, text=text, content_type="application/xml")
        checked = {name: value for name, value in request.headers.items() if "x-amz-checksum-" in name}
        return web.Response(headers={"ETag": '"e"', **checked})

    if given == "files":
        settings |= {f"{name}_file": str(tmp_path / name) for name in names}
    data = b"0123456789"
    spec = ObjectSpec(bucket="lessons", key="k", content_type="a/b", cache_control=None, metadata={})
    body = Body(fd=-1, offset_bytes=0, length_bytes=len(data), data=data)
    async with metadata(answer) as url:
        write("OLD")
        config = s3_config(S3.model_validate(settings | {"endpoint_url": url}))
        async with open_store(config, clock=clock, connections=1) as store:
            for _ in range(2):
                with pytest.raises(SidecarError) as caught:
                    await store.put(spec, body, checksum=checksum_of(data))
                assert (caught.value.kind, caught.value.code) == (ErrorKind.UNAUTHORIZED, "ExpiredToken")
            write("NEW")
            await store.put(spec, body, checksum=checksum_of(data))
    assert signed == [("OLD", "OLD"), ("OLD", "OLD"), ("NEW", "NEW")]


# -- the chain itself ---------------------------------------------------------------------------------
async def probe() -> None:
    async with remote() as server:
        config = s3_config(S3(bucket="lessons", endpoint_url=f"http://127.0.0.1:{server.port}"))
        async with open_store(config, clock=SystemClock(), connections=1) as store:
            await store.probe()


def profile(tmp_path: Path, script: str) -> Path:
    """Give the default profile a helper."""
    helper = tmp_path / "helper"
    helper.write_text(f"#!/bin/sh\n{script}\n")
    helper.chmod(0o755)
    (tmp_path / "config").write_text(f"[default]\ncredential_process = {helper}\n")
    return helper


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("echo no such user >&2; exit 3", "no such user"),
        ("echo nonsense", "JSONDecodeError"),
        ("echo '[]'", "list"),
        ("echo '{}'", "Unsupported version"),
        (r"printf '\377'", "UnicodeDecodeError"),
        ("exec cat /dev/zero", "it wrote more than"),
    ],
)
async def test_a_helper_that_fails_is_quoted(script: str, words: str, tmp_path: Path) -> None:
    profile(tmp_path, script)
    with pytest.raises(SidecarError, match=words) as caught:
        await probe()
    assert caught.value.kind is ErrorKind.UNAUTHORIZED
    assert caught.value.hint
    assert str(caught.value).isprintable()


async def test_a_helper_that_hangs_ends_with_all_it_began(
    environ: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Nothing is left of it once the daemon has ended; what it reads is nothing."""
    environ.setattr(credentials, "WAIT_SECONDS", 0.5)
    profile(tmp_path, f"cat; sleep 1000 & echo $! > {tmp_path}/pid; wait")
    with pytest.raises(SidecarError, match="not over after") as caught:
        await probe()
    assert caught.value.kind is ErrorKind.UNAUTHORIZED
    pid = int((tmp_path / "pid").read_text())
    assert not Path(f"/proc/{pid}").exists() or "zombie" in Path(f"/proc/{pid}/status").read_text()


async def test_a_helper_of_a_source_profile_is_tamed_too(tmp_path: Path) -> None:
    helper = profile(tmp_path, "exec cat /dev/zero")
    role = "role_arn = arn:aws:iam::123456789012:role/x"
    (tmp_path / "config").write_text(
        f"[default]\n{role}\nsource_profile = other\n[profile other]\ncredential_process = {helper}\n"
    )
    with pytest.raises(SidecarError, match="it wrote more than"):
        await probe()


@asynccontextmanager
async def metadata(answer: Callable[[web.Request], web.Response]) -> AsyncIterator[str]:
    app = web.Application()

    async def handle(request: web.Request) -> web.Response:
        return answer(request)

    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("through", ["instance", "container"])
async def test_a_metadata_service_is_never_asked_through_a_proxy(
    through: str, environ: pytest.MonkeyPatch
) -> None:
    """It is on this machine's own link, and what it says are keys."""
    given = {
        "AccessKeyId": "AKID",
        "SecretAccessKey": "s",
        "Token": "t",
        "Expiration": "2099-01-01T00:00:00Z",
    }

    def answer(request: web.Request) -> web.Response:
        if request.method == "PUT" or request.path.endswith("/security-credentials/"):
            return web.Response(text="name")
        return web.json_response(given)

    async with metadata(answer) as url:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            environ.setenv(name, "http://127.0.0.1:9")
        if through == "container":
            environ.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{url}/v1/credentials")
        else:
            environ.setenv("AWS_EC2_METADATA_DISABLED", "false")
            environ.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", url)
        await probe()


@pytest.mark.parametrize(
    ("code", "hint"),
    [("ExpiredTokenException", "token"), ("AccessDenied", "trust policy"), ("Odd", "trust policy")],
)
async def test_what_sts_refuses_is_unauthorized_in_its_words(
    code: str, hint: str, environ: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A 400 of STS is neither S3's nor a file's fault."""
    text = f"<ErrorResponse><Error><Code>{code}</Code><Message>Not you</Message></Error></ErrorResponse>"
    (tmp_path / "token").write_text("a.b.c")
    environ.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
    environ.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/x")
    async with metadata(lambda _: web.Response(status=400, text=text, content_type="text/xml")) as url:
        environ.setenv("AWS_ENDPOINT_URL_STS", url)
        with pytest.raises(
            SidecarError, match=f"AssumeRoleWithWebIdentity was refused: {code}: Not you"
        ) as caught:
            await probe()
    assert (caught.value.kind, caught.value.code) == (ErrorKind.UNAUTHORIZED, code)
    assert hint in str(caught.value.hint)


@pytest.mark.parametrize("missing", ["token", "everything"])
async def test_what_is_not_there_is_unauthorized(missing: str, environ: pytest.MonkeyPatch) -> None:
    if missing == "token":
        environ.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", "/nonexistent/token")
        environ.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/x")
    with pytest.raises(
        SidecarError, match="/nonexistent/token" if missing == "token" else "found no credentials"
    ) as caught:
        await probe()
    assert caught.value.kind is ErrorKind.UNAUTHORIZED
    assert os.environ["AWS_EC2_METADATA_DISABLED"] == "true"
