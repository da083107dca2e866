"""Signals from a process's first moment to its last, whatever its parent left it."""

from __future__ import annotations

import subprocess
import sys

import pytest

BEGINNING = """
import os, signal, sys, time
from sidecar import signals
from sidecar.signals import Inbox
send = lambda number: os.kill(os.getpid(), number)
heard, inbox = [], Inbox()
"""


def run(script: str) -> subprocess.CompletedProcess[str]:
    """Run it in a process of its own."""
    command = [sys.executable, "-c", BEGINNING + script]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("number", ["SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP"])
def test_what_came_before_anybody_listened_is_heard(number: str) -> None:
    """And what comes later, in order, even if the parent had it ignored and blocked."""
    inherited = "" if number == "SIGHUP" else f"signal.signal(signal.{number}, signal.SIG_IGN)"
    ran = run(f"""
number = signal.{number}
{inherited}
signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
inbox.open()
send(number)
inbox.deliver(lambda number, at: heard.append(number))
send(signal.SIGTERM)
raise SystemExit(heard != [number, signal.SIGTERM])
""")
    assert (ran.returncode, ran.stderr) == (0, "")


def test_nohup_is_kept() -> None:
    """Nobody hears of a hang-up that the parent ignores."""
    ran = run("""
signal.signal(signal.SIGHUP, signal.SIG_IGN)
inbox.open()
inbox.deliver(lambda number, at: heard.append(number))
send(signal.SIGHUP)
raise SystemExit(bool(heard))
""")
    assert (ran.returncode, ran.stderr) == (0, "")


def test_signals_that_mean_nothing_here_do_nothing() -> None:
    """Also that a job in the background prints, and that a file is over its limit."""
    ran = run("""
inbox.open()
for name in ("USR1", "USR2", "PIPE", "TTOU", "TTIN", "XFSZ"):
    send(getattr(signal, f"SIG{name}"))
""")
    assert (ran.returncode, ran.stderr) == (0, "")


def test_a_child_s_exit_status_is_known_though_the_parent_ignored_children() -> None:
    """As botocore needs of a credential process."""
    ran = run("""
import subprocess
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
inbox.open()
raise SystemExit(subprocess.run(["sh", "-c", "exit 3"]).returncode != 3)
""")
    assert (ran.returncode, ran.stderr) == (0, "")


def test_a_second_one_during_the_imports_ends_it_but_not_its_echo() -> None:
    """A terminal and a parent that both pass Ctrl-C on mean it once."""
    ran = run("""
now = [100.0]
time.monotonic = lambda: now[0]
inbox.open()
send(signal.SIGINT)
now[0] += 0.9
send(signal.SIGTERM)
print("still here", flush=True)
now[0] += 0.2
send(signal.SIGTERM)
""")
    assert (ran.returncode, ran.stdout, ran.stderr) == (75, "still here\n", "")


def test_a_late_one_does_not_replace_the_exit_status() -> None:
    """As from a supervisor that is impatient."""
    ran = run("""
inbox.open()
inbox.close()
send(signal.SIGTERM)
send(signal.SIGINT)
""")
    assert (ran.returncode, ran.stderr) == (0, "")
