"""What an operation of the endpoint is made of: its route, its words for people, and who answers it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from pydantic import BaseModel

from .api import Api
from .guard import Need

JSON = "application/json"
Answer = tuple[int, BaseModel | str | bytes]  # the status, and a model or a body in the reply's content type
Asked = TypeVar("Asked")


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One query parameter; ``schema`` is its JSON schema."""

    name: str
    text: str
    schema: Mapping[str, Any] = field(default_factory=lambda: {"type": "string"})
    required: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation(Generic[Asked]):
    """One route. ``handler`` gets the query, or the body where there is one.

    ``reply`` is a model, or the content type of something else. ``is_long``: the operation's own bounds hold
    instead of a connection's deadline.
    """

    name: str
    path: str
    summary: str
    handler: Callable[[Api, Asked], Awaitable[Answer]]
    reply: type[BaseModel] | str
    method: str = "GET"
    need: Need = field(default_factory=Need)
    parameters: tuple[Parameter, ...] = ()
    body: type[Asked] | None = None
    is_long: bool = False
    replies: Mapping[int, str] = field(default_factory=lambda: {200: "The answer."})

    @property
    def content_type(self) -> str:
        """The reply's."""
        return self.reply if isinstance(self.reply, str) else JSON
