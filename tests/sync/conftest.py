"""A real Convex server that trusts our own key, and the sync stage over a real journal."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from sidecar.core.breaker import BreakerPolicy
from sidecar.core.clock import SystemClock
from sidecar.core.ids import sidecar_tag
from sidecar.core.model import Transfer
from sidecar.core.retry import RetryPolicy
from sidecar.gate import RemoteGate
from sidecar.journal.journal import Journal
from sidecar.journal.stores.transfers import Transfers
from sidecar.journal.writer import JournalWriter
from sidecar.local.convex_server import ConvexServer, JwtTrust
from sidecar.metrics import Metrics
from sidecar.settings.convex import BatchSettings, Convex, JwtAuth
from sidecar.settings.secret import Secret
from sidecar.sync import signing_keys
from sidecar.sync.convex import open_store
from sidecar.sync.stage import SyncStage
from tests.support import journals
from tests.support.patience import DEADLINE_SECONDS
from tests.support.wire import Wire

ISSUER, AUDIENCE = "https://renderers.test", "render-sidecar"
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def key_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key made by our own command's code."""
    path = tmp_path_factory.mktemp("keys") / "key.pem"
    signing_keys.create(path)
    return path


@pytest.fixture(scope="session")
def trusting_server(key_file: Path) -> Iterator[ConvexServer]:
    """The packaged functions, as deployed with our public key in their environment; errors redacted."""
    trust = JwtTrust(
        issuer=ISSUER,
        jwks_data_uri=signing_keys.jwks_data_uri([signing_keys.read(key_file)]),
        audience=AUDIENCE,
    )
    with ConvexServer(jwt=trust, redact=True) as running:
        yield running


@pytest.fixture
def convex(trusting_server: ConvexServer) -> ConvexServer:
    """The server, empty and without faults."""
    trusting_server.control("paused", {"paused": False})
    trusting_server.control("reset", {})
    return trusting_server


@pytest.fixture
def sidecar_id() -> str:
    """A sidecar that nobody was before."""
    return f"stage-{next(_numbers)}"


def jwt_settings(url: str, key_file: Path, **over: Any) -> Convex:
    """Return ``convex`` settings in the mode jwt."""
    auth = JwtAuth.model_validate(
        {"mode": "jwt", "issuer": ISSUER, "audience": AUDIENCE, "private_key": Secret(path=key_file)}
    )
    return Convex.model_validate({"url": url, "auth": auth, **over})


@dataclass(slots=True, kw_only=True)
class Desk:
    """A journal, and the stage that tells what is in its outbox."""

    writer: JournalWriter
    gate: RemoteGate
    stage: SyncStage
    metrics: Metrics
    running: asyncio.Task[None]

    async def shipped(self, *names: str, spoil: str = "body") -> list[Transfer]:
        """Bring files to ``uploaded``: their ops are in the outbox. ``spoil`` is SQL for their bodies."""
        return [await self.writer.run(_ship, name, spoil) for name in names]

    async def state_of(self, transfer: Transfer) -> str:
        """Return a transfer's state."""
        return str((await self.writer.do(Transfers.one, transfer.row_id)).state)

    async def until(self, condition: Callable[[], Any], seconds: float = DEADLINE_SECONDS) -> None:
        """Wait until an awaitable condition holds."""
        async with asyncio.timeout(seconds):
            while not await condition():
                await asyncio.sleep(0.01)

    async def until_state(self, state: str, *transfers: Transfer, seconds: float = DEADLINE_SECONDS) -> None:
        """Wait until all transfers are in a state."""

        async def reached() -> bool:
            return all([await self.state_of(transfer) == state for transfer in transfers])

        await self.until(reached, seconds)


def _ship(journal: Journal, name: str, spoil: str) -> Transfer:
    transfer = journals.ready(journal, f"{name}-{next(_numbers)}", next(_numbers), at=journals.route(name))
    journals.ship(journal, transfer)
    journal.db.execute(f"UPDATE outbox SET body = {spoil} WHERE transfer = ?", [transfer.row_id])  # noqa: S608 - ours
    return transfer


OpenDesk = Callable[..., AbstractAsyncContextManager[Desk]]


@pytest.fixture
def open_desk(tmp_path: Path, key_file: Path, sidecar_id: str) -> OpenDesk:
    """Open the stage over this test's journal; leaving it ends the stage as a restart would."""

    @asynccontextmanager
    async def opened(
        url: str, *, journal: Path = tmp_path, key_file: Path = key_file, **over: Any
    ) -> AsyncIterator[Desk]:
        clock = SystemClock()
        db = Journal(journal / "journal.db", tag=sidecar_tag(sidecar_id), bucket="lessons", clock=clock)
        settings = jwt_settings(url, key_file, **over)
        async with (
            JournalWriter(db) as writer,
            open_store(settings, sidecar_id=sidecar_id, clock=clock, version="0.1.0") as store,
        ):
            gate = RemoteGate(
                remote="convex",
                probe=store.probe,
                retry=RetryPolicy(initial_seconds=0.02, max_seconds=0.2),
                breaker=BreakerPolicy(reset_seconds=0.3),
                clock=clock,
                jitter=random.random,
            )
            metrics = Metrics()
            stage = SyncStage(
                store=store,
                journal=writer,
                gate=gate,
                batch=BatchSettings(wait=0.05),
                sidecar_id=sidecar_id,
                clock=clock,
                metrics=metrics,
            )
            running = asyncio.create_task(stage.run())
            desk = Desk(writer=writer, gate=gate, stage=stage, metrics=metrics, running=running)
            try:
                yield desk
                if running.done():
                    running.result()
            finally:
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)

    return opened


@pytest.fixture
async def wire() -> AsyncIterator[Wire]:
    """A running server."""
    served = Wire()
    application = web.Application(client_max_size=64 * 1024 * 1024)
    application.router.add_route("*", "/{path:.*}", served.serve)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    served.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield served
    await runner.cleanup()
