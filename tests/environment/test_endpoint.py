"""Upload, addressing and an object's address agree, whoever said where the bucket is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from botocore.awsrequest import AWSPreparedRequest

from sidecar.core.clock import SystemClock
from sidecar.core.errors import FatalError
from sidecar.settings.s3 import S3
from sidecar.upload.s3.clients import open_clients
from sidecar.upload.s3.endpoint import S3Config, object_url, s3_config

KEYS = {"access_key_id": "AKID", "secret_access_key": "secret"}
MINIO = "http://minio.local:9000"
CONFIG = """
[profile west]
region = eu-west-1
[profile minio]
services = local
region = minio-1
s3 =
  addressing_style = virtual
[services local]
s3 =
  endpoint_url = http://minio.local:9000/
[profile everything]
endpoint_url = http://minio.local:9000
ignore_configured_endpoint_urls = false
[profile ignoring]
endpoint_url = http://minio.local:9000
ignore_configured_endpoint_urls = true
[profile fast]
s3 =
  use_accelerate_endpoint = true
[profile dual]
use_dualstack_endpoint = true
[profile broken]
services = nowhere
"""
_SENTENCE = r"^the shared AWS configuration: "
pytestmark = pytest.mark.usefixtures("environ")


def config(**settings: Any) -> S3Config:
    return s3_config(S3.model_validate({"bucket": "lessons"} | KEYS | settings))


async def asked(told: S3Config) -> str:
    """Return the address of the request for an object, as botocore would send it."""
    urls: list[str] = []

    def catch(request: AWSPreparedRequest, **_: Any) -> None:
        urls.append(request.url)
        raise LookupError  # nothing is sent

    async with open_clients(told, connections=1, clock=SystemClock()) as clients:
        (await clients.api.client()).meta.events.register("before-send.s3", catch)
        with pytest.raises(LookupError):
            await clients.api.head_object(Bucket=told.bucket, Key="a b/é.mp4")
    return urls[0]


@pytest.mark.parametrize(
    ("variables", "settings", "base"),
    [
        ({}, {}, "https://lessons.s3.us-east-1.amazonaws.com"),
        ({"AWS_ENDPOINT_URL_S3": MINIO}, {}, f"{MINIO}/lessons"),
        ({"AWS_ENDPOINT_URL": f"{MINIO}/"}, {}, f"{MINIO}/lessons"),
        ({"AWS_ENDPOINT_URL": "http://other", "AWS_ENDPOINT_URL_S3": MINIO}, {}, f"{MINIO}/lessons"),
        ({"AWS_ENDPOINT_URL_S3": MINIO}, {"endpoint_url": "http://own:1"}, "http://own:1/lessons"),
        ({"AWS_ENDPOINT_URL_S3": MINIO}, {"addressing": "virtual"}, "http://lessons.minio.local:9000"),
        (
            {"AWS_ENDPOINT_URL_S3": MINIO, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"},
            {},
            "https://lessons.s3.us-east-1.amazonaws.com",
        ),
        (
            {"AWS_ENDPOINT_URL_S3": "https://s3.eu-west-2.amazonaws.com", "AWS_REGION": "eu-west-2"},
            {},
            "https://lessons.s3.eu-west-2.amazonaws.com",
        ),
        ({"AWS_PROFILE": "minio"}, {}, "http://lessons.minio.local:9000"),
        ({"AWS_PROFILE": "minio"}, {"addressing": "path"}, f"{MINIO}/lessons"),
        ({"AWS_PROFILE": "everything"}, {}, f"{MINIO}/lessons"),
        ({"AWS_PROFILE": "ignoring"}, {}, "https://lessons.s3.us-east-1.amazonaws.com"),
        ({"AWS_PROFILE": "west"}, {}, "https://lessons.s3.eu-west-1.amazonaws.com"),
        (
            {"AWS_PROFILE": "west", "AWS_DEFAULT_REGION": "eu-north-1"},
            {},
            "https://lessons.s3.eu-north-1.amazonaws.com",
        ),
        (
            {"AWS_REGION": "eu-north-1", "AWS_DEFAULT_REGION": "eu-west-3"},
            {},
            "https://lessons.s3.eu-north-1.amazonaws.com",
        ),
        ({"AWS_REGION": "eu-north-1"}, {"region": "us-east-1"}, "https://lessons.s3.us-east-1.amazonaws.com"),
        ({"AWS_REGION": "cn-north-1"}, {}, "https://lessons.s3.cn-north-1.amazonaws.com.cn"),
        ({"AWS_USE_DUALSTACK_ENDPOINT": "true"}, {}, "https://lessons.s3.dualstack.us-east-1.amazonaws.com"),
        (
            {"AWS_PROFILE": "dual", "AWS_USE_FIPS_ENDPOINT": "true"},
            {},
            "https://lessons.s3-fips.dualstack.us-east-1.amazonaws.com",
        ),
        (
            {"AWS_PROFILE": "dual", "AWS_USE_DUALSTACK_ENDPOINT": "false"},
            {},
            "https://lessons.s3.us-east-1.amazonaws.com",
        ),
        ({"AWS_PROFILE": "fast"}, {}, "https://lessons.s3-accelerate.amazonaws.com"),
        ({"AWS_PROFILE": "fast"}, {"addressing": "path"}, "https://s3.us-east-1.amazonaws.com/lessons"),
        (
            {
                "AWS_USE_DUALSTACK_ENDPOINT": "true",
                "AWS_USE_FIPS_ENDPOINT": "true",
                "AWS_ENDPOINT_URL": MINIO,
            },
            {},
            f"{MINIO}/lessons",
        ),
        ({"AWS_PROFILE": "gone"}, {}, "https://lessons.s3.us-east-1.amazonaws.com"),
        (
            {
                "AWS_S3_US_EAST_1_REGIONAL_ENDPOINT": "nonsense",
                "AWS_DEFAULTS_MODE": "nonsense",
                "AWS_MAX_ATTEMPTS": "x",
                "AWS_RETRY_MODE": "nonsense",
            },
            {},
            "https://lessons.s3.us-east-1.amazonaws.com",
        ),
    ],
)
async def test_an_object_is_where_it_was_sent_to(
    variables: dict[str, str],
    settings: dict[str, Any],
    base: str,
    environ: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    (tmp_path / "config").write_text(CONFIG)
    for name, value in variables.items():
        environ.setenv(name, value)
    told = config(**settings)
    assert object_url(told, "a b/é.mp4") == f"{base}/a%20b/%C3%A9.mp4"
    assert await asked(told) == object_url(told, "a b/é.mp4")


async def test_a_store_of_ones_own_keeps_the_region_of_the_settings(environ: pytest.MonkeyPatch) -> None:
    """Every pod on AWS has an AWS_REGION, and most other stores know no region but us-east-1."""
    environ.setenv("AWS_REGION", "eu-west-1")
    assert config(endpoint_url=MINIO).region == "us-east-1"
    environ.setenv("AWS_ENDPOINT_URL_S3", MINIO)
    assert config().region == "eu-west-1"


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"AWS_ENDPOINT_URL_S3": "minio:9000"}, "AWS_ENDPOINT_URL_S3: 'minio:9000' is no URL"),
        ({"AWS_ENDPOINT_URL": "http://u:secret@minio"}, "AWS_ENDPOINT_URL: a URL holds no user name"),
        ({"AWS_REGION": "eu west"}, "AWS_REGION: 'eu west' is no region"),
    ],
)
def test_what_cannot_be_is_one_sentence_that_names_the_variable(
    variables: dict[str, str], sentence: str, environ: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        environ.setenv(name, value)
    with pytest.raises(FatalError, match=f"^{sentence}") as caught:
        config()
    assert caught.value.exit_status == 78
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("profile", ["gone", "broken", "default"])
def test_a_profile_that_cannot_be_read_matters_only_to_whom_it_gives_the_keys(
    profile: str, environ: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "config").write_text("no section\n" if profile == "default" else CONFIG)
    environ.setenv("AWS_PROFILE", profile)
    assert config().region == "us-east-1"
    with pytest.raises(FatalError, match=_SENTENCE) as caught:
        config(access_key_id=None, secret_access_key=None)
    assert caught.value.exit_status == 78
    environ.setenv("AWS_ACCESS_KEY_ID", "AKID")
    assert config(access_key_id=None, secret_access_key=None).alone
    with pytest.raises(FatalError, match=_SENTENCE):
        config(access_key_id=None, secret_access_key=None, profile=profile)


@pytest.mark.parametrize("kind", ["folder", "not UTF-8", "away"])
def test_a_configuration_that_is_no_file_says_nothing(kind: str, tmp_path: Path) -> None:
    """As for every other program that reads it; what is no text cannot be believed."""
    if kind == "folder":
        (tmp_path / "config").mkdir()
    elif kind == "not UTF-8":
        (tmp_path / "config").write_bytes(b"\xff\xfe[default]\n")
    assert config().endpoint_url is None


async def test_keys_of_the_environment_do_without_a_profile(environ: pytest.MonkeyPatch) -> None:
    """AWS_PROFILE names one of another machine: what signs is what is here."""
    environ.setenv("AWS_PROFILE", "gone")
    environ.setenv("AWS_ACCESS_KEY_ID", "AKID")
    environ.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    told = config(access_key_id=None, secret_access_key=None, endpoint_url="http://127.0.0.1:9")
    assert await asked(told) == "http://127.0.0.1:9/lessons/a%20b/%C3%A9.mp4"


def test_nobody_is_asked_what_the_settings_say(environ: pytest.MonkeyPatch) -> None:
    environ.setenv("AWS_ENDPOINT_URL", "nonsense")
    environ.setenv("AWS_REGION", "non sense")
    assert config(endpoint_url=MINIO, region="r").bucket_url == f"{MINIO}/lessons"
    with pytest.raises(FatalError, match="AWS_ENDPOINT_URL"):
        config(region="r")
    environ.setenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "TRUE")
    assert config(region="r").endpoint_url is None
