"""An operator's mistakes: one clear sentence, the right exit status or a degraded state, no traceback."""

from __future__ import annotations

import os
import socket

import pytest

from tests.support.system import System, eventually, write


def refused(system: System, *, status: int, word: str) -> None:
    """The command ends with a status and a sentence."""
    system.fresh = True
    system.start(ready=False)
    assert system.process
    assert system.process.wait(20) == status
    said = system.log.read_text()
    assert word in said
    assert "Traceback" not in said


def degraded(system: System, *words: str) -> None:
    """The daemon runs on and says what is wrong."""
    system.start()
    write(system.root / "demo/lesson/s1/source/x.py", b"x = 1\n")
    eventually(
        f"reasons name {words}",
        lambda: all(word in " ".join(system.status()["reasons"]) for word in words),
    )
    assert system.status()["state"] == "degraded"
    assert system.status()["transfers"]["dead"] == 0
    assert "Traceback" not in system.log.read_text()


def test_a_wrong_key_is_named(system: System) -> None:
    """S3 knows the key id, or the signature does not match."""
    system.settings["s3"]["secret_access_key"] = "wrong" * 8
    degraded(system, "S3", "credentials")


def test_a_missing_bucket_is_named(system: System) -> None:
    """With its name."""
    system.settings["s3"]["bucket"] = "no-such-bucket"
    degraded(system, "no-such-bucket")


def test_a_wrong_convex_token_is_named(system: System) -> None:
    """Uploads go on."""
    token = system.folder / "token"
    token.write_text("not.a.token")
    token.chmod(0o600)
    system.settings["convex"]["auth"] = {"mode": "token_file", "token_file": str(token)}
    degraded(system, "Convex")


def test_broken_yaml_is_refused_with_its_line(system: System) -> None:
    """Exit status 78."""
    path = system.folder / "broken.yaml"
    path.write_text("watch:\n  - root: [\n")
    answer = system.run("run", "--config", str(path))
    assert answer.returncode == 78
    assert "broken.yaml:" in answer.stderr + answer.stdout
    assert "Traceback" not in answer.stderr


def test_all_mistakes_are_reported_at_once(system: System) -> None:
    """Each with file, line and column."""
    system.settings["s3"]["buckett"] = "x"
    system.settings["upload"] = {"memory": "64 potatoes"}
    path = system.write_config()
    answer = system.run("config", "check", "--config", str(path))
    assert answer.returncode == 78
    assert "buckett" in answer.stderr + answer.stdout
    assert "potatoes" in answer.stderr + answer.stdout


def test_a_busy_port_is_refused(system: System) -> None:
    """Exit status 75: try later."""
    with socket.create_server(("127.0.0.1", system.port)):
        refused(system, status=75, word=str(system.port))


def test_a_second_instance_is_refused(system: System) -> None:
    """One running instance per journal."""
    system.start()
    system.settings["status"] = {"listen": "127.0.0.1:0"}
    answer = system.run("run", "--config", str(system.write_config()))
    assert answer.returncode == 75
    assert "another sidecar" in answer.stderr + answer.stdout


def test_an_unwritable_journal_folder_is_refused(system: System) -> None:
    """Exit status 78."""
    if os.geteuid() == 0:
        blocked = write(system.folder / "a-file", b"")  # root writes everywhere but below a file
        assert blocked == b""
        system.settings["journal"]["path"] = str(system.folder / "a-file" / "journal.db")
    else:
        (system.folder / "locked").mkdir(mode=0o500)
        system.settings["journal"]["path"] = str(system.folder / "locked" / "journal.db")
    refused(system, status=78, word="journal")


@pytest.mark.parametrize("command", [["status"], ["explain", "/x"], ["wait", "--timeout", "1s"]])
def test_a_daemon_that_does_not_run_is_said_in_a_sentence(system: System, command: list[str]) -> None:
    """Exit status 1."""
    answer = system.run(*command, "--url", f"http://127.0.0.1:{system.port}")
    assert answer.returncode == 1
    assert "Traceback" not in answer.stderr
    assert answer.stderr.strip()
