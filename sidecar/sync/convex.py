"""The port to Convex over its HTTP API.

One call is one POST, which ends when nothing of it moves any more, bounded in the size of its answer;
nothing is retried but a token that Convex refused, once, and a connection that was kept and is dead.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Literal, TypeVar

from sidecar.core.clock import Clock, RemoteClock
from sidecar.core.errors import ErrorKind, Scope, SidecarError
from sidecar.core.model import Slot
from sidecar.core.ops import (
    CONTRACT_VERSION,
    WAIT_VERSION,
    Batch,
    CurrentAsset,
    OpResult,
    Registration,
    ScenePage,
    VersionPage,
    slot_fields,
)
from sidecar.core.retry_after import asked_pause_seconds
from sidecar.settings.convex import Convex as ConvexSettings

from . import decode, errors
from .auth import Credentials, credentials
from .exchange import Exchange
from .http import Http, open_http
from .totals import Outcome

C = TypeVar("C", bound="ConvexStore")
CALL_BYTES_MAX = 16 * 1024 * 1024  # Convex's limit on a call's arguments


class ConvexStore:
    """The port over one deployment; ``skew_seconds`` is our clock minus Convex's, None if unknown."""

    def __init__(
        self,
        *,
        http: Http,
        credentials: Credentials,
        remote_clock: RemoteClock,
        timeout_seconds: float,
        module: str = "sidecar",
        waits: bool = False,
    ) -> None:
        """``http`` is the deployment's; ``module`` is the wrappers'.

        ``waits``: ops whose session or scene is not there are UNKNOWN, and make neither.
        """
        self._module, self._waits = module, waits
        self._exchange = Exchange(http, remote_clock)
        self._credentials = credentials
        self._remote_clock = remote_clock
        self._timeout_seconds = timeout_seconds
        self._contract: int | None = None  # the functions', as they said last

    @property
    def skew_seconds(self) -> float | None:
        """Our clock minus Convex's."""
        return self._remote_clock.skew_seconds

    async def probe(self) -> None:
        """``sidecar:ping``, and by which contract: functions of the first one refuse to be asked."""
        try:
            value = await self._call("query", "ping", {"contractVersion": CONTRACT_VERSION})
        except SidecarError as error:
            if not error.redacted:
                raise
            value = await self._call("query", "ping", {})
        self._contract = decode.check_contract(value, at_least=WAIT_VERSION if self._waits else 1)

    async def register(self, *, sidecar_id: str, journal_id: str) -> Registration:
        """``sidecar:register``, after a ping: what they know decides what they are told."""
        if self._contract is None or (self._waits and self._contract < WAIT_VERSION):
            await self.probe()
        who: dict[str, Any] = {"sidecarId": sidecar_id, "journalId": journal_id}
        if self._contract != 1:
            who["contractVersion"] = CONTRACT_VERSION
        registration = decode.registration(await self._call("mutation", "register", who))
        self._contract = registration.contract_version
        return registration

    async def beat(self, *, sidecar_id: str, epoch: int) -> None:
        """``sidecar:heartbeat``."""
        await self._call("mutation", "heartbeat", {"sidecarId": sidecar_id, "epoch": epoch})
        if self._contract != CONTRACT_VERSION:
            await self.probe()  # newer functions may have been deployed meanwhile

    async def apply(self, batch: Batch, *, sidecar_id: str, epoch: int) -> Sequence[OpResult]:
        """``sidecar:applyAssets``."""
        about = {
            "sidecarId": sidecar_id,
            "projectId": batch.project_id,
            "sessionId": batch.session_id,
            "epoch": epoch,
            "ackedSeq": batch.acked_seq,
        }
        if self._waits:
            about["onUnknownEntity"] = "wait"
        ops = ",".join([op.wire(self._contract or 1) for op in batch.ops])
        arguments = f'{_json(about)[:-1]},"ops":[{ops}]}}'
        return decode.results(await self._called("mutation", "applyAssets", arguments), batch)

    async def current_assets(self, slots: Sequence[Slot]) -> Sequence[CurrentAsset | None]:
        """``sidecar:currentAssets``."""
        value = await self._call("query", "currentAssets", {"slots": [wire_slot(slot) for slot in slots]})
        return decode.current_assets(value, len(slots))

    async def versions(self, *, sidecar_id: str, cursor: str | None) -> VersionPage:
        """``sidecar:versions``."""
        value = await self._call("query", "versions", {"sidecarId": sidecar_id, "cursor": cursor})
        return decode.version_page(value)

    async def unfinished_scenes(self, *, sidecar_id: str, cursor: str | None) -> ScenePage:
        """``sidecar:unfinishedScenes``."""
        value = await self._call("query", "unfinishedScenes", {"sidecarId": sidecar_id, "cursor": cursor})
        return decode.scene_page(value)

    async def expire(
        self, versions: Sequence[tuple[Slot, int]], *, sidecar_id: str, epoch: int
    ) -> Sequence[bool]:
        """``sidecar:expire``."""
        names = [{**wire_slot(slot), "version": version} for slot, version in versions]
        arguments = {"sidecarId": sidecar_id, "epoch": epoch, "versions": names}
        return decode.marks(
            await self._call("mutation", "expire", arguments), len(versions), operation="expire"
        )

    async def recount(self, session_id: str) -> tuple[Outcome, int]:
        """``sidecar:recount``, step by step to its end: the outcome, and how many entities were wrong."""
        progress: Any = None
        while True:
            arguments = {"sessionId": session_id, "progress": progress}
            outcome, progress, wrong = decode.recount(await self._call("mutation", "recount", arguments))
            if outcome is not None:
                return outcome, wrong

    async def _call(
        self, kind: Literal["mutation", "query"], function: str, arguments: Mapping[str, Any]
    ) -> Any:
        return await self._called(kind, function, _json(arguments))

    async def _called(self, kind: str, function: str, arguments: str) -> Any:
        """Make a call whose arguments are JSON already."""
        path = f"{self._module}:{function}{'Internal' if self._credentials.internal else ''}"
        body = f'{{"path":"{path}","args":{arguments},"format":"json"}}'.encode()
        if len(body) > CALL_BYTES_MAX:
            raise SidecarError(
                ErrorKind.INVALID, f"{len(body)} bytes are more than Convex takes in one call",
                operation="call", target=path, code="BATCH_TOO_LARGE", scope=Scope.OBJECT,
            )  # fmt: skip
        try:
            return await self._post(kind, path, body)
        except SidecarError as error:
            if error.kind is not ErrorKind.UNAUTHORIZED or not self._credentials.refused():
                raise
        return await self._post(kind, path, body)

    async def _post(self, kind: str, path: str, body: bytes) -> Any:
        header = await self._credentials.header()
        headers = {"Authorization": header} if header else {}
        reply = await self._exchange.post(
            f"/api/{kind}", body, headers, seconds=self._timeout_seconds, target=path
        )
        try:
            return errors.value_of(reply.status, reply.body, operation="call", target=path)
        except SidecarError as error:
            about = reply.headers
            error.pause_seconds = asked_pause_seconds(about.get("Retry-After"), about.get("Date"))
            if error.kind is ErrorKind.UNAUTHORIZED:
                error.hint = self._credentials.wants
            raise


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, separators=(",", ":"))


