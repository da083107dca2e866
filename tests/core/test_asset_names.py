from __future__ import annotations

import pytest

from sidecar.core.asset_names import name_scene, name_session
from sidecar.core.model import AssetType, EntityType
from sidecar.core.routing import Router
from sidecar.core.rules import Ids, Root, RoutingRule

GLOBAL = Ids(session_id="{project}/{session}", scene_id="{project}/{session}/{scene}")
PLAIN = Ids(session_id="{session}")


def test_a_session_id_tells_its_project() -> None:
    found = name_session(Ids(), "algebra/lesson-7")
    assert (found.named.project_id, found.named.scene_id) == ("algebra", None)
    assert found.fields == {"project": "algebra", "session": "lesson-7"}


def test_a_session_id_that_tells_no_project_takes_the_given_one() -> None:
    assert name_session(PLAIN, "lesson-7", project_id="algebra").named.project_id == "algebra"
    assert name_session(PLAIN, "lesson-7").named.project_id == "default"


def test_a_session_of_another_project_is_refused() -> None:
    with pytest.raises(ValueError, match="is of project 'algebra'"):
        name_session(Ids(), "algebra/lesson-7", project_id="physics")


def test_a_scene_needs_its_session_unless_its_id_tells_it() -> None:
    found = name_scene(GLOBAL, "algebra/lesson-7/intro", session_id=None)
    assert (found.named.session_id, found.named.project_id) == ("algebra/lesson-7", "algebra")
    with pytest.raises(ValueError, match="session_id is required"):
        name_scene(Ids(), "intro", session_id=None)
    with pytest.raises(ValueError, match="session_id is required"):
        name_scene(GLOBAL, "intro", session_id=None)


def test_empty_ids_are_refused() -> None:
    with pytest.raises(ValueError, match="scene_id is empty"):
        name_scene(Ids(), "", session_id="p/s")
    with pytest.raises(ValueError, match="session_id is empty"):
        name_scene(Ids(), "intro", session_id="")


def _router(*rules: RoutingRule) -> Router:
    return Router(roots=[Root(path="/r")], rules=rules, ids=Ids())


def test_an_asset_is_kept_as_the_first_rule_of_its_type_says() -> None:
    rule = RoutingRule(
        match="{project}/{session}/{scene}/*.png",
        asset_type=AssetType.THUMBNAIL,
        entity=EntityType.SCENE,
        key="{project}/t/{scene}/{stem}.{transfer}{ext}",
        cache_control="no-store",
        role="main",
    )
    scene = name_scene(Ids(), "intro", session_id="algebra/lesson-7")
    route = _router(rule).route_asset(AssetType.THUMBNAIL, scene.named, scene.fields, name="a.png")
    assert route.key == "algebra/t/intro/a.{transfer}.png"
    assert (route.cache_control, route.role, route.content_type) == ("no-store", None, "image/png")
    assert route.slot.name == "a.png"


def test_without_such_a_rule_the_settings_key_is_taken() -> None:
    scene = name_scene(Ids(), "intro", session_id="algebra/lesson-7")
    route = _router().route_asset(AssetType.THUMBNAIL, scene.named, scene.fields, name="a.png")
    assert route.key == "algebra/lesson-7/intro/thumbnail/a.{transfer}.png"


@pytest.mark.parametrize("name", ["../a.png", "a//b.png", "a\n.png", "play.m3u8", ""])
def test_names_that_no_store_or_player_takes_are_refused(name: str) -> None:
    scene = name_scene(Ids(), "intro", session_id="algebra/lesson-7")
    with pytest.raises(ValueError, match=r"."):
        _router().route_asset(AssetType.THUMBNAIL, scene.named, scene.fields, name=name)


def test_a_session_that_should_tell_its_project_and_does_not_is_refused() -> None:
    with pytest.raises(ValueError, match="give project_id"):
        name_session(Ids(), "lesson-7")
    assert name_session(Ids(), "lesson-7", project_id="algebra").named.project_id == "algebra"
