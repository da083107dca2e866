"""`s3.checksum: auto`: transfers through fronts that know fewer checksums than the store behind them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from sidecar.core.breaker import BreakerState
from sidecar.core.checksum_algorithms import Algorithm, Confirmed, StoreSupport
from sidecar.core.clock import SystemClock
from sidecar.core.errors import ErrorKind
from sidecar.core.model import State, Transfer
from sidecar.journal.stores.multipart import MultipartUploads
from sidecar.journal.stores.uploads import Uploads
from sidecar.local.seaweed import SeaweedServer
from sidecar.upload.checksum_negotiation import ChecksumNegotiation, open_negotiation
from tests.support.front import Front, Manner, Talk, front_before, plain, told
from tests.support.seaweed import config_for, store_on
from tests.support.stores import (
    NEW,
    algorithm_of,
    ends,
    first,
    knowing_nothing,
    parts,
    refusing,
    silent,
)

from .rig import HASTY, PART, Rig, content, hang, lose, rig_on, running

FILM = PART + 7
CRC64NVME, CRC32C, SHA256, MD5 = Algorithm


@dataclass(slots=True)
class Shop:
    """A sidecar's upload half that sees its bucket through a front."""

    rig: Rig
    front: Front
    seaweed: SeaweedServer
    named: list[str]  # operation and algorithm of each request that names one

    async def ship(self, *files: bytes, name: str = "a") -> list[Transfer]:
        """Bring files to S3, side by side; nothing may be held against them or the remote."""
        made = [await self.rig.file(data, f"{name}{n}.mp4") for n, data in enumerate(files)]
        gate = self.rig.gate(SystemClock())
        async with running(self.rig.stage(gate=gate)):
            done = [await self.rig.until(transfer, State.UPLOADED, State.DEAD) for transfer in made]
        assert [(one.state, one.failures, one.error_kind) for one in done] == [
            (State.UPLOADED, 0, None)
        ] * len(done)
        assert (gate.state, gate.last_error) == (BreakerState.CLOSED, None)
        client = self.seaweed.client()
        for one, data in zip(done, files, strict=True):
            assert client.get_object(Bucket=self.rig.bucket, Key=one.key)["Body"].read() == data
        return done

    @property
    def found(self) -> tuple[str, str]:
        """Return what the next PUT and the next upload in parts begin with."""
        return self.rig.checking.put, self.rig.checking.multipart


@asynccontextmanager
async def shop_with(
    manner: Manner, seaweed: SeaweedServer, bucket: str, folder: Path, *, strictly: Algorithm | None = None
) -> AsyncIterator[Shop]:
    """Open one; on the same folder it is a restart."""
    named: list[str] = []

    async def noting(talk: Talk) -> bool:
        if talk.method in {"PUT", "POST"} and (algorithm := algorithm_of(talk)):
            named.append(f"{'create' if 'uploads' in talk.target else talk.method.lower()} {algorithm}")
        return await manner(talk)

    async with front_before(seaweed.endpoint_url, noting) as front:
        changes = {"endpoint_url": front.url, "checksum": strictly}
        async with (
            store_on(seaweed, bucket, **changes) as store,
            rig_on(store, folder, bucket=bucket) as rig,
        ):
            config = replace(config_for(seaweed, bucket), checksum=strictly)
            rig.checking = await open_negotiation(config, rig.writer)
            yield Shop(rig=rig, front=front, seaweed=seaweed, named=named)