def wire_slot(slot: Slot) -> dict[str, str]:
    """Return a slot as the functions take it."""
    return {"sessionId": slot.session_id, **slot_fields(slot)}


def open_store(
    settings: ConvexSettings,
    *,
    sidecar_id: str,
    clock: Clock,
    version: str,
) -> AbstractAsyncContextManager[ConvexStore]:
    """Open a sidecar's store, as ``open_as`` says."""
    return open_as(ConvexStore, settings, sidecar_id=sidecar_id, clock=clock, version=version)


@asynccontextmanager
async def open_as(
    made: type[C], settings: ConvexSettings, *, sidecar_id: str, clock: Clock, version: str
) -> AsyncIterator[C]:
    """Open the connections to ``convex.url`` and close them at the end. Sends nothing yet.

    Raises ValueError without a URL: with ``convex.sync: off`` there is no store. Raises FatalError (78)
    for a proxy or a certificate authority of the environment that cannot be used.
    """
    if settings.url is None:
        raise ValueError("convex.url is not set")
    remote_clock = RemoteClock(clock)
    shown = credentials(settings.auth, sidecar_id=sidecar_id, clock=clock, remote_clock=remote_clock)
    async with open_http(str(settings.url), version=version) as http:
        yield made(
            http=http, credentials=shown, remote_clock=remote_clock, timeout_seconds=settings.timeout,
            module=settings.module, waits=settings.on_unknown_entity == "wait",
        )  # fmt: skip
