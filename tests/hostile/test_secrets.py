"""Secrets stay where they were put: files that lie open are refused, dumps forbidden, tracebacks masked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sidecar import daemon
from sidecar.core.mounts import kind_at
from sidecar.settings import SettingsError, from_mapping, secret_files

CANARY = "canary-9c41d0b7e2f84c65-of-a-secret"
BARE = {
    "watch": [{"root": "/renders"}],
    "s3": {"bucket": "lessons", "access_key_id": "AKIDEXAMPLE"},
    "convex": {"sync": "off"},
}


def settings_with(path: Path) -> dict[str, object]:
    """Return settings whose secret key is in a file."""
    return {**BARE, "s3": {**BARE["s3"], "secret_access_key_file": str(path)}}  # type: ignore[dict-item]


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o602, 0o777])
def test_a_secret_that_lies_open_on_a_disk_is_refused(tmp_path: Path, mode: int) -> None:
    """Whoever may log in could read it, or put their own in its place."""
    path = tmp_path / "key"
    path.write_text(CANARY)
    path.chmod(mode)
    with pytest.raises(SettingsError) as raised:
        from_mapping(settings_with(path))
    assert "s3.secret_access_key_file:" in str(raised.value)
    assert f"is open to every user of this machine (mode {mode:04o}); chmod 600" in str(raised.value)
    assert CANARY not in str(raised.value)


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o640])
def test_a_secret_of_its_owner_or_group_is_fine(tmp_path: Path, mode: int) -> None:
    """A group is how Kubernetes shares a volume."""
    path = tmp_path / "key"
    path.write_text(CANARY)
    path.chmod(mode)
    assert from_mapping(settings_with(path)).warnings == ()


def test_an_open_secret_in_memory_is_a_warning() -> None:
    """Where Kubernetes puts secrets, with mode 0644 and through symbolic links."""
    shm = Path("/dev/shm")  # noqa: S108 - the point: a real memory mount
    if kind_at(str(shm), secret_files.MOUNTS.read_text()) != "tmpfs":
        pytest.skip("there is no tmpfs here")
    path = shm / f"sidecar-test-{os.getpid()}"
    try:
        path.write_text(CANARY)
        path.chmod(0o644)
        [warning] = from_mapping(settings_with(path)).warnings
    finally:
        path.unlink()
    assert warning.endswith("is open to every user of this container (mode 0644)")


def test_an_open_secret_on_a_read_only_mount_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Docker hands them over; nobody could change the mode there."""
    path = tmp_path / "key"
    path.write_text(CANARY)
    path.chmod(0o644)
    real = os.statvfs(path)
    read_only = os.statvfs_result([*real[:8], real.f_flag | os.ST_RDONLY, real.f_namemax])
    monkeypatch.setattr(os, "statvfs", lambda _: read_only)
    [warning] = from_mapping(settings_with(path)).warnings
    assert "every user of this container" in warning


def test_the_daemon_ends_with_78_over_an_open_secret(tmp_path: Path) -> None:
    """At the start, with a sentence, before anything is sent."""
    path, config = tmp_path / "key", tmp_path / "sidecar.yaml"
    path.write_text(CANARY)
    path.chmod(0o644)
    config.write_text(json.dumps({**settings_with(path), "journal": {"path": str(tmp_path / "journal.db")}}))
    ended = subprocess.run(
        [sys.executable, "-m", "sidecar", "run", "--config", str(config)],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert ended.returncode == 78
    assert f"{config}:1:" in ended.stderr
    assert "chmod 600" in ended.stderr
    assert CANARY not in ended.stdout + ended.stderr
    assert not (tmp_path / "journal.db").exists()


def test_the_daemon_forbids_dumps_of_its_memory() -> None:
    """Neither a core file nor a debugger of the same user gets what it holds."""
    script = (
        "import ctypes, resource; from sidecar.daemon.process_memory import forbid_dumps; forbid_dumps();"
        "print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0), resource.getrlimit(resource.RLIMIT_CORE))"
    )
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert shown.stdout.split("\n")[0] == "0 (0, 0)"


def test_a_bug_ends_the_daemon_with_one_masked_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A traceback may hold what a library put into its message: it goes through the log, not around it."""
    path, config = tmp_path / "key", tmp_path / "sidecar.yaml"
    path.write_text(CANARY)
    path.chmod(0o600)
    config.write_text(json.dumps(settings_with(path)))

    async def break_down(settings: object, *_: object) -> int:
        secret = settings.s3.secret_access_key  # type: ignore[attr-defined]
        raise RuntimeError(f"the request was signed\nwith {secret.get()}")

    monkeypatch.setattr(daemon, "_lives", break_down)
    monkeypatch.setattr(daemon, "forbid_dumps", lambda: None)
    assert daemon.main(config) == 1
    printed = capsys.readouterr()
    assert CANARY not in printed.out + printed.err
    [line] = printed.out.splitlines()
    assert json.loads(line)["event"] == "bug"
    assert "the request was signed" in line
