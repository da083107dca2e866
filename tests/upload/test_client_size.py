"""What an S3 client brings along besides itself: looked at in a process that has made nothing else."""

from __future__ import annotations

import asyncio
import gc
import json
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest
from botocore.regions import EndpointResolver

from sidecar.core.clock import SystemClock
from sidecar.upload.s3.clients import open_clients
from sidecar.upload.s3.credentials import Keys
from sidecar.upload.s3.endpoint import S3Config

CONFIG = S3Config(
    bucket="lessons",
    region="us-east-1",
    endpoint_url="http://127.0.0.1:9",
    keys=lambda: Keys(access_key_id="a", secret_access_key="s", session_token=None),
)
LISTED = replace(CONFIG, endpoint_url=None, fips=True)  # Amazon's list says whether the region has that
UNNEEDED = {"s3transfer", "boto3.s3.transfer", "multiprocessing.pool"}


@pytest.fixture(scope="module")
def client() -> dict[str, Any]:
    """Make one in a process of its own; return what is said of it."""
    program = "from tests.upload.test_client_size import tell; tell()"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    said: dict[str, Any] = json.loads(done.stdout)
    return said


def tell() -> None:
    """Print what there is once a client is."""
    print(json.dumps(asyncio.run(_made())))  # noqa: T201 - whoever started it reads this


async def _made() -> dict[str, Any]:
    lists = []
    for config in (LISTED, CONFIG):
        async with open_clients(config, connections=1, clock=SystemClock()) as clients:
            lists += [
                one.get_available_partitions() for one in gc.get_objects() if type(one) is EndpointResolver
            ]
            where = {"Bucket": CONFIG.bucket, "Key": "k"}
            url = await (await clients.api.client()).generate_presigned_url("get_object", Params=where)
    return {"lists": lists, "unneeded": sorted(UNNEEDED.intersection(sys.modules)), "url": url}


def test_amazons_list_of_endpoints_is_let_go(client: dict[str, Any]) -> None:
    """It is 7 MiB, and only the making of some clients needs it; addresses are made without it."""
    assert len(client["lists"]) > 1
    assert not any(client["lists"])
    assert client["url"].startswith("http://127.0.0.1:9/lessons/k?")


def test_methods_for_whole_files_are_not_loaded(client: dict[str, Any]) -> None:
    """They come with s3transfer and multiprocessing; the sidecar sends parts and small bodies."""
    assert client["unneeded"] == []
