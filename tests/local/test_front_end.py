"""The page of ``--open``: built from the example, served to this machine, with a viewer whom Convex knows."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx
import pytest

from sidecar.local.convex_server import ConvexServer
from sidecar.local.front_end import Lesson, Viewer, serving
from sidecar.local.page_server import PageServer

VIEWER = Viewer()


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PageServer]:
    """Of a deployment that nobody asks."""
    folder = tmp_path_factory.mktemp("front-end")
    lesson = Lesson(session_id="p/s", first=1)
    with serving(folder, lesson, convex_url="http://convex.test", viewer=VIEWER) as one:
        yield one


def test_the_page_is_whole_and_told_what_it_shows(page: PageServer) -> None:
    """A browser needs nothing from anywhere else."""
    html = httpx.get(page.url).text
    assert "/src/" not in html
    assert "https://" not in html
    script, style = httpx.get(f"{page.url}/main.js"), httpx.get(f"{page.url}/main.css")
    assert "assets:accessUrls" in script.text
    assert ".player" in style.text
    settings = httpx.get(f"{page.url}/settings.json").json()
    assert settings == {"convexUrl": "http://convex.test", "sessionId": "p/s", "first": "1"}
    assert script.headers["Cache-Control"] == "no-store"


def test_nobody_gets_a_token_by_another_name(page: PageServer) -> None:
    """A page of the network whose name was led to this address has that name for its Host."""
    assert httpx.get(f"{page.url}/token").status_code == 200
    assert httpx.get(f"{page.url}/token", headers={"Host": "evil.test"}).status_code == 403


def test_convex_knows_the_viewer(page: PageServer) -> None:
    """By the token that the page gets; no other viewer's."""
    with ConvexServer(dev_auth=True, jwt=VIEWER.trust) as convex:
        for token, status in ((httpx.get(f"{page.url}/token").text, 200), (Viewer().token(), 401)):
            call = {"path": "sessions:get", "args": {"sessionId": "p/s"}, "format": "json"}
            headers = {"Authorization": f"Bearer {token}"}
            answer = httpx.post(f"{convex.url}/api/query", json=call, headers=headers)
            assert answer.status_code == status, json.dumps(answer.json())
