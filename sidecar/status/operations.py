"""The table of operations: routes, who answers them, what they need of the caller, parameters, replies."""

from __future__ import annotations

import functools
import json
from typing import Any

from sidecar.core.model import State
from sidecar.metrics import CONTENT_TYPE

from . import asset_models, models, operating_models
from .api import WAIT_DEFAULT, Api
from .guard import Need
from .openapi import document
from .operation import JSON, Operation, Parameter
from .query import PAGE_DEFAULT, PAGE_MAX, Given

_PUBLIC = Need(public=True)
_CHANGES = Need(changes=True)
_PAGE = (
    Parameter(
        name="limit",
        text="The most on a page.",
        schema={"type": "integer", "minimum": 1, "maximum": PAGE_MAX, "default": PAGE_DEFAULT},
    ),
    Parameter(name="after", text="`next` of the page before.", schema={"type": "integer", "minimum": 0}),
)
_PATH = "Absolute, or below a root; bytes that are not UTF-8 percent-encoded."


async def _openapi(_api: Api, _given: Given) -> tuple[int, str]:
    return 200, _document()


@functools.cache
def _document() -> str:
    return json.dumps(document(OPERATIONS))


OPERATIONS: tuple[Operation[Any], ...] = (
    Operation(
        name="health",
        path="/healthz",
        summary="Whether a restart would cure something; never fails for outages, credentials or disks.",
        handler=Api.health,
        reply=models.Health,
        need=_PUBLIC,
        replies={200: "All is well.", 503: "Wedged: restart it."},
    ),
    Operation(
        name="ready",
        path="/readyz",
        summary="Whether the journal is open and the first scan done.",
        handler=Api.ready,
        reply=models.Readiness,
        need=_PUBLIC,
        replies={200: "Ready.", 503: "Not yet."},
    ),
    Operation(
        name="metrics",
        path="/metrics",
        summary="Metrics in Prometheus's text format.",
        handler=Api.metrics,
        reply=CONTENT_TYPE,
        need=_PUBLIC,
    ),
    Operation(
        name="status",
        path="/status",
        summary="Everything at a glance.",
        handler=Api.status,
        reply=models.Status,
    ),
    Operation(
        name="assets",
        path="/assets",
        summary="Transfers in the order of their discovery.",
        handler=Api.assets,
        reply=asset_models.AssetPage,
        parameters=(
            Parameter(name="session_id", text="Only of this session."),
            Parameter(name="entity_id", text="Only of this scene or session."),
            Parameter(
                name="state", text="Only these.", schema={"type": "string", "enum": [str(s) for s in State]}
            ),
            *_PAGE,
        ),
    ),
    Operation(
        name="explain",
        path="/explain",
        summary="Why a path is where it is, also one that is never sent.",
        handler=Api.explain,
        reply=asset_models.Explanation,
        parameters=(Parameter(name="path", text=_PATH, required=True),),
    ),
    Operation(
        name="wait",
        path="/wait",
        summary="Answers when all that is named is synced or cannot be, by a scan begun after the request.",
        handler=Api.wait,
        is_long=True,
        reply=asset_models.WaitReply,
        replies={
            200: "All is delivered.",
            409: "Something will not be delivered without help.",
            504: "The time is over.",
        },
        parameters=(
            Parameter(name="path", text=f"A file or folder. {_PATH}"),
            Parameter(name="session", text="A session; with neither, everything is waited for."),
            Parameter(
                name="timeout",
                text="Seconds, or 250ms, 30s, 5m, 1h.",
                schema={"type": "string", "default": WAIT_DEFAULT},
            ),
            Parameter(
                name="appear",
                text="How long to wait for a session or path that nobody has seen yet.",
                schema={"type": "string", "default": "0s"},
            ),
        ),
    ),
    Operation(
        name="dead_letters",
        path="/dead-letters",
        summary="Transfers that were given up.",
        handler=Api.dead_letters,
        reply=asset_models.AssetPage,
        parameters=_PAGE,
    ),
    Operation(
        name="requeue",
        path="/dead-letters/requeue",
        method="POST",
        summary="Sends dead letters back to work.",
        handler=Api.requeue,
        reply=operating_models.RequeueReply,
        body=operating_models.RequeueRequest,
        need=_CHANGES,
    ),
    Operation(
        name="removals",
        path="/removals",
        summary="Files that are gone while Convex still shows their assets.",
        handler=Api.removals,
        reply=operating_models.RemovalPage,
        parameters=_PAGE,
    ),
    Operation(
        name="confirm_removals",
        path="/removals/confirm",
        method="POST",
        summary="Removes what was asked about: so many files at once were meant to go.",
        handler=Api.confirm_removals,
        is_long=True,
        reply=operating_models.RemovalReply,
        body=operating_models.RemovalRequest,
        need=_CHANGES,
    ),
    Operation(
        name="dismiss_removals",
        path="/removals/dismiss",
        method="POST",
        summary="Keeps what was asked about: Convex and S3 go on showing it.",
        handler=Api.dismiss_removals,
        is_long=True,
        reply=operating_models.RemovalReply,
        body=operating_models.RemovalRequest,
        need=_CHANGES,
    ),
    Operation(
        name="reconcile",
        path="/reconcile",
        method="POST",
        summary="Compares journal, bucket and Convex; repairs what is found only if asked to.",
        handler=Api.reconcile,
        is_long=True,
        reply=operating_models.ReconcileReply,
        body=operating_models.ReconcileRequest,
        need=_CHANGES,
    ),
    Operation(
        name="rescan",
        path="/rescan",
        method="POST",
        summary="Scans all roots now; answers when that is done.",
        handler=Api.rescan,
        is_long=True,
        reply=operating_models.RescanReply,
        need=_CHANGES,
    ),
    Operation(name="openapi", path="/openapi.json", summary="This document.", handler=_openapi, reply=JSON),
)
