"""The daemon, noting which of its functions are called: ``python -m tests.support.tracer run --config FILE``.

Whoever started it writes file names into the pipe ``TRACER_PIPE``, a line each. Each ends a phase: the
functions that were called in it, in the order of their first calls, are written to that file as JSON.
What has no name of its own (a module's body, a lambda, a comprehension) is no function. Callbacks in threads
that are not Python's are not seen.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path
from types import CodeType, FrameType

import sidecar

PIPE = "TRACER_PIPE"
_FOLDER = f"{Path(sidecar.__file__).parent}/"


class Tracer:
    """Notes each function of the package at its first call in a phase."""

    def __init__(self) -> None:
        """Nothing is noted before ``install``."""
        self._called: dict[CodeType, None] = {}  # in order

    def install(self) -> None:
        """Note what this thread and later ones call."""
        threading.setprofile(self._note)
        sys.setprofile(self._note)

    def end_phases(self, pipe: Path) -> None:
        """Write each phase to the file that is named, for ever."""
        while True:
            for name in pipe.read_text().splitlines():
                ended, self._called = self._called, {}
                self._write(Path(name), [(code.co_filename, code.co_qualname) for code in ended])

    def _note(self, frame: FrameType, event: str, _: object) -> None:
        code = frame.f_code
        if event != "call" or not code.co_filename.startswith(_FOLDER) or code.co_name.startswith("<"):
            return
        self._called.setdefault(code, None)

    def _write(self, file: Path, called: list[tuple[str, str]]) -> None:
        named = dict.fromkeys((where.removeprefix(_FOLDER), name) for where, name in called)
        partial = file.with_suffix(".new")
        partial.write_text(json.dumps(list(named)))
        partial.rename(file)


if __name__ == "__main__":
    tracer = Tracer()
    phases = threading.Thread(target=tracer.end_phases, args=[Path(os.environ.pop(PIPE))], daemon=True)
    phases.start()  # before it is traced
    tracer.install()
    from sidecar.cli import main

    sys.exit(main())
