"""The deployment whose rows are moved, reached with its deploy key: the functions of sidecarMigration.ts."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import httpx

from .project import Home, MigrationError
from .refusing import HELD

_TIMEOUT_SECONDS = 60.0
_PAUSES_SECONDS = (0.2, 0.5, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0)
UNCLEAR = "unclear"
_BUSY = {429, 500, 502, 503, 504}


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far the move has come: ``rows`` of this phase, so far. ``resting`` is the end.

    ``table`` of what is ``unclear`` is the document's name.
    """

    phase: str
    table: str = ""
    rows: int = 0


class Deployment:
    """Calls internal functions, again and again while nothing comes back: each may be called twice."""

    def __init__(self, url: str, *, deploy_key: str) -> None:
        """``url`` is the deployment's; ``deploy_key`` must be allowed to run internal functions."""
        headers = {"Authorization": f"Convex {deploy_key}"}
        self._http = httpx.Client(base_url=url, headers=headers, timeout=_TIMEOUT_SECONDS)

    def __enter__(self) -> Self:
        """Use it in a with block."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connection."""
        self._http.close()

    def is_held(self, module: str) -> bool:
        """Tell whether what is deployed refuses every sidecar. Raises MigrationError."""
        return _code(self._ping(module)) == HELD

    def is_live(self, module: str) -> bool:
        """Tell whether what is deployed has this module, and serves sidecars. Raises MigrationError."""
        return self._ping(module).get("status") == "success"

    def step(self, to: Home, *, module: str) -> Progress:
        """Go one step on and return where that is. Raises MigrationError."""
        state = self._call("sidecarMigration:step", {"to": to.value, "module": module})
        return Progress(phase=state["phase"], table=state["name"], rows=int(state["rows"]))

    def adopt(self) -> Iterator[Progress]:
        """Take over what the application wrote into its tables after they were compared; yield each part.

        ``unclear`` names a document whose owner differs, and nobody knows which is newer: it stays as the
        component has it. Raises MigrationError.
        """
        done = False
        while not done:
            part = self._call("sidecarMigration:adopt", {})
            done = part["isDone"]
            if part["rows"]:
                yield Progress(phase="adopting", table=part["name"], rows=int(part["rows"]))
            yield from (Progress(phase=UNCLEAR, table=name) for name in part["unclear"])

    def resume(self) -> None:
        """Begin the jobs of the functions of before, once these are deployed again. Raises MigrationError."""
        for table in ("sidecarHeartbeats", "deletedScenes"):
            cursor, done = None, False
            while not done:
                page = self._call("sidecarMigration:resume", {"table": table, "cursor": cursor})
                cursor, done = page["cursor"], page["isDone"]

    def _ping(self, module: str) -> dict[str, Any]:
        return self._post("query", f"{module}:pingInternal", {})

    def _call(self, path: str, args: dict[str, Any]) -> Any:
        answer = self._post("mutation", path, args)
        if answer.get("status") == "success":
            return answer["value"]
        data = answer.get("errorData")
        words = data.get("message") if isinstance(data, dict) else None
        raise MigrationError(
            f"{path}: {words or answer.get('errorMessage') or answer.get('message') or answer}"
        )

    def _post(self, kind: str, path: str, args: dict[str, Any]) -> dict[str, Any]:
        body = {"path": path, "args": args, "format": "json"}
        for pause in (*_PAUSES_SECONDS, None):
            try:
                response = self._http.post(f"/api/{kind}", json=body)
                if response.status_code not in _BUSY or pause is None:
                    answer: dict[str, Any] = response.json()
                    return answer
            except (httpx.TransportError, ValueError) as error:
                if pause is None:
                    raise MigrationError(
                        f"{self._http.base_url} does not answer: {error or type(error).__name__}; "
                        "run this again: it goes on where it stopped"
                    ) from error
            time.sleep(pause)
        raise AssertionError("the last attempt returns or raises")


def _code(answer: dict[str, Any]) -> str | None:
    data = answer.get("errorData")
    return data.get("code") if isinstance(data, dict) else None
