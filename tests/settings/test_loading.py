"""From a file and the environment to settings."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sidecar.core.model import Route
from sidecar.settings import Settings, SettingsError, build_router, from_mapping, load, masked
from sidecar.settings.checks import JWT_EXAMPLE

MINIMAL = """\
watch:
  - root: /renders
s3: {bucket: lessons}
convex: {url: "http://127.0.0.1:3210", auth: {mode: none}}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return the path of a minimal file."""
    path = tmp_path / "sidecar.yaml"
    path.write_text(MINIMAL)
    return path


def mistakes(path: Path, text: str | bytes, **environ: str) -> list[str]:
    """Return what is said of a text, without the file's name."""
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(SettingsError) as raised:
        load(path, environ=environ)
    return [line.removeprefix(f"{path}:").strip() for line in str(raised.value).splitlines()]


def test_a_minimal_file_has_the_contracts_defaults(file: Path) -> None:
    """Units are plain numbers inside: bytes, seconds, bytes a second."""
    settings = load(file, environ={})
    assert settings.watch[0].root == "/renders"
    assert settings.watch[0].settle == 0.25
    assert settings.s3.part_size == 8 * 1024 * 1024
    assert settings.journal.keep == 30 * 86_400
    assert settings.upload.bandwidth is None
    assert settings.convex.sync == "on"
    assert settings.retention.superseded.for_ == 30 * 86_400
    assert settings.warnings == ()


def test_settings_never_change(file: Path) -> None:
    """A reload makes new ones."""
    settings = load(file, environ={})
    with pytest.raises(ValueError, match="frozen"):
        settings.s3.bucket = "other"


def test_the_words_on_and_off_are_words(file: Path) -> None:
    """YAML 1.2, not 1.1; and digits keep their zeros where text is wanted."""
    pinned = MINIMAL.replace("root: /renders", "root: /renders\n    fields: {project: 007}")
    file.write_text(pinned.replace("none}}", "none}, sync: on}"))
    settings = load(file, environ={})
    assert settings.convex.sync == "on"
    assert settings.watch[0].fields == {"project": "007"}


def test_every_mistake_is_reported_at_once_with_its_place(file: Path) -> None:
    """Line, column, key, what is wrong, what would be right."""
    text = """\
watch:
  - root: /renders
    setle: 2s
    settle: 2
preset: lessn
rules:
  - match: "{project/x"
    asset_type: video_chunk
    entity: scene
s3:
  bukket: lessons
  part_size: 1MiB
convex: {url: "https://x.convex.cloud"}
removal: deleted
"""
    assert mistakes(file, text) == [
        "3:5: watch[0].setle: is no key here; did you mean settle?",
        "4:5: watch[0].settle: '2' has no unit; write 2s, 2ms or 2m",
        "5:1: preset: 'lessn' is not allowed; write lesson, manim or none; did you mean lesson?",
        "7:5: rules[0].match: the field {project is never closed (character 1 of '{project/x')",
        "10:1: s3.bucket: is required: The bucket's name. It must exist.",
        "11:3: s3.bukket: is no key here; did you mean bucket?",
        "12:3: s3.part_size: S3 takes parts from 5MiB to 5GiB; 8MiB is a good choice",
        f"13:1: convex.auth: is required; write {JWT_EXAMPLE}, or convex.sync: off",
        "14:1: removal: 'deleted' is not allowed; write keep, tombstone or delete",
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("# nothing\n", "is empty"),
        ("- a\n- b\n", "must hold keys"),
        ("watch", "must hold keys"),
        (b"watch: \xff\n", "is not UTF-8"),
        (b"#" * 1_100_000, "is larger than"),
        ("watch:\n\t- root: /x\n", "2:1: this is no YAML"),
        ("watch: [a\n", "this is no YAML"),
        ("a: \x00\n", "this is no YAML"),
        ("watch: &w [x]\n", "anchors"),
        ("watch: *w\n", "aliases"),
        ("watch: !!python/object:os.system x\n", "tags"),
        ("a: 1\n---\nb: 2\n", "second document"),
        ("a: " + "[" * 50, "levels deep"),
        ("a: " + "{b: " * 50, "levels deep"),
        ("{a: 1}: 2\n", "a key must be plain text"),
    ],
)
def test_a_file_that_is_no_configuration_gets_one_sentence(file: Path, text: str | bytes, words: str) -> None:
    """Bombs included; never a traceback."""
    said = mistakes(file, text)
    assert len(said) == 1
    assert words in said[0]


def test_a_missing_or_unreadable_file_gets_one_sentence(tmp_path: Path) -> None:
    """With the name that was asked for."""
    for path in (tmp_path / "none.yaml", tmp_path):
        with pytest.raises(SettingsError, match="cannot be read") as raised:
            load(path, environ={})
        assert str(raised.value).startswith(f"{path}: ")


def test_a_key_that_is_written_twice_is_a_mistake(file: Path) -> None:
    """Both places are named."""
    said = mistakes(file, MINIMAL + "removal: keep\nremoval: keep\n")
    assert said[0] == f"6:1: removal: is written twice, first at {file}:5:1; keep one of them"


def test_values_come_from_the_environment(file: Path) -> None:
    """Also within a flow mapping, where YAML has braces of its own; a default may be empty."""
    file.write_text(
        "watch: [{root: /renders, fields: {project: ${PROJECT}, session: ${SESSION:-s-1}}}]\n"
        "s3: {bucket: '${BUCKET}', endpoint_url: ${ENDPOINT:-}}\n"
        "convex: {sync: off}\n"
    )
    settings = load(file, environ={"PROJECT": "a b: {c}", "BUCKET": "lessons", "SESSION": ""})
    assert settings.watch[0].fields == {"project": "a b: {c}", "session": "s-1"}
    assert settings.s3.endpoint_url is None


