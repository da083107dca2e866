"""The session that knows S3 alone makes clients that do what the client library's own do."""

from __future__ import annotations

import os
from typing import Any

import pytest
from aiobotocore.session import AioSession
from botocore import handlers
from botocore.exceptions import UnknownServiceError
from botocore.loaders import JSONFileLoader

from sidecar.upload.s3.core_session import is_for_s3, open_core

KEYS = {"aws_access_key_id": "a", "aws_secret_access_key": "s", "region_name": "eu-central-1"}
KINDS = {event.partition(".")[0] for event, *_ in handlers.BUILTIN_HANDLERS} - {"docs", "getattr"}


def heard(session: AioSession, event: str) -> list[Any]:
    """Return what listens for an event, in its order."""
    return list(session.get_component("event_emitter")._emitter._handlers.prefix_search(event))


async def operations() -> list[str]:
    """Return the names of all that S3 knows."""
    async with AioSession().create_client("s3", **KEYS) as client:
        return list(client.meta.service_model.operation_names)


async def test_all_that_listens_for_s3_listens_here() -> None:
    """For every kind of event and every operation, in the same order."""
    full, ours = AioSession(), open_core(with_endpoints=True)
    compared = 0
    for kind in sorted(KINDS):
        for event in (kind, f"{kind}.s3", *[f"{kind}.s3.{name}" for name in await operations()]):
            assert heard(ours, event) == heard(full, event), event
            compared += len(heard(full, event))
    assert compared > 1000


async def test_no_other_service_is_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Folders are listed for the version of S3's description alone."""
    listed, own = list[str](), os.listdir

    def counting(path: Any = ".") -> Any:
        listed.append(str(path))
        return own(path)

    monkeypatch.setattr(os, "listdir", counting)
    core = open_core(with_endpoints=False)
    async with core.create_client("s3", **KEYS) as client:
        assert client.meta.service_model.service_name == "s3"
    assert {path.rpartition("/")[2] for path in listed} <= {"s3"}
    with pytest.raises(UnknownServiceError):
        await core.create_client("sts", **KEYS).__aenter__()


async def test_amazons_list_of_endpoints_is_read_where_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is a third of what the making of a client takes."""
    read, own = list[str](), JSONFileLoader.load_file

    def reading(self: JSONFileLoader, path: str) -> Any:
        read.append(path.rpartition("/")[2])
        return own(self, path)

    monkeypatch.setattr(JSONFileLoader, "load_file", reading)
    for asked in (False, True):
        read.clear()
        async with open_core(with_endpoints=asked).create_client("s3", **KEYS) as client:
            assert client.meta.region_name == KEYS["region_name"]
        assert ("endpoints" in read) is asked
        assert "partitions" in read


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        *[("choose-signer", True), ("before-call.s3", True), ("before-parse.s3.*", True), ("x.*.Get", True)],
        *[("before-call.glacier", False), ("before-parameter-build.s3-control", False)],
        ("docs.*.s3.CopyObject.complete-section", False),
    ],
)
def test_events_are_told_apart_by_their_service(event: str, *, expected: bool) -> None:
    """One without a service is everybody's; documents are nobody's here."""
    assert is_for_s3(event) is expected
