"""What must hold between keys."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sidecar.settings import JwtAuth, SettingsError, from_mapping, json_schema, masked

from .test_loading import loaded, mapping

URL = "https://happy-otter-123.convex.cloud"
JWT = {"mode": "jwt", "issuer": "https://i.example.com", "audience": "a", "private_key_file": "/nowhere/key"}
SCENE = {"asset_type": "video_chunk", "entity": "scene"}


@pytest.mark.parametrize(
    ("sections", "words"),
    [
        ({"convex": {"url": URL}}, "convex.auth: is required"),
        ({"convex": {"auth": {"mode": "none"}}}, "convex.url: is required"),
        (
            {"convex": {"url": URL, "auth": {"mode": "none"}}},
            "convex.auth.mode: none works against `sidecar dev`",
        ),
        (
            {"convex": {"url": URL, "auth": {}}},
            "convex.auth: needs mode: jwt, token_file, deploy_key or none",
        ),
        (
            {"convex": {"url": URL, "auth": {"mode": "jtw", "issuer": "https://a"}}},
            "deploy_key: deploy_key_file), not mode: jtw; did you mean jwt?",
        ),
        ({"convex": {"url": URL, "auth": {**JWT, "audience": None}}}, "audience: is empty"),
        (
            {"convex": {"url": URL, "auth": {"mode": "jwt", "issuer": "https://a"}}},
            "convex.auth.audience: is required: The token's aud, such as render-sidecar",
        ),
        (
            {"convex": {"url": URL, "auth": {"mode": "jwt", "audience": "a"}}},
            "convex.auth.issuer: is required",
        ),
        ({"convex": {"url": URL, "auth": {**JWT, "private_key_file": None}}}, "jwt needs private_key_file"),
        (
            {"convex": {"url": URL, "auth": {**JWT, "token_file": "x"}}},
            "convex.auth.token_file: is no key here; it belongs to another mode",
        ),
        ({"convex": {"url": URL, "auth": {"mode": "deploy_key"}}}, "deploy_key needs deploy_key or"),
        ({"convex": {"url": "http://u:p@x", "auth": JWT}}, "holds no user name or password"),
        (
            {"convex": {"url": URL, "auth": JWT, "sync": "shadow"}},
            "convex.sync: shadow comes in a later version",
        ),
        ({"status": {"listen": "0.0.0.0:9745"}}, "status.listen: 0.0.0.0:9745 is open to other machines"),
        ({"status": {"listen": "9745"}}, "is no address; write host:port"),
        ({"status": {"listen": "127.0.0.1:99999"}}, "the highest port is 65535"),
        ({"status": {"public_listen": "0.0.0.0:9745"}}, "uses port 9745, and so does status.listen"),
        ({"watch": []}, "watch: names no folder"),
        ({"watch": [{"root": "/a"}, {"root": "/a/b"}]}, "watch[1].root: overlaps watch[0].root"),
        ({"watch": [{"root": "/a"}, {"root": "/a/"}]}, "is the same folder as watch[0].root"),
        ({"watch": [{"root": "/a", "fields": {"project": "x/y"}}]}, "cannot be pinned"),
        ({"watch": [{"root": "/a", "fields": {"stem": "x"}}]}, "is always there"),
        (
            {"watch": [{"root": "/a", "chunks": "partial"}]},
            "watch[0].chunks: partial comes in a later version",
        ),
        ({"journal": {"path": "/renders/j.db"}}, "journal.path: lies below watch[0].root"),
        ({"s3": {"bucket": "lessons", "access_key_id": "a"}}, "s3: secret_access_key is missing"),
        ({"s3": {"bucket": "lessons", "session_token": "a"}}, "s3.session_token: goes with"),
        ({"s3": {"bucket": "a b"}}, "s3.bucket: 'a b' is not allowed here"),
        ({"s3": {"bucket": "lessons", "encryption": {"kms_key_id": "k"}}}, "goes with mode: aws:kms"),
        ({"s3": {"bucket": "lessons", "session_token": "a", "session_token_file": "b"}}, "are both set"),
        (
            {"s3": {"bucket": "lessons", "key": "{sesion_id}/{stem}"}},
            "s3.key: {sesion_id} is captured by no rule",
        ),
        ({"upload": {"memory": "1MiB"}}, "upload.memory: is less than one part"),
        ({"upload": {"engine": "crt"}}, "upload.engine: crt comes in a later version"),
        ({"upload": {"priority": ["manifest", "manifest"]}}, "an asset type is named twice"),
        ({"upload": {"concurrency": "0"}}, "write auto or a number from 1 to 256"),
        ({"retry": {"initial": "2m"}}, "retry.initial: is longer than retry.max"),
        (
            {"local_files": {"after_sync": "delete"}},
            "local_files.after_sync: delete waits until Convex knows a file",
        ),
        ({"removal": "tombstone", "convex": {"sync": "off"}}, "removal: tombstone tells Convex of it"),
        ({"preset": "none"}, "rules: there is none"),
        ({"preset": "manim"}, "watch[0].fields: preset manim captures no {session}"),
        ({"rules": [{"match": "{session}/*.mp4", **SCENE}]}, "rules[0].match: captures no {scene}"),
        (
            {"rules": [{"match": "{session}/{scene}/*", **SCENE, "key": "{take}"}]},
            "rules[0].key: {take} is captured by",
        ),
        (
            {"rules": [{"match": "{session}/{scene}/*", **SCENE, "name": "{transfer}"}]},
            "{transfer} cannot be used here",
        ),
        (
            {"rules": [{"match": "{session}/{scene}/*", **SCENE, "metadata": {"a": "{b}"}}]},
            "rules[0].metadata.a: {b}",
        ),
        *(
            (
                {"rules": [{"match": "{session}/{scene}/*", **SCENE, "metadata": {name: "x"}}]},
                f"rules[0].metadata.{name}: {words}",
            )
            for name, words in {
                "$id": "Convex keeps names that begin with $",
                "_id": "Convex keeps names that begin with _",
                "größe": "Convex takes printable ASCII",
                "k" * 1025: "the name has 1025 characters",
            }.items()
        ),
        *(
            (
                {"rules": [{"match": "{session}/{scene}/*", **SCENE, "metadata": {"fps": value}}]},
                "metadata.fps: ",
            )
            for value in (30, float("nan"), float("inf"), {"deep": {"er": "x"}}, ["x"], None)
        ),
        ({"rules": [{"match": "{session}/{scene}/*", **SCENE, "content_type": "mp4"}]}, "is no media type"),
        (
            {"rules": [{"match": "{session}/{scene}/*", **SCENE, "role": "lead"}]},
            "'lead' is not allowed; write main",
        ),
        ({"entities": {"scene_id": "{clip}"}}, "entities.scene_id: {clip} is captured by no rule"),
        ({"sidecar_id": "a b"}, "sidecar_id: 'a b' is not allowed here"),
        ({"bucket": "x"}, "bucket: is no key here; did you mean s3.bucket?"),
    ],
)
def test_a_contradiction_is_refused_in_one_sentence(sections: dict[str, Any], words: str) -> None:
    """What is wrong, what would be right."""
    with pytest.raises(SettingsError) as raised:
        from_mapping(mapping(**sections))
    assert words in str(raised.value)
    assert len(raised.value.problems) == 1


def test_what_is_probably_not_meant_is_a_warning() -> None:
    """It is allowed all the same."""
    settings = loaded(
        convex={
            "url": "http://convex:3210",
            "auth": {"mode": "deploy_key", "deploy_key_file": "/nowhere/key"},
        },
        s3={"bucket": "lessons", "key": "{session_id}/{name}"},
        retention={"events": "1d"},
        journal={"keep": "1d"},
    )
    said = " ".join(settings.warnings)
    for words in (
        "is not https",
        "must be scoped",
        "s3.key has no {transfer}",
        "/nowhere/key",
    ):
        assert words in said
    assert "later" not in said


def test_each_way_to_authenticate_is_a_type_of_its_own() -> None:
    """So that a stage can match on it."""
    auth = loaded(convex={"url": URL, "auth": JWT}).convex.auth
    assert isinstance(auth, JwtAuth)
    assert auth.private_key is not None
    assert str(auth.private_key.path) == "/nowhere/key"


def test_secrets_are_masked_and_never_in_a_message() -> None:
    """Neither in what config show prints nor in a repr nor in a mistake."""
    secret = "AKIA-very-secret"
    s3 = {"bucket": "lessons", "access_key_id": secret, "secret_access_key": secret}
    settings = loaded(s3=s3)
    assert settings.s3.access_key_id is not None
    assert settings.s3.access_key_id.get() == secret
    assert secret not in f"{settings!r} {masked(settings)}"
    with pytest.raises(SettingsError) as raised:
        loaded(s3={**s3, "secret_access_key": {"x": secret}, "wrong": secret})
    assert secret not in str(raised.value)


def test_the_schema_describes_every_key() -> None:
    """For editors: each key of each section has a sentence."""
    schema = json_schema()
    sections = [schema, *schema["$defs"].values()]
    for section in sections:
        for name, field in section.get("properties", {}).items():
            assert field.get("description"), name
    assert schema["$defs"]["S3"]["properties"]["part_size"]["examples"] == ["8MiB"]


@pytest.mark.parametrize(
    ("roots", "journal", "words"),
    [
        (("real", "link"), "j.db", "watch[1].root: is the same folder as watch[0].root"),
        (("link", "real/inner"), "j.db", "watch[1].root: overlaps watch[0].root"),
        (("link",), "real/inner/j.db", "journal.path: lies below watch[0].root"),
    ],
)
def test_a_link_hides_no_overlap(tmp_path: Path, roots: tuple[str, ...], journal: str, words: str) -> None:
    """Two names of one folder would ship each file twice, or wait for each other's lock."""
    (tmp_path / "real" / "inner").mkdir(parents=True)
    (tmp_path / "link").symlink_to("real")
    sections = {
        "watch": [{"root": str(tmp_path / root)} for root in roots],
        "journal": {"path": str(tmp_path / journal)},
    }
    with pytest.raises(SettingsError) as refused:
        from_mapping(mapping(**sections))
    assert words in str(refused.value)
