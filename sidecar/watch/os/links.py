"""Tells whether a symbolic link may lead to a folder, though what is behind it may never answer."""

from __future__ import annotations

import errno
import os
import stat
import threading

ANSWER_SECONDS = 5.0


class Follower:
    """Follows links, each in a thread of its own: a share that does not answer must not stop a listing.

    While one does not answer, no other is followed: any of them may lead to a folder then.
    """

    def __init__(self) -> None:
        """Begin with nothing that does not answer."""
        self._stuck: threading.Thread | None = None

    def may_be_folder(self, path: str) -> bool:
        """Tell whether an absolute path may be a folder; blocking, for some seconds at most."""
        if self._stuck is not None and self._stuck.is_alive():
            return True
        answers = list[bool]()
        asking = threading.Thread(
            target=lambda: answers.append(_may_be_folder(path)), name="link", daemon=True
        )
        try:
            asking.start()
        except RuntimeError:  # the system has no thread to give
            return True
        asking.join(ANSWER_SECONDS)
        if not answers:
            self._stuck = asking
        return answers[0] if answers else True


def _may_be_folder(path: str) -> bool:
    try:
        return stat.S_ISDIR(os.stat(path).st_mode)  # noqa: PTH116 - surrogate escapes
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        return error.errno != errno.ELOOP
