"""Makes the client library's session for S3 alone: it looks for no other service, nor listens for one.

botocore would list the folders of all four hundred services, twice, and register what listens for each: a
third of what the making of a client costs.
"""

from __future__ import annotations

from typing import Any

from aiobotocore.session import AioSession
from botocore import handlers
from botocore.loaders import Loader

from .aws_credentials import NOTHING_READ

_EVERY_SERVICE = "*"
_DOCUMENTATION = "docs"


def open_core() -> AioSession:
    """Return a session that reads neither the environment nor a file, and makes clients for S3."""
    core = AioSession(session_vars=NOTHING_READ, include_builtin_handlers=False)
    core.register_component("data_loader", _S3Loader())
    emitter = core.get_component("event_emitter")
    register: dict[Any, Any] = {
        (): emitter.register,
        (handlers.REGISTER_FIRST,): emitter.register_first,
        (handlers.REGISTER_LAST,): emitter.register_last,
    }
    for event, handler, *place in handlers.BUILTIN_HANDLERS:
        if is_for_s3(event):
            register[tuple(place)](event, handler)
    return core


def is_for_s3(event: str) -> bool:
    """Tell whether an event is, or may be, one of a client for S3."""
    kind, _, rest = event.partition(".")
    return kind != _DOCUMENTATION and rest.partition(".")[0] in {"", "s3", _EVERY_SERVICE}


class _S3Loader(Loader):  # type: ignore[misc]  # it has no types
    """Finds the descriptions of S3 where botocore does, and knows of no other service."""

    def list_available_services(self, type_name: str) -> list[str]:
        """Name S3: that its description is there shows when it is read."""
        del type_name
        return ["s3"]
