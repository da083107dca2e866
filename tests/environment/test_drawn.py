"""Whatever the environment holds, the clients are made or refused in one sentence; never anything else."""

from __future__ import annotations

import os
from contextlib import AsyncExitStack
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from sidecar.core.clock import SystemClock
from sidecar.core.errors import ErrorKind, FatalError, SidecarError
from sidecar.settings import S3, from_mapping
from sidecar.sync.http import open_http
from sidecar.upload.s3 import credentials
from sidecar.upload.s3.endpoint import object_url, s3_config
from sidecar.upload.s3.object_store import open_store

CLOSED = "http://127.0.0.1:9"  # the discard port: nobody listens
VARIABLES = (
    *(
        "HTTP_PROXY",
        "http_proxy",
        "HTTPS_PROXY",
        "https_proxy",
        "ALL_PROXY",
        "all_proxy",
        "NO_PROXY",
        "no_proxy",
    ),
    *(
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
        "AWS_CA_BUNDLE",
        "REQUESTS_CA_BUNDLE",
        "CURL_CA_BUNDLE",
        "SSLKEYLOGFILE",
    ),
    *("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "BOTO_CONFIG"),
    *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_CREDENTIAL_EXPIRATION"),
    *(
        "AWS_ENDPOINT_URL",
        "AWS_ENDPOINT_URL_S3",
        "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
        "AWS_CREDENTIAL_FILE",
    ),
    *(
        "AWS_REGION",
        "AWS_DEFAULT_REGION",
        "AWS_USE_DUALSTACK_ENDPOINT",
        "AWS_USE_FIPS_ENDPOINT",
        "AWS_DATA_PATH",
    ),
    *(
        "AWS_REQUEST_CHECKSUM_CALCULATION",
        "AWS_RESPONSE_CHECKSUM_VALIDATION",
        "AWS_RETRY_MODE",
        "AWS_MAX_ATTEMPTS",
    ),
    *("AWS_SDK_UA_APP_ID", "AWS_EXECUTION_ENV", "AWS_DEFAULTS_MODE", "AWS_S3_US_EAST_1_REGIONAL_ENDPOINT"),
    *("AWS_ACCOUNT_ID_ENDPOINT_MODE", "AWS_AUTH_SCHEME_PREFERENCE", "AWS_SIGV4A_SIGNING_REGION_SET"),
    *(
        "AWS_METADATA_SERVICE_TIMEOUT",
        "AWS_METADATA_SERVICE_NUM_ATTEMPTS",
        "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE",
    ),
    *("AWS_STS_REGIONAL_ENDPOINTS", "AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_SESSION_NAME"),
    *("AWS_CSM_ENABLED", "AWS_CSM_PORT", "AWS_REQUEST_MIN_COMPRESSION_SIZE_BYTES", "AWS_S3_USE_ARN_REGION"),
    *(
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
        "BOTOCORE_EXPERIMENTAL__PLUGINS",
    ),
    *("HOME", "TMPDIR", "TZ", "LANG", "LC_ALL", "REQUEST_METHOD"),
)
VALUES = st.one_of(
    st.sampled_from(
        (
            *(
                "",
                " ",
                "true",
                "True",
                "0",
                "-1",
                "nonsense",
                "*",
                "legacy",
                "auto",
                "us-east-1",
                "eu west 1",
                "é\udcff",
            ),
            *(
                "socks5://127.0.0.1:9",
                "socks4://127.0.0.1:9",
                "http://u:p%40@127.0.0.1:9",
                "https://127.0.0.1:9",
                "://",
            ),
            *(
                "127.0.0.1:9",
                "http://[::1",
                CLOSED,
                f"{CLOSED}/",
                "[::1]:9,10.0.0.0/8 *.local",
                "/",
                "/nonexistent/x",
            ),
            *(
                "/etc/passwd",
                "/dev/null",
                "/dev/zero",
                "~",
                "malformed",
                "profiled",
                "2020-01-01T00:00:00Z",
                "a=b",
            ),
        )
    ),
    st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=20),
)
PROFILES = """
[default]
region = eu-west-1
[profile profiled]
services = none
s3 = nonsense
ca_bundle = /nonexistent
credential_process = /bin/false
"""


@given(environ=st.dictionaries(st.sampled_from(VARIABLES), VALUES, max_size=8), keys=st.booleans())
@example(environ={"AWS_PROFILE": "laptop", "AWS_CONFIG_FILE": "malformed"}, keys=True)
@settings(
    deadline=None,
    max_examples=30,
    derandomize=True,  # the same thirty in every run; without it, others
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
async def test_a_drawn_environment_is_one_sentence_at_most(
    environ: dict[str, str], keys: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "malformed").write_text("no section\n")
    (tmp_path / "profiled").write_text(PROFILES)
    monkeypatch.chdir(tmp_path)
    base = {"PATH": "/bin:/usr/bin", "AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": "profiled"}
    s3 = {"bucket": "lessons"} | ({"access_key_id": "AKID", "secret_access_key": "secret"} if keys else {})
    told = from_mapping({"watch": [{"root": "/renders"}], "s3": s3, "convex": {"sync": "off"}})
    with (
        mock.patch.dict(os.environ, base | environ, clear=True),
        mock.patch.object(credentials, "WAIT_SECONDS", 0.5),
        capture_logs(),  # what is drawn holds bytes that xdist cannot carry home
    ):
        refusal = await refused(told.s3)
    if isinstance(refusal, FatalError):
        assert (refusal.exit_status, refusal.args[0].count("\n")) == (78, 0)
    elif refusal is not None:
        assert refusal.kind in {ErrorKind.NETWORK, ErrorKind.UNAUTHORIZED}, refusal


async def refused(s3: S3) -> FatalError | SidecarError | None:
    """Make both clients, and ask where nobody answers; return why it was not so."""
    try:
        async with AsyncExitStack() as opened:
            await opened.enter_async_context(open_http("https://convex.invalid", version="1"))
            config = s3_config(s3)
            assert object_url(config, "key").startswith(("http://", "https://"))
            opening = open_store(config, clock=SystemClock(), connections=1)
            store = await opened.enter_async_context(opening)
            if config.endpoint_url == CLOSED:
                await store.probe()
    except (FatalError, SidecarError) as error:
        return error
    return None
