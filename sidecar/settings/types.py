"""The types that settings are made of: units, templates, URLs, and the base of every section."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, PlainSerializer, WithJsonSchema

from sidecar.core import units


class Section(BaseModel):
    """A mapping of the file: frozen, and every key that it does not know is an error.

    The docstring below a field describes its key (``descriptions.py``).
    """

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        validate_default=True,
    )


def _reader(parse: Callable[[str], float]) -> BeforeValidator:
    def read(value: Any) -> Any:
        return parse(value) if isinstance(value, str) else value

    return BeforeValidator(read)


def _unit(parse: Callable[[str], float], write: Callable[[Any], str], example: str) -> tuple[Any, ...]:
    schema = {"type": "string", "examples": [example]}
    return (
        _reader(parse),
        AfterValidator(_not_negative),
        PlainSerializer(write, return_type=str, when_used="json"),
        WithJsonSchema(schema),
    )


def _not_negative(value: float) -> float:
    if value < 0:
        raise ValueError(f"{value} is negative")
    return value


def _positive(value: float) -> float:
    if value <= 0:
        raise ValueError("must be more than 0")
    return value


Size = Annotated[int, *_unit(units.parse_size, units.format_size, "8MiB")]
Seconds = Annotated[float, *_unit(units.parse_duration, units.format_duration, "30s")]
Rate = Annotated[int, *_unit(units.parse_rate, units.format_rate, "40MB/s"), AfterValidator(_positive)]
PositiveSeconds = Annotated[Seconds, AfterValidator(_positive)]


def http_url(value: str) -> str:
    """Return a URL without a slash at its end. Raises ValueError with a sentence for what is none."""
    try:
        url = urlsplit(value)
        port_is_fine = url.port is None or url.port > 0
    except ValueError as error:
        raise ValueError(f"{value!r} is no URL: {error}") from None
    if url.scheme not in ("http", "https") or not url.hostname or not port_is_fine:
        raise ValueError(f"{value!r} is no URL; write one such as https://example.com")
    if url.username is not None or url.password is not None:
        raise ValueError("a URL holds no user name or password; they have keys of their own")
    if url.query or url.fragment:
        raise ValueError(f"{value!r} has a query or fragment; write the URL without ? and #")
    return value.rstrip("/")


HttpUrl = Annotated[str, AfterValidator(http_url), WithJsonSchema({"type": "string", "format": "uri"})]


def word(pattern: str, sentence: str) -> Any:
    """Return the type of text that matches a pattern; ``sentence`` says what would be right."""
    compiled = re.compile(pattern, re.ASCII)

    def check(value: str) -> str:
        if not compiled.fullmatch(value):
            raise ValueError(f"{value!r} is not allowed here; {sentence}")
        return value

    return AfterValidator(check)


def or_auto(read: Callable[[str], int]) -> tuple[Any, ...]:
    """Return the annotations of a number that may also be ``auto``."""

    def check(value: Any) -> Any:
        return value if value == "auto" or not isinstance(value, str) else read(value)

    return (BeforeValidator(check),)
