"""SIGTERM, SIGHUP and wait."""

from __future__ import annotations

import signal

from tests.support.system import System, eventually, write


def test_sigterm_ships_what_is_owed_and_ends_with_0(system: System) -> None:
    """A final scan, for no event tells of these files; the settle waited out, everything synced."""
    system.settings["watch"][0] |= {"settle": "1s", "events": "scan"}
    system.start()
    files = {
        f"demo/lesson/s{n}/source/x.py": write(system.root / f"demo/lesson/s{n}/source/x.py", b"x = %d\n" % n)
        for n in range(10)
    }
    assert system.stop() == 0
    system.check(files)


def test_sigterm_with_work_left_ends_with_75_and_names_it(system: System) -> None:
    """The next start goes on where this one stopped."""
    system.settings["shutdown"] = {"grace": "2s"}
    system.settings["upload"] = {"bandwidth": "1MB/s"}
    system.start()
    path = system.root / "demo/lesson/s1/source/big.py"
    data = write(path, b"#" * 20_000_000)
    eventually("it is ready", lambda: system.status()["transfers"]["ready"] == 1)
    assert system.stop() == 75
    assert "big.py" in system.log.read_text().splitlines()[-1]
    del system.settings["upload"]
    system.start()
    system.wait_settled(synced=1)
    system.check({"big.py": data})


def test_a_clean_drain_reports_its_scenes_as_complete(system: System) -> None:
    """A renderer that ends needs no marker."""
    system.start()
    write(system.root / "demo/lesson-drain/s1/video/0.mp4", b"film" * 250)
    system.wait_settled(synced=1)
    assert system.stop() == 0
    scenes = system.convex.control("table/renderSidecar/scenes")
    (scene,) = [s for s in scenes if s["sessionId"] == "demo/lesson-drain"]
    assert (scene["assetsStatus"], scene["videoAsset"]["size"]) == ("ready", 1000)


def test_a_reload_takes_the_new_settings_and_a_bad_file_changes_nothing(system: System) -> None:
    """SIGHUP, reported either way."""
    system.start()
    assert system.process
    good = system.settings["s3"]["bucket"]
    system.settings["s3"]["buckett"] = "x"
    system.write_config()
    system.process.send_signal(signal.SIGHUP)
    eventually("the bad file is reported", lambda: "buckett" in " ".join(system.status()["reasons"]))
    del system.settings["s3"]["buckett"]
    assert system.settings["s3"]["bucket"] == good
    second = system.folder / "second"
    second.mkdir()
    system.settings["watch"].append({"root": str(second)})
    system.write_config()
    system.process.send_signal(signal.SIGHUP)

    def reloaded() -> bool:
        try:
            return len(system.status()["watch"]) == 2
        except OSError:  # between the two lives the endpoint is away for a moment
            return False

    eventually("both roots are watched", reloaded)
    data = write(second / "demo/lesson/s1/source/x.py", b"x = 2\n")
    system.wait_settled(synced=1)
    system.check({"x.py": data})


def test_wait_returns_when_it_is_synced(system: System) -> None:
    """A renderer's last step."""
    system.start()
    path = system.root / "demo/lesson/s1/source/x.py"
    data = write(path, b"x = 1\n")
    answer = system.run("wait", str(path), "--timeout", "30s", "--url", f"http://127.0.0.1:{system.port}")
    assert answer.returncode == 0, answer.stderr
    system.check({"x.py": data})


def test_wait_fails_for_what_never_comes(system: System) -> None:
    """Unmatched: exit status 1 and why."""
    system.start()
    path = system.root / "demo/lesson/s1/source/x.unknown"
    write(path, b"x")
    answer = system.run("wait", str(path), "--timeout", "30s", "--url", f"http://127.0.0.1:{system.port}")
    assert answer.returncode == 1
    assert "rule" in answer.stdout + answer.stderr
