"""A parent that has imported the daemon once and forks its lives: ``python nursery.py SOCKET``.

A life costs its own start alone, not the second of imports. The parent has one thread, no event loop
and never arms the shim, so a fork is as good as a fresh process. One connection is one life: a line
of JSON comes in, the life's pid goes out, and at its end its status (negative: the signal).
``forked.py`` is the other side.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import gc
import importlib
import json
import os
import resource
import selectors
import signal
import socket
import sys
from pathlib import Path
from typing import Any, NoReturn

# What the daemon imports only while it starts or works.
LAZY = (
    *("aioboto3.s3.inject", "boto3.s3.inject", "boto3.s3.transfer"),
    *("httpcore", "anyio._backends._asyncio", "encodings.idna", "encodings.utf_8_sig"),
)
PR_SET_PDEATHSIG = 1
CLONE_NEWUSER = 0x10000000


def main(address: str) -> None:
    """Serve until the process is ended."""
    sys.modules["rich"] = None  # type: ignore[assignment]  # as `sidecar run` does
    import sidecar.cli.run  # noqa: PLC0415 - imported once, for every life
    import sidecar.daemon  # noqa: F401, PLC0415 - the same

    from . import authorities  # noqa: PLC0415 - imports what lives use

    for name in LAZY:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    _remember_models()
    authorities.trust_one()
    gc.collect()
    gc.freeze()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(f"{address}.new")
    listener.listen(64)
    Path(f"{address}.new").rename(address)  # whoever sees it can connect
    Parent(listener).serve()


def _remember_models() -> None:
    """Read botocore's description of S3 once, for every life."""
    import botocore.session  # noqa: PLC0415 - after the daemon's own imports
    from botocore.loaders import JSONFileLoader, Loader  # noqa: PLC0415 - the same

    read, services = JSONFileLoader._load_file, Loader.list_available_services
    known = functools.cache(lambda path, opener: read(None, path, opener))
    listed = functools.cache(lambda kind: services(Loader(include_default_search_paths=True), kind))
    JSONFileLoader._load_file = lambda _, path, opener: known(path, opener)
    Loader.list_available_services = lambda _, type_name: listed(type_name)
    keys = {"aws_access_key_id": "-", "aws_secret_access_key": "-"}
    botocore.session.Session().create_client("s3", region_name="us-east-1", **keys)


class Parent:
    """One selector over the listener, the connections and the lives."""

    def __init__(self, listener: socket.socket) -> None:
        self._selector = selectors.DefaultSelector()
        self._listener = listener
        self._selector.register(listener, selectors.EVENT_READ, self._accept)

    def serve(self) -> None:
        """Answer, for ever."""
        while True:
            for key, _ in self._selector.select():
                key.data()

    def _accept(self) -> None:
        connection, _ = self._listener.accept()
        request = json.loads(connection.makefile("r").readline())
        pid = os.fork()
        if pid == 0:
            self._become(request)
        pidfd = os.pidfd_open(pid)
        connection.sendall(b"%d\n" % pid)

        def ended() -> None:
            self._selector.unregister(pidfd)
            os.close(pidfd)
            _, status = os.waitpid(pid, 0)
            with contextlib.suppress(OSError):  # whoever asked may be gone
                connection.sendall(b"%d\n" % os.waitstatus_to_exitcode(status))
            connection.close()

        self._selector.register(pidfd, selectors.EVENT_READ, ended)

    def _become(self, request: dict[str, Any]) -> NoReturn:
        libc = ctypes.CDLL(None)
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        status = 1
        try:
            log = os.open(request["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            os.dup2(log, 1)
            os.dup2(log, 2)
            os.closerange(3, 512)
            os.environ.clear()
            os.environ.update(request["env"])
            if (files := request.get("files_max")) is not None:
                resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
            if (watches := request.get("watches_max")) is not None:
                _limit_watches(libc, watches)
            status = _live(libc, request)
        except BaseException:  # noqa: BLE001 - the end of a process: its traceback goes to its log
            sys.excepthook(*sys.exc_info())
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)


def _limit_watches(libc: ctypes.CDLL, watches: int) -> None:
    """Limit inotify for this life alone: in a user namespace of its own the sysctl is its own, too."""
    user, group = os.geteuid(), os.getegid()
    if libc.unshare(CLONE_NEWUSER) != 0:
        raise RuntimeError("no user namespace can be made")
    Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
    Path("/proc/self/uid_map").write_text(f"{user} {user} 1", encoding="ascii")
    Path("/proc/self/gid_map").write_text(f"{group} {group} 1", encoding="ascii")
    Path("/proc/sys/user/max_inotify_watches").write_text(str(watches), encoding="ascii")


def _live(libc: ctypes.CDLL, request: dict[str, Any]) -> int:
    from sidecar.cli.run import run  # noqa: PLC0415 - imported long ago, by the parent

    importlib.import_module(request["module"])  # `sidecar` itself, or what shortens its time limits
    if os.environ.get("SHIM_BOARD") and libc.shim_arm() != 0:
        raise RuntimeError("the shim is not there")
    return run(["--config", request["config"]])


if __name__ == "__main__":
    main(sys.argv[1])
