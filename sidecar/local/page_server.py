"""Serves a built page on loopback, and what it must be told: settings, and a token of its viewer."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

from .ports import LOOPBACK


class PageServer:
    """A folder of files over HTTP. Use it as a context manager; ``url`` is known once it has started."""

    def __init__(
        self, folder: Path, *, settings: Mapping[str, str], token: Callable[[], str] = lambda: ""
    ) -> None:
        """``settings`` is what ``/settings.json`` answers; ``token`` is asked for each ``/token``."""

        class Handler(_Handler):
            answers: Mapping[str, Callable[[], tuple[str, str]]] = {
                "/settings.json": lambda: ("application/json", json.dumps(dict(settings))),
                "/token": lambda: ("text/plain", token()),
            }

            def __init__(self, *args: Any) -> None:
                super().__init__(*args, directory=str(folder))

        self._server = ThreadingHTTPServer((LOOPBACK, 0), Handler)
        Handler.host = f"{LOOPBACK}:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, name="page", daemon=True)

    @property
    def url(self) -> str:
        """The page's address."""
        return f"http://{LOOPBACK}:{self._server.server_port}"

    def __enter__(self) -> Self:
        """Serve."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()


class _Handler(SimpleHTTPRequestHandler):
    """Files, and answers that are made when they are asked for; nothing is kept by a browser."""

    answers: Mapping[str, Callable[[], tuple[str, str]]]
    host = ""

    def do_GET(self) -> None:
        """Answer, but to no page of another name that was led to this address."""
        if self.headers.get("Host") != self.host:
            self.send_error(403)
            return
        if (answer := self.answers.get(self.path.partition("?")[0])) is None:
            super().do_GET()
            return
        kind, text = answer()
        body = text.encode()
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def end_headers(self) -> None:
        """Say of every answer that it may be another one next time."""
        self.send_header("Cache-Control", "no-store")
        super().end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing: the terminal shows the lesson."""
