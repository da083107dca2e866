"""The real server goes away in the middle, and comes back."""

from __future__ import annotations

import asyncio
from pathlib import Path

from sidecar.core.model import State
from sidecar.journal.stores.multipart import MultipartUploads
from sidecar.local.seaweed import SeaweedServer
from tests.support.seaweed import store_on

from .rig import FILM, content, eventually, rig_on, running


async def test_a_server_that_dies_under_an_upload_costs_nothing(tmp_path: Path) -> None:
    """Killed with parts in flight: after its restart the rest goes, and no attempt was spent."""
    async with (
        SeaweedServer(folder=tmp_path / "weed") as server,
        store_on(server, server.bucket) as store,
        rig_on(store, tmp_path, bucket=server.bucket) as rig,
    ):
        body = content()
        film, small = await rig.file(body), await rig.file(content(10), "small.mp4", scene="s2")

        async def crash() -> None:
            del rig.store.before["part 4"]
            await asyncio.to_thread(server.kill)

        rig.store.before["part 4"] = crash
        async with running(rig.stage()):

            async def tried_in_vain() -> bool:
                return rig.store.calls.count("probe") > 2

            await eventually(tried_in_vain)
            failures = [(await rig.now(transfer)).failures for transfer in (film, small)]
            await server.restart_async()
            await rig.until(film, State.UPLOADED)
            await rig.until(small, State.UPLOADED)
        assert failures == [0, 0]
        assert await rig.open_uploads() == []
        answer = server.client().get_object(Bucket=server.bucket, Key=film.key)
        assert answer["Body"].read() == body
        assert len(body) == FILM
        assert await rig.writer.do(MultipartUploads.parts, film.row_id) == []
