"""The real daemon over a folder that generated code has filled with malice, and with secrets to lose."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.system import System, eventually, write

from .attack import CANARY, swapping

TIB = 1024**4
SECRET = "canary-5b7e90d21c6a4f38-of-a-secret"

PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108000000003a7e9b55"
    "0000000a49444154789c636000000002000148afa4710000000049454e44ae426082"
)


def honest(system: System) -> dict[str, bytes]:
    """Write what a well-behaved renderer would, among the rest."""
    scene = system.root / "p" / "s" / "one"
    return {
        "scene.py": write(scene / "source" / "scene.py", b"print('hello')\n"),
        "film.mp4": write(scene / "video" / "film.mp4", os.urandom(3_000_000)),
        "evil\u202egpj.png": write(scene / "thumbnails" / "evil\u202egpj.png", PIXEL),
    }


def test_malice_beside_honest_files_leaves_nothing_but_honest_files(system: System, tmp_path: Path) -> None:
    """Links, swaps, pipes, devices, holes, names that end lines, JSON that breaks readers: in one scene."""
    scene = system.root / "p" / "s" / "one"
    system.settings["shutdown"] = {"grace": "1s"}  # the giants stay incomplete
    vault = tmp_path / "vault"
    write(vault / "scene.py", CANARY)
    files = honest(system)
    source, video = scene / "source", scene / "video"
    (source / "link.py").symlink_to(vault / "scene.py")
    (scene / "subtitles").symlink_to(vault)
    (video / "up.mp4").symlink_to("../../../../vault/scene.py")
    os.mkfifo(source / "pipe.py")
    if os.geteuid() == 0:
        os.mknod(source / "zero.py", 0o600 | 0o020000, os.makedev(1, 5))
    write(video / "hole.mp4", b"")
    os.truncate(video / "hole.mp4", TIB)
    write(source / "a\nb.py", b'{"event": "forged", "level": "critical"}')
    write(source / "\x1b[2J\x07.py", b"1")
    write(source.joinpath("c\r\n{'event':'forged'}.py"), b"1")
    write(Path(os.fsdecode(os.fsencode(source) + b"/\xff\xfe.py")), b"1")
    write(system.root / "p" / "s" / "manifest.json", b'{"n": ' + b"1" * 5000 + b"}")
    write(scene / ".complete", b"[" * 60_000)
    files["manifest.json"] = (system.root / "p" / "s" / "manifest.json").read_bytes()
    write(source / "swapped.py", b"honest = True\n")
    (tmp_path / "aside").symlink_to(vault / "scene.py")
    with swapping((source / "swapped.py", tmp_path / "aside")):
        system.start()
        eventually("the honest files are shipped", lambda: _synced(system) >= len(files), seconds=60)
        for _ in range(50):
            assert system.status()["state"] in {"ok", "degraded"}
            with pytest.raises(OSError, match="No such device"):
                os.open(source / "pipe.py", os.O_WRONLY | os.O_NONBLOCK)
    shipped = system.objects().values()
    assert all(CANARY not in data for data in shipped)
    assert set(files.values()) <= set(shipped) <= {*files.values(), b"honest = True\n"}
    _nothing_leaked(system, CANARY)
    assert system.stop() in {0, 75}
    lines = system.log.read_text().splitlines()
    events = [json.loads(line) for line in lines]
    assert all("event" in event and event["event"] != "forged" for event in events)
    assert not any(0x7F <= ord(char) < 0xA0 or ord(char) < 0x20 for line in lines for char in line)


def _synced(system: System) -> int:
    return int(system.status()["transfers"]["synced"])


def _nothing_leaked(system: System, canary: bytes) -> None:
    journal = Path(system.settings["journal"]["path"])
    for path in journal.parent.iterdir():
        assert canary[:20] not in path.read_bytes(), path
    assert canary[:20] not in system.log.read_bytes()


@pytest.fixture
def guarded(system: System, tmp_path: Path) -> Iterator[System]:
    """Give every secret as a canary, in a file of its own; none of them is right."""
    folder = tmp_path / "secrets"
    folder.mkdir()
    for name in ("s3", "convex", "status"):
        path = folder / name
        path.write_text(f"{SECRET}-{name}")
        path.chmod(0o600)
    s3 = system.settings["s3"]
    del s3["secret_access_key"]
    s3["secret_access_key_file"] = str(folder / "s3")
    system.settings["convex"]["auth"] = {"mode": "token_file", "token_file": str(folder / "convex")}
    system.settings["status"]["token_file"] = str(folder / "status")
    system.settings["logging"] = {"level": "debug"}
    system.settings["shutdown"] = {"grace": "1s"}  # nothing of it can be shipped
    yield system
    shutil.rmtree(folder)


def test_a_canary_secret_is_nowhere_to_be_found(guarded: System) -> None:
    """Logs at their loudest, arguments, every answer of the endpoint, journal, settings.

    The secrets are wrong ones, so that both remotes refuse them and every error path has held one.
    """
    system = guarded
    system.fresh = True  # with arguments and an environment of its own
    write(system.root / "p" / "s" / "one" / "source" / "scene.py", b"print('hello')\n")
    system.start()

    def refused_by_both() -> bool:
        status = system.status()
        return bool(status["s3"]["last_error"]) and bool(status["convex"]["last_error"])

    eventually("both remotes have refused the secrets", refused_by_both)
    assert system.process
    pid = system.process.pid
    seen: dict[str, bytes] = {
        "arguments": Path(f"/proc/{pid}/cmdline").read_bytes(),
        "config show": _printed("config", "show", "--config", str(system.folder / "sidecar.yaml")),
        "explain": json.dumps(system.explain(system.root / "p/s/one/source/scene.py")).encode(),
    }
    for route in ("/status", "/metrics", "/healthz", "/readyz", "/assets", "/dead-letters", "/openapi.json"):
        with urllib.request.urlopen(f"http://127.0.0.1:{system.port}{route}", timeout=10) as answer:
            seen[route] = answer.read() + str(answer.headers).encode()
    assert b"Max core file size        0                    0" in Path(f"/proc/{pid}/limits").read_bytes()
    system.process.send_signal(signal.SIGHUP)
    system.stop()
    for path in Path(system.settings["journal"]["path"]).parent.iterdir():
        seen[path.name] = path.read_bytes()
    seen["log"] = system.log.read_bytes()
    assert all(text for name, text in seen.items() if not name.endswith((".lock", "-wal", "-shm")))
    leaks = [name for name, text in seen.items() if SECRET.encode() in text]
    assert leaks == []


def _printed(*arguments: str) -> bytes:
    ended = subprocess.run([sys.executable, "-m", "sidecar", *arguments], capture_output=True, check=False)
    return ended.stdout + ended.stderr