def test_a_doubled_dollar_is_no_variable(file: Path) -> None:
    """For text that means the characters themselves."""
    file.write_text(MINIMAL.replace("/renders", "/renders/$${HOME}"))
    assert load(file, environ={}).watch[0].root == "/renders/${HOME}"


def test_an_unset_variable_is_a_mistake_at_its_place(file: Path) -> None:
    """And the same key is not blamed twice."""
    said = mistakes(file, MINIMAL.replace("lessons", "${BUCKET}").replace("/renders", "${}"))
    assert said == [
        "2:11: watch[0].root: ${} names no environment variable; write ${NAME} or ${NAME:-default}",
        "3:14: s3.bucket: the environment variable BUCKET is not set; set it or write ${BUCKET:-default}",
    ]


def test_the_environment_overrides_any_key(file: Path) -> None:
    """Scalars, entries of lists, whole mappings; empty means null."""
    settings = load(
        file,
        environ={
            "SIDECAR_S3__BUCKET": "other",
            "SIDECAR_S3__KEY": "{session_id}/{stem}.{transfer}{ext}",
            "SIDECAR_S3__ACCESS_KEY_ID": "",
            "SIDECAR_WATCH__0__FIELDS__PROJECT": "p",
            "SIDECAR_WATCH__1__ROOT": "/more",
            "SIDECAR_RETRY": '{"initial": "2s", "attempts": 5}',
            "SIDECAR_UPLOAD__PRIORITY": '["manifest"]',
            "SIDECAR_PRESET": "lesson",
        },
    )
    assert (settings.s3.bucket, settings.s3.key) == ("other", "{session_id}/{stem}.{transfer}{ext}")
    assert settings.s3.access_key_id is None
    assert [(watch.root, watch.fields) for watch in settings.watch] == [
        ("/renders", {"project": "p"}),
        ("/more", {}),
    ]
    assert (settings.retry.initial, settings.retry.attempts) == (2.0, 5)
    assert settings.warnings == ()


def test_the_environment_alone_is_enough() -> None:
    """For containers without a file."""
    settings = load(
        None,
        environ={
            "SIDECAR_WATCH__0__ROOT": "/renders",
            "SIDECAR_S3__BUCKET": "lessons",
            "SIDECAR_CONVEX__SYNC": "off",
        },
    )
    assert settings.s3.bucket == "lessons"


def test_variables_that_merely_begin_so_only_warn(file: Path) -> None:
    """Kubernetes injects them for a service called sidecar; SIDECAR_CONFIG is the command line's."""
    environ = {"SIDECAR_SERVICE_HOST": "10.0.0.1", "SIDECAR_PORT": "tcp://10.0.0.1:80", "SIDECAR_CONFIG": "x"}
    warnings = load(file, environ=environ).warnings
    assert [warning.split()[3] for warning in warnings] == ["SIDECAR_PORT", "SIDECAR_SERVICE_HOST"]


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("SIDECAR_S3__BUKET", "x", "s3.buket: is no key here; did you mean bucket?"),
        ("SIDECAR_UPLOAD__BANDWIDTH", "fast", "upload.bandwidth: 'fast' is no rate"),
        ("SIDECAR_WATCH__7__ROOT", "/x", "a list of 1 has the places 0 to 1, not 7"),
        ("SIDECAR_S3__BUCKET__X", "x", "lies below a key that holds a plain value"),
        ("SIDECAR_S3__", "x", "names no key"),
        ("SIDECAR_" + "__".join("a" * 60), "x", "names no key"),
    ],
)
def test_a_wrong_override_is_blamed_on_its_variable(file: Path, name: str, value: str, words: str) -> None:
    """Not on a line of the file."""
    with pytest.raises(SettingsError) as raised:
        load(file, environ={name: value})
    assert str(raised.value).startswith(f"environment variable {name}: ")
    assert words in str(raised.value)


def test_settings_can_be_built_in_code() -> None:
    """For dev, demo and tests: numbers are plain seconds and bytes."""
    settings = from_mapping(
        {
            "watch": [{"root": "renders", "settle": 0.01}],
            "s3": {"bucket": "lessons"},
            "convex": {"sync": "off"},
        }
    )
    assert settings.watch[0].root == str(Path.cwd() / "renders")
    assert isinstance(build_router(settings).route(settings.watch[0].root, "p/s/c/video/a.mp4"), Route)
    with pytest.raises(SettingsError, match=r"^s3: is required"):
        from_mapping({"watch": [{"root": "/renders"}], "convex": {"sync": "off"}})


def test_what_is_shown_loads_again_as_the_same(file: Path) -> None:
    """config show prints a configuration."""
    file.write_text(
        MINIMAL + "upload: {bandwidth: 1.5MB/s, memory: 100MB}\nretry: {initial: 1.25s, max: 90s}\n"
    )
    settings = load(file, environ={})
    shown = masked(settings)
    assert shown["upload"]["bandwidth"] == "1500kB/s"
    assert from_mapping(shown) == settings


def test_importing_the_settings_stays_cheap() -> None:
    """No client library, no printing."""
    heavy = {"aioboto3", "httpx", "structlog", "rich", "typer"}
    code = f"import sys, sidecar.settings; print(*{heavy!r} & set(sys.modules))"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert result.stdout.strip() == ""


def mapping(**sections: Any) -> dict[str, Any]:
    """Return a minimal mapping with some sections replaced."""
    return {
        "watch": [{"root": "/renders"}],
        "s3": {"bucket": "lessons"},
        "convex": {"sync": "off"},
        **sections,
    }


def loaded(**sections: Any) -> Settings:
    """Return minimal settings with some sections replaced."""
    return from_mapping(mapping(**sections))
