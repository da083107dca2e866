"""Which file a client means, where there are several ways to write it."""

from __future__ import annotations

import unicodedata
from urllib.parse import quote

import pytest

from sidecar.core.model import State

from .conftest import Get, Served
from .fake import FakeFinding, FakeRoot, transfer

NAME = "p/s/intro/video/caf\u00e9 \u00e5.mp4"
COMPOSED, DECOMPOSED = unicodedata.normalize("NFC", NAME), unicodedata.normalize("NFD", NAME)


@pytest.mark.parametrize(("stored", "asked"), [(DECOMPOSED, COMPOSED), (COMPOSED, DECOMPOSED)])
@pytest.mark.parametrize("way", ["/renders/", ""])
async def test_a_name_in_another_form_of_unicode_is_found(
    served: Served, get: Get, stored: str, asked: str, way: str
) -> None:
    """MacOS writes one form, keyboards another; on disk, or in the journal once the file is gone."""
    served.source.journal.rows = [transfer(1, stored, State.SYNCED)]
    assert (await get(f"/explain?path={quote(way + asked)}"))["path"] == f"/renders/{stored}"
    assert (await get(f"/wait?path={quote(way + asked)}&timeout=5"))["result"] == "synced"
    served.source.journal.rows = []
    served.source.watch.findings[stored] = FakeFinding("matched", "a rule takes it")
    assert (await get(f"/explain?path={quote(way + asked)}"))["path"] == f"/renders/{stored}"


async def test_the_very_name_comes_first(served: Served, get: Get) -> None:
    """Both may be there: they are two files."""
    served.source.journal.rows = [transfer(1, COMPOSED, State.SYNCED), transfer(2, DECOMPOSED, State.READY)]
    for name in (COMPOSED, DECOMPOSED):
        assert (await get(f"/explain?path={quote(name)}"))["path"] == f"/renders/{name}"


async def test_a_path_of_another_container_is_told_the_roots_and_what_may_be_meant(served: Served) -> None:
    """The same folder has another name there."""
    served.source.watch.watched = [FakeRoot("/renders"), FakeRoot("/other")]
    served.source.journal.rows = [transfer(1, "p/s/x.mp4", State.SYNCED)]
    refused = (await served.get("/wait?path=/host/data/p/s/x.mp4")).json()
    assert refused["error"] == "'/host/data/p/s/x.mp4' lies below none of the roots"
    for words in ("/renders, /other", "as the sidecar sees it", "Perhaps /renders/p/s/x.mp4 is meant."):
        assert words in refused["hint"]
    told = (await served.get("/explain?path=/host/data/p/s/x.mp4")).json()
    assert "Perhaps /renders/p/s/x.mp4 is meant." in told["steps"]


async def test_where_the_watch_finds_it_is_where_it_is(served: Served, get: Get) -> None:
    """Links and mounts are its business: absolute paths and those below a root go that way."""
    served.source.journal.rows = [transfer(1, "p/x.mp4", State.SYNCED)]

    async def through_a_link(path: str) -> tuple[str, str] | None:
        return ("/renders", path.replace("/renders/latest/", "p/").replace("/elsewhere/", "p/"))

    served.source.watch.locate = through_a_link  # type: ignore[method-assign]  # a disk with links
    for path in ("/elsewhere/x.mp4", "/renders/latest/x.mp4", "latest/x.mp4"):
        assert (await get(f"/wait?path={path}&timeout=5"))["result"] == "synced"
    done = await served.post_unix("/dead-letters/requeue", {"path": "/elsewhere/x.mp4"})
    assert (done.status_code, served.source.requeues[0][1]) == (200, "/renders/p/x.mp4")
    await served.post_unix("/removals/confirm", {"path": "/elsewhere/x.mp4"})
    assert served.source.decisions == [(True, "/renders", "p/x.mp4")]
