"""What a log reader sees."""

from __future__ import annotations

import json
import logging
import re
import warnings
from typing import Any

import pytest
import structlog
import structlog.testing

from sidecar import logs

HOSTILE = "a\nb\x1b[31m\x9b\u2028\u202e\udcff.mp4"


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """Every line that was printed, as JSON."""
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_an_event_is_one_json_line_with_a_utc_time(capsys: pytest.CaptureFixture[str]) -> None:
    """Time, level and event come first, the fields after them."""
    logs.configure(log_format="json", level="info")
    structlog.get_logger().info("uploaded", path="a b.mp4", size=3)
    [line] = lines(capsys)
    assert list(line) == ["timestamp", "level", "event", "path", "size"]
    assert line["timestamp"].endswith("Z")
    assert (line["level"], line["event"], line["path"], line["size"]) == ("info", "uploaded", "a b.mp4", 3)


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_a_hostile_file_name_stays_within_its_line(
    capsys: pytest.CaptureFixture[str], log_format: logs.LogFormat
) -> None:
    """Neither a newline nor an escape sequence nor bytes that are not UTF-8 reach the terminal."""
    logs.configure(log_format=log_format, level="info")
    structlog.get_logger().info(HOSTILE, path=HOSTILE, **{HOSTILE: [HOSTILE]})
    out = capsys.readouterr().out
    assert len(out.splitlines()) == 1
    assert all(char.isprintable() for char in out.rstrip("\n"))
    out.encode()


def test_json_keeps_the_value_of_a_hostile_name(capsys: pytest.CaptureFixture[str]) -> None:
    """What is escaped reads back as it was."""
    logs.configure(log_format="json", level="info")
    structlog.get_logger().info("seen", path=HOSTILE)
    assert lines(capsys)[0]["path"] == HOSTILE


def test_levels_below_the_configured_one_are_silent_and_a_reload_changes_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A logger that exists follows the new level."""
    logs.configure(log_format="json", level="warning")
    logger = structlog.get_logger()
    logger.info("no")
    logs.configure(log_format="json", level="debug")
    logger.debug("yes")
    assert [line["event"] for line in lines(capsys)] == ["yes"]


def test_libraries_are_heard_from_warning_on(capsys: pytest.CaptureFixture[str]) -> None:
    """Records of the standard library's logging and Python's warnings take the same way."""
    logs.configure(log_format="json", level="debug")
    logging.getLogger("botocore").info("chatter")
    logging.getLogger("botocore").warning("slow %s", "down")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("old", stacklevel=1)
    first, second = lines(capsys)
    assert (first["event"], first["library"], first["level"]) == ("slow down", "botocore", "warning")
    assert second["library"] == "py.warnings"


def test_known_secrets_are_masked_by_value_wherever_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    """Also inside nested values, messages and tracebacks, and after the secret changed."""
    secret = ["hunter2-one"]
    logs.configure(log_format="json", level="info", secrets=lambda: secret)
    logger = structlog.get_logger()
    secret[0] = "hunter2-two"
    try:
        int("refused hunter2-two")
    except ValueError:
        logger.exception("it was hunter2-two", deep={"list": ["x hunter2-two y"]})
    out = capsys.readouterr().out
    assert "hunter2-two" not in out
    assert "ValueError" in out


def test_secrets_are_known_by_their_key_and_their_shape(capsys: pytest.CaptureFixture[str]) -> None:
    """Names of credentials, JWTs and signatures of URLs are masked without being told."""
    jwt = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl"
    logs.configure(log_format="json", level="info")
    structlog.get_logger().info(
        f"sent {jwt}",
        secret_access_key="AKabcdef",
        token_file="/run/token",
        url="https://s/x?X-Amz-Signature=0123456789abcdef&a=1",
        header="Authorization: Convex prod:abc|def",
        bare=jwt,
    )
    [line] = lines(capsys)
    assert line["event"] == "sent [secret]"
    assert line["secret_access_key"] == logs.MASK
    assert line["token_file"] == "/run/token"
    assert line["url"] == "https://s/x?X-Amz-Signature=[secret]&a=1"
    assert "abc|def" not in line["header"]
    assert line["bare"] == logs.MASK


@pytest.mark.parametrize(
    "fields",
    [
        {"path": "/r/hunter2-two.mp4", "bytes": 1},
        {"detail": "bearer abcdefgh", "version": None},
        {"url": "https://s/x?X-Amz-Signature=0123"},
        {"detail": "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl"},
        {"session_token": "abc"},
        {"deep": {"password": "abc"}},
        {"path": "/r/a b=c.mp4", "bytes": 1, "seconds": 0.5, "is_late": False, "version": None},
    ],
)
def test_a_line_of_plain_values_is_masked_as_any_other(
    capsys: pytest.CaptureFixture[str], fields: dict[str, Any]
) -> None:
    """What is looked at as a whole first says what masking each value would."""
    secrets = ["hunter2-two"]
    logs.configure(log_format="json", level="info", secrets=lambda: secrets)
    structlog.get_logger().info("delivered", **fields)
    [line] = lines(capsys)
    assert {name: line[name] for name in fields} == logs.redact(fields, secrets)


def test_a_log_reader_that_went_away_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A broken pipe is not the shipping's business."""

    class Gone:
        def write(self, _text: str) -> int:
            raise BrokenPipeError

    logs.configure(log_format="json", level="info")
    monkeypatch.setattr("sys.stdout", Gone())
    structlog.get_logger().info("still here")


