"""Amazon's list of endpoints is read where it knows more than S3's rules; else requests are as with it."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.awsrequest import AWSResponse

from sidecar.core.clock import SystemClock
from sidecar.core.errors import FatalError
from sidecar.upload.s3 import client as made
from sidecar.upload.s3.body_client import BodyClient
from sidecar.upload.s3.clients import open_clients
from sidecar.upload.s3.core_session import open_core
from sidecar.upload.s3.credentials import Keys
from sidecar.upload.s3.endpoint import S3Config

CALLS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("list_multipart_uploads", {}),
    ("head_object", {"Key": "a b/k.mp4"}),
    ("delete_objects", {"Delete": {"Objects": [{"Key": "k"}]}}),
)
HEADERS_OF_A_MOMENT = {"X-Amz-Date", "amz-sdk-invocation-id", "User-Agent"}


def config(**fields: Any) -> S3Config:
    """Return one with keys."""
    keys = Keys(access_key_id="a", secret_access_key="s")
    named: dict[str, Any] = {"bucket": "lessons", **fields}
    return S3Config(keys=lambda: keys, **named)


async def sent(settings: S3Config) -> list[Any]:
    """Return where bodies go, and what the client would send: addresses, and headers but for the time's."""
    said: list[Any] = []

    def catch(request: Any, **_: Any) -> AWSResponse:
        named = {name: value for name, value in request.headers.items() if name not in HEADERS_OF_A_MOMENT}
        scope = str(named.pop("Authorization", "")).partition("Signature=")[0]
        said.append((request.method, request.url, scope, sorted(map(str, named.items()))))
        return AWSResponse(request.url, 404, {}, None)

    async with open_clients(settings, connections=1, clock=SystemClock()) as clients:
        bodies = clients.bodies
        said.append((bodies._door.base, bodies._door.region) if isinstance(bodies, BodyClient) else None)
        (await clients.api.client()).meta.events.register("before-send.s3", catch)
        for name, fields in CALLS:
            try:
                await getattr(clients.api, name)(Bucket=settings.bucket, **fields)
            except Exception as error:  # noqa: BLE001 - whatever an empty answer is taken for
                said.append(type(error).__name__)
    return said


@pytest.mark.parametrize(
    "fields",
    [
        *({"region": region} for region in ("us-east-1", "eu-west-1", "cn-north-1", "us-gov-west-1")),
        *({"region": region} for region in ("us-iso-east-1", "eusc-de-east-1", "xy-unheard-1", "garage")),
        {"region": "us-east-1", "bucket": "les.sons"},
        {"region": "us-east-1", "addressing": "path"},
        {"region": "eu-west-1", "accelerate": True},
        {"region": "us-east-1", "bucket": "lessons--use1-az4--x-s3"},
        {"region": "us-east-1", "endpoint_url": "http://127.0.0.1:9"},
        {"region": "garage", "endpoint_url": "https://store.lan/s3", "addressing": "virtual"},
        {"region": "cn-north-1", "endpoint_url": "https://s3.cn-north-1.amazonaws.com.cn"},
    ],
    ids=str,
)
async def test_requests_are_as_with_the_list(fields: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Where they go, for which region they are signed, and all that they say."""
    without = await sent(config(**fields))
    asked: list[bool] = []

    def with_list(*, with_endpoints: bool) -> Any:
        asked.append(with_endpoints)
        return open_core(with_endpoints=True)

    monkeypatch.setattr(made, "open_core", with_list)
    assert await sent(config(**fields)) == without
    assert asked == [False]


@pytest.mark.parametrize("fields", [{"dualstack": True}, {"fips": True, "dualstack": True}])
async def test_a_region_without_a_variant_is_refused_at_the_start(fields: dict[str, Any]) -> None:
    """The list knows; the rules would make an address that does not exist."""
    with pytest.raises(FatalError, match="dualstack"):
        await sent(config(region="eusc-de-east-1", **fields))


async def test_the_region_of_the_list_alone_is_known() -> None:
    """Requests for Amazon's global endpoint are signed for its home."""
    door = (await sent(config(region="aws-global")))[0]
    assert door[1] == "us-east-1"
    assert door[0].host == "lessons.s3.amazonaws.com"
