from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from sidecar.core.model import StoredObject
from sidecar.upload.metadata import is_of, object_spec
from sidecar.upload.s3.endpoint import S3Config, object_url
from sidecar.upload.store import ObjectHead
from tests.support.journals import open_journal, ready

AWS = S3Config(bucket="lessons", region="eu-west-1")
LOCAL = replace(AWS, endpoint_url="http://127.0.0.1:8333")


@pytest.mark.parametrize(
    ("config", "url"),
    [
        (AWS, "https://lessons.s3.eu-west-1.amazonaws.com/a%20b/%C3%A9%2B%27.mp4"),
        (replace(AWS, bucket="my.lessons"), "https://s3.eu-west-1.amazonaws.com/my.lessons/a%20b/%C3%A9%2B%27.mp4"),
        (replace(AWS, region="cn-north-1"),
         "https://lessons.s3.cn-north-1.amazonaws.com.cn/a%20b/%C3%A9%2B%27.mp4"),
        (replace(AWS, region="cn-north-1", addressing="path"),
         "https://s3.cn-north-1.amazonaws.com.cn/lessons/a%20b/%C3%A9%2B%27.mp4"),
        (LOCAL, "http://127.0.0.1:8333/lessons/a%20b/%C3%A9%2B%27.mp4"),
        (replace(AWS, endpoint_url="http://127.0.0.1:8333/"), "http://127.0.0.1:8333/lessons/a%20b/%C3%A9%2B%27.mp4"),
        (replace(LOCAL, addressing="virtual"), "http://lessons.127.0.0.1:8333/a%20b/%C3%A9%2B%27.mp4"),
        (replace(LOCAL, public_base_url="https://cdn.example/x/"), "https://cdn.example/x/a%20b/%C3%A9%2B%27.mp4"),
    ],
)  # fmt: skip
def test_an_objects_address_is_stable_and_percent_encoded(config: S3Config, url: str) -> None:
    """What a player opens; never signed."""
    assert object_url(config, "a b/é+'.mp4") == url


def test_an_object_says_whose_it_is_and_nothing_else(tmp_path: Path) -> None:
    """A sidecar's id of any text goes in as ASCII that decodes to it; the asset's metadata are Convex's."""
    transfer = ready(open_journal(tmp_path), "A")
    described = replace(transfer.route, metadata={"title": "x", "sidecar-id": "forged"})
    transfer = replace(transfer, route=described)
    assert object_spec(transfer, sidecar_id=" søren 100%\n").metadata == {
        "sidecar-id": "%20s%C3%B8ren 100%25%0A",
        "transfer": transfer.transfer_id,
        "slot": transfer.route.slot.digest,
    }


def test_a_lost_answer_is_settled_by_the_object_of_this_very_transfer_alone(tmp_path: Path) -> None:
    """An older one of the same bytes under a key that is used again proves nothing; nor does half of it."""
    transfer = ready(open_journal(tmp_path), "A")
    ours = ObjectHead(
        stored=StoredObject(bucket="lessons", key=transfer.key, etag="e"),
        size_bytes=transfer.size_bytes,
        checksum=transfer.checksum,
        metadata={"transfer": transfer.transfer_id},
    )
    assert is_of(ours, transfer)
    others = [
        replace(ours, metadata={"transfer": "another"}),
        replace(ours, size_bytes=transfer.size_bytes + 1),
        replace(ours, checksum="crc64nvme:B"),
        replace(ours, checksum=None),
    ]
    assert not any(is_of(other, transfer) for other in others)
    assert is_of(replace(ours, checksum=None, is_checked=True), transfer)