def test_console_lines_quote_only_what_needs_it(capsys: pytest.CaptureFixture[str]) -> None:
    """A person reads time, level, event and fields."""
    logs.configure(log_format="console", level="info")
    structlog.get_logger().info("uploaded", path="a b.mp4", size=3)
    assert capsys.readouterr().out.split(" ", 1)[1] == 'info    uploaded path="a b.mp4" size=3\n'


ROWS = [{"path": 'a }, {"b.mp4', "size": 3, "why": None}, {"path": HOSTILE, "size": 4.5, "why": "=}]"}]


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_rows_are_printed_as_single_lines_are(
    capsys: pytest.CaptureFixture[str], log_format: logs.LogFormat
) -> None:
    """Whatever their texts hold: the end of one row is never looked for within a text."""
    logs.configure(log_format=log_format, level="info", secrets=lambda: ["hunter2-one"])
    logs.info_rows("delivered", ROWS)
    for row in ROWS:
        structlog.get_logger().info("delivered", **row)
    texts = [re.sub(r"\d{4}-[-:.\dT]+Z", "", line) for line in capsys.readouterr().out.splitlines()]
    assert len(texts) == 4
    assert texts[:2] == texts[2:]


@pytest.mark.parametrize("log_format", ["json", "console"])
@pytest.mark.parametrize("place", ["hunter2-one", "https://s3/?X-Amz-Signature=abcdef"])
def test_a_secret_in_one_of_many_rows_is_masked(
    capsys: pytest.CaptureFixture[str], log_format: logs.LogFormat, place: str
) -> None:
    """Known by its value or by its shape."""
    logs.configure(log_format=log_format, level="info", secrets=lambda: ["hunter2-one"])
    logs.info_rows("delivered", [{"path": "a.mp4"}, {"path": place}, {"path": "c.mp4"}])
    first, second, third = capsys.readouterr().out.splitlines()
    assert ("a.mp4" in first, logs.MASK in second, "c.mp4" in third) == (True, True, True)
    assert "hunter2" not in second
    assert "abcdef" not in second


def test_rows_keep_to_the_level_and_to_what_a_program_configured(capsys: pytest.CaptureFixture[str]) -> None:
    """A reload silences them; another's processors get every one."""
    logs.configure(log_format="json", level="warning")
    logs.info_rows("delivered", ROWS)
    assert capsys.readouterr().out == ""
    assert not logs.prints(logging.INFO)
    logs.configure(log_format="json", level="info")
    with structlog.testing.capture_logs() as captured:
        logs.info_rows("delivered", ROWS)
    assert [line["size"] for line in captured] == [3, 4.5]
    with structlog.contextvars.bound_contextvars(job="j1"):
        logs.info_rows("delivered", ROWS)
    assert [line["job"] for line in lines(capsys)] == ["j1", "j1"]
