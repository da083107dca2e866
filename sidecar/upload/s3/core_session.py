"""Makes the client library's session for S3 alone: it looks for no other service, nor listens for one.

botocore would list the folders of all four hundred services, twice, and register what listens for each: a
third of what the making of a client costs. Another third is Amazon's list of endpoints. The rules for S3's
addresses came after it, and stand beside S3's description; the list still tells which regions have no
dual-stack or FIPS endpoint.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aiobotocore.session import AioSession
from botocore import handlers
from botocore.loaders import Loader

from .aws_credentials import NOTHING_READ

_EVERY_SERVICE = "*"
_DOCUMENTATION = "docs"
_ENDPOINTS = "endpoints"


def open_core(*, with_endpoints: bool) -> AioSession:
    """Return a session that reads neither the environment nor a file, and makes clients for S3.

    ``with_endpoints``: by Amazon's list of them, too.
    """
    core = AioSession(session_vars=NOTHING_READ, include_builtin_handlers=False)
    core.register_component("data_loader", _S3Loader(with_endpoints=with_endpoints))
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

    def __init__(self, *, with_endpoints: bool) -> None:
        super().__init__()
        self._with_endpoints = with_endpoints

    def load_data_with_path(self, name: str) -> tuple[Any, str]:
        """Return a description, and where it lies: for the list of endpoints an empty one may do."""
        if name == _ENDPOINTS and not self._with_endpoints:
            return {"partitions": []}, str(Path(self.BUILTIN_DATA_PATH, name))
        found: tuple[Any, str] = super().load_data_with_path(name)
        return found

    def list_available_services(self, type_name: str) -> list[str]:
        """Name S3: that its description is there shows when it is read."""
        del type_name
        return ["s3"]
