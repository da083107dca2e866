"""How S3 is asked to keep an object: its encryption, tags, class. moto shows what SeaweedFS has not."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

from sidecar.core.clock import SystemClock
from sidecar.files import checksum_of
from sidecar.settings import S3
from sidecar.upload.s3.endpoint import s3_config
from sidecar.upload.s3.object_store import open_store
from sidecar.upload.store import Body, ObjectSpec, OpenUpload

KEY = "arn:aws:kms:us-east-1:123456789012:key/11111111-2222-3333-4444-555555555555"

TAGS = {"project": "algebra/1 +ü", "kind": "a"}


@pytest.fixture
def endpoint() -> Iterator[str]:
    """Serve moto."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.mark.parametrize("multipart", [False, True])
async def test_objects_are_kept_as_the_settings_and_their_rule_say(
    endpoint: str, tmp_path: Path, multipart: bool
) -> None:
    """In one PUT and in parts: the KMS key, the bucket's key, tags, storage class and disposition."""
    keys = {"access_key_id": "testing", "secret_access_key": "testing"}
    client = boto3.client(
        "s3", endpoint_url=endpoint, region_name="us-east-1",
        aws_access_key_id="testing", aws_secret_access_key="testing",
    )  # fmt: skip
    client.create_bucket(Bucket="lessons")
    encryption = {"mode": "aws:kms", "kms_key_id": KEY, "bucket_key": True}
    settings = S3.model_validate(
        {
            "bucket": "lessons",
            "endpoint_url": endpoint,
            "checksum": "md5",  # moto checks none
            "encryption": encryption,
            **keys,
        }
    )
    path = tmp_path / "x"
    path.write_bytes(b"some bytes")
    spec = ObjectSpec(
        bucket="lessons",
        key="k",
        content_type="text/plain",
        cache_control=None,
        metadata={"transfer": "T"},
        tags=TAGS,
        storage_class="STANDARD_IA",
        content_disposition="attachment",
    )
    fd = os.open(path, os.O_RDONLY)
    body = Body(fd=fd, offset_bytes=0, length_bytes=10)
    checksum = checksum_of(fd, 0, 10)
    async with open_store(s3_config(settings), clock=SystemClock(), connections=2) as store:
        if multipart:
            upload = OpenUpload(key="k", upload_id=await store.create(spec))
            part = await store.put_part(upload, body, number=1)
            await store.complete(upload, [part], checksum=checksum)
        else:
            await store.put(spec, body, checksum=checksum)
    os.close(fd)
    head = client.head_object(Bucket="lessons", Key="k")
    assert (head["ServerSideEncryption"], head["SSEKMSKeyId"]) == ("aws:kms", KEY)
    assert multipart or head["BucketKeyEnabled"]  # moto forgets it at Create
    assert (head["StorageClass"], head["ContentDisposition"]) == ("STANDARD_IA", "attachment")
    tagged = client.get_object_tagging(Bucket="lessons", Key="k")["TagSet"]
    assert {one["Key"]: one["Value"] for one in tagged} == TAGS
    client.close()
