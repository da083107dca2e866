"""Threads that the system refuses."""

from __future__ import annotations

import threading

import pytest

from sidecar.threads import Threads


def test_what_is_asked_of_too_few_threads_is_done_by_those_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody who asks for work sees that there could be more."""
    pool = Threads(4)

    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert [future.result(10) for future in [pool.submit(pow, 2, n) for n in range(5)]] == [1, 2, 4, 8, 16]
    pool.shutdown()


def test_a_pool_without_a_thread_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """At once, where somebody can still be told."""

    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(RuntimeError):
        Threads(4)