STORES = {
    "as S3 is": (plain, CRC64NVME, CRC64NVME),
    "Ceph's gateway of 16.2": (silent(), MD5, MD5),
    "crc32c alone": (silent(on=["crc64nvme"]), CRC32C, CRC32C),
    "refuses the newest": (refusing(on=["crc64nvme"]), CRC32C, CRC32C),
    "refuses all by 501": (refusing(status=501, code="NotImplemented"), MD5, MD5),
    "refuses all and says nothing": (knowing_nothing(), MD5, MD5),
    "refuses one, is silent on others": (refusing(on=["crc64nvme"], code="InvalidRequest"), CRC32C, CRC32C),
    "refuses in parts alone": (refusing(about=parts), CRC64NVME, MD5),
    "confirms parts and never the whole": (silent(about=ends), CRC64NVME, MD5),
    "takes parts for lost where the whole is named": (
        refusing(on=["crc64nvme"], about=ends, code="InvalidPart"), CRC64NVME, CRC32C,
    ),
    "refuses the whole one's in the end": (
        refusing(on=["crc64nvme", "crc32c"], about=ends, code="MalformedXML"), CRC64NVME, SHA256,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", STORES)
async def test_each_way_takes_the_best_that_the_store_confirms(
    name: str, seaweed: SeaweedServer, bucket: str, tmp_path: Path
) -> None:
    """Everything arrives at once, nothing spends an attempt or opens the breaker, and a restart knows."""
    manner, put, multipart = STORES[name]
    async with shop_with(manner, seaweed, bucket, tmp_path) as shop:
        for n in range(2):
            await shop.ship(content(100), name=f"small{n}")
        for n in range(2):
            await shop.ship(content(FILM), name=f"film{n}")
        assert shop.found == (put, multipart)
        assert shop.rig.checking.is_found
    async with shop_with(manner, seaweed, bucket, tmp_path) as shop:
        assert shop.found == (put, multipart)
        await shop.ship(content(100), content(FILM), name="later")
        assert {one.split(" ")[1] for one in shop.named} <= {put, multipart}
        assert await shop.rig.open_uploads() == []


async def test_a_film_alone_costs_one_part_of_each_algorithm(
    seaweed: SeaweedServer, bucket: str, tmp_path: Path
) -> None:
    """Nobody sends all of it in vain: the first part's answer tells. Three objections are enough."""
    async with shop_with(silent(), seaweed, bucket, tmp_path) as shop:
        await shop.ship(content(3 * PART))
        assert [shop.rig.store.calls.count(f"part {n}") for n in (1, 2, 3)] == [4, 1, 1]
        assert shop.found == (CRC64NVME, MD5)


async def test_one_answer_that_was_stripped_changes_nothing(
    seaweed: SeaweedServer, bucket: str, tmp_path: Path
) -> None:
    """The file goes under another one at once, and the next one under the best."""
    async with shop_with(first(1, silent()), seaweed, bucket, tmp_path) as shop:
        await shop.ship(content(100), name="a")
        await shop.ship(content(100), name="b")
        assert shop.named == ["put crc64nvme", "put crc32c", "put crc64nvme"]
        assert shop.found == (CRC64NVME, CRC64NVME)


async def test_a_moment_of_a_bad_proxy_is_one_proof(
    seaweed: SeaweedServer, bucket: str, tmp_path: Path
) -> None:
    """Eight files side by side are stripped: what is found out next counts from there."""
    async with shop_with(first(8, silent()), seaweed, bucket, tmp_path) as shop:
        await shop.ship(*[content(100) for _ in range(8)], name="a")
        assert shop.found == (CRC64NVME, CRC64NVME)
        await shop.ship(content(100), name="b")
        assert shop.named[-1] == "put crc64nvme"


async def test_a_store_that_came_to_refuse_what_was_found_is_asked_for_the_others(
    seaweed: SeaweedServer, bucket: str, tmp_path: Path
) -> None:
    """It is another store under the same address."""
    async with shop_with(silent(), seaweed, bucket, tmp_path) as shop:
        for n in range(2):
            await shop.ship(content(100), name=f"small{n}")
        assert shop.found == (MD5, MD5)
    async with shop_with(refusing(on=["md5"]), seaweed, bucket, tmp_path) as shop:
        await shop.ship(content(100), name="later")
        assert shop.found == (CRC64NVME, CRC64NVME)


async def test_what_is_refused_whatever_it_is_checked_by_is_not_the_checksums_fault(
    seaweed: SeaweedServer, bucket: str, tmp_path: Path
) -> None:
    """The breaker opens with the store's own words, nothing is learnt, and no file is buried."""
    async with shop_with(refusing(on=[*NEW, "md5"]), seaweed, bucket, tmp_path) as shop:
        transfer = await shop.rig.file(content(100))
        gate = shop.rig.gate(SystemClock())
        async with running(shop.rig.stage(gate=gate)):
            while gate.state is not BreakerState.OPEN:
                await asyncio.sleep(0.01)
        error = gate.last_error
        assert error is not None
        assert "with every checksum" in (error.hint or "")
        assert (await shop.rig.now(transfer)).failures == 0
        assert (shop.found, shop.rig.checking.is_found) == ((CRC64NVME, CRC64NVME), False)


async def test_other_bytes_than_were_sent_are_never_a_reason(
    seaweed: SeaweedServer, bucket: str, tmp_path: Path
) -> None:
    """A store that shows another checksum is asked again with the same one."""
    mends = asyncio.Event()

    async def other(talk: Talk) -> bool:
        said = await talk.ask()
        if not mends.is_set():
            headers = tuple(
                (name, "AAAAAAAAAAA=" if name.lower() == "x-amz-checksum-crc64nvme" else value)
                for name, value in said.head.headers
            )
            said = replace(said, head=replace(said.head, headers=headers))
        return await told(talk, said)

    async with shop_with(other, seaweed, bucket, tmp_path) as shop:
        transfer = await shop.rig.file(content(100))
        async with running(
            shop.rig.stage(gate=shop.rig.gate(SystemClock(), retry=replace(HASTY, attempts=100)))
        ):
            while len(shop.named) < 2:
                await asyncio.sleep(0.01)
            mends.set()
            await shop.rig.until(transfer, State.UPLOADED)
        assert set(shop.named) == {"put crc64nvme"}


async def test_an_object_that_was_never_confirmed_settles_nothing_after_a_kill(
    seaweed: SeaweedServer, bucket: str, tmp_path: Path
) -> None:
    """It lies there with our name and size; what checks by MD5 by now sends it again."""
    async with shop_with(silent(), seaweed, bucket, tmp_path) as shop:
        for n in range(2):
            await shop.ship(content(100), name=f"small{n}")
        data = content(100)
        transfer = await shop.rig.file(data, "killed.mp4")
        await shop.rig.writer.do(Uploads.begin_put, transfer.row_id)
        shop.seaweed.client().put_object(
            Bucket=bucket, Key=transfer.key, Body=b"?" * 100, Metadata={"transfer": transfer.transfer_id}
        )
        async with running(shop.rig.stage()):
            await shop.rig.until(transfer, State.UPLOADED)
        got = shop.seaweed.client().get_object(Bucket=bucket, Key=transfer.key)["Body"].read()
        assert (got, shop.named[-1]) == (data, "put md5")


@pytest.mark.parametrize("way", ["put", "complete"])
async def test_under_md5_a_lost_answer_is_settled_by_the_object(
    way: str, seaweed: SeaweedServer, bucket: str, tmp_path: Path
) -> None:
    """It says itself that it was sent with its MD5: nothing is sent twice."""
    async with shop_with(silent(), seaweed, bucket, tmp_path, strictly=MD5) as shop:

        async def lose_once() -> None:
            del shop.rig.store.after[way]
            await lose()

        shop.rig.store.after[way] = lose_once
        transfer = await shop.rig.file(content(100 if way == "put" else FILM))
        async with running(shop.rig.stage()):
            await shop.rig.until(transfer, State.UPLOADED)
        assert shop.rig.store.calls.count(way) == 1


async def begun_film(seaweed: SeaweedServer, bucket: str, tmp_path: Path) -> Transfer:
    """Let a life end when two of a film's three parts are there."""
    async with shop_with(plain, seaweed, bucket, tmp_path) as shop:
        film = await shop.rig.file(content(3 * PART), "film.mp4")
        shop.rig.store.before["part 3"] = hang
        async with running(shop.rig.stage()):
            while len(await shop.rig.writer.do(MultipartUploads.parts, film.row_id)) < 2:
                await asyncio.sleep(0.01)
    return film


async def test_an_open_upload_goes_on_as_it_was_begun(
    seaweed: SeaweedServer, bucket: str, tmp_path: Path
) -> None:
    """What was found out meanwhile is for what begins: no part is sent again."""
    film = await begun_film(seaweed, bucket, tmp_path)
    async with shop_with(plain, seaweed, bucket, tmp_path) as shop:
        found = StoreSupport(put=Confirmed(algorithm=MD5, is_found=True))
        shop.rig.checking = ChecksumNegotiation(strictly=None, known=found)
        async with running(shop.rig.stage()):
            await shop.rig.until(film, State.UPLOADED)
        assert shop.rig.store.parts() == ["part 3"]
        assert "create" not in shop.rig.store.calls


@pytest.mark.parametrize("strictly", [None, CRC32C])
async def test_an_open_upload_is_begun_anew_where_its_algorithm_is_not_taken(
    strictly: Algorithm | None, seaweed: SeaweedServer, bucket: str, tmp_path: Path
) -> None:
    """The store refuses it now, or s3.checksum names another one; the old one does not stay open."""
    film = await begun_film(seaweed, bucket, tmp_path)
    refuses = refusing(on=["crc64nvme"])
    async with shop_with(refuses, seaweed, bucket, tmp_path, strictly=strictly) as shop:
        async with running(shop.rig.stage()):
            done = await shop.rig.until(film, State.UPLOADED)
            while await shop.rig.open_uploads():
                await asyncio.sleep(0.01)
        assert (done.failures, done.error_kind) == (0, None)
        assert shop.named[-1] == "post crc32c" or "create crc32c" in shop.named


@pytest.mark.parametrize("strictly", NEW)
async def test_an_explicit_one_stays_strict(
    strictly: str, seaweed: SeaweedServer, bucket: str, tmp_path: Path
) -> None:
    """However often it is tried: no object that was not confirmed passes, and the hint says the way out."""
    async with shop_with(silent(), seaweed, bucket, tmp_path, strictly=Algorithm(strictly)) as shop:
        transfer = await shop.rig.file(content(100))
        gate = shop.rig.gate(SystemClock())
        async with running(shop.rig.stage(gate=gate)):
            while shop.rig.store.calls.count("put") < 3 and (await shop.rig.now(transfer)).etag is None:
                await asyncio.sleep(0.01)
        now = await shop.rig.now(transfer)
        assert (now.state, now.failures) == (State.READY, 0)
        assert set(shop.named) == {f"put {strictly}"}
        assert gate.last_error is not None
        assert gate.last_error.kind is ErrorKind.FORBIDDEN
        assert re.search(r"s3\.checksum: auto.*s3\.checksum: md5", gate.last_error.hint or "")
