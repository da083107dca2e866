"""Log lines: one event is one line on standard output, as JSON or for people.

Promises: times are UTC in ISO 8601; nothing in a value can end a line or drive a terminal; secrets
never appear, known ones by value, others by the shape of their key or text. Libraries that log by the
standard library come out the same way, from WARNING on.
"""

from __future__ import annotations

import contextlib
import json
import logging
import re
import sys
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any, Literal

import structlog
from structlog.typing import EventDict, WrappedLogger

from sidecar.core.text import escape, printable
from sidecar.log_lines import LineWriter

LogFormat = Literal["json", "console"]
_Encode = Callable[[EventDict], str]
_EncodeRows = Callable[[EventDict, Sequence[EventDict]], list[str]]
MASK = "[secret]"
SHORTEST_SECRET = 6  # shorter values would mask innocent text

_SECRET_KEYS = re.compile(
    r"(?i)^(.*_)?(secret|password|token|authorization|secret_access_key|session_token|deploy_key"
    r"|private_key|admin_key|jwt)$"
)
_SECRET_TEXT = re.compile(
    r"(?i)((?<=x-amz-signature=)|(?<=x-amz-security-token=)|(?<=x-amz-credential=)|(?<=bearer )"
    r"|(?<=authorization: convex ))[^\s&\"']+|\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]+"
)
# What JSON leaves raw and a terminal, a line reader or UTF-8 minds: C1, line separators, bidi, surrogates.
_UNSAFE = re.compile("[\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")

_PLAIN = frozenset({str, int, float, bool, type(None)})

_ENCODE = json.JSONEncoder(ensure_ascii=False, default=str).encode
_STAMP = structlog.processors.TimeStamper(fmt="iso", utc=True)


def configure(
    *,
    log_format: LogFormat,
    level: str,
    secrets: Callable[[], Iterable[str]] = tuple,
    lines: LineWriter | None = None,
) -> None:
    """Set up structlog and the standard library's logging; called again after a reload.

    ``level`` is debug, info, warning or error; ``secrets`` returns the values that must not appear,
    asked for every line, because secret files are read again when they change. Without ``lines`` whoever
    logs writes to standard output itself, and waits for its reader.
    """
    threshold = logging.getLevelNamesMapping()[level.upper()]
    renderer = _Renderer(secrets, log_format=log_format, threshold=threshold)
    if lines is not None:
        lines.notice = partial(_dropped, renderer.encode)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            _STAMP,
            _traceback_as_text,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=_Stdout if lines is None else partial(_Queued, lines),
        cache_logger_on_first_use=False,  # a reload changes levels of loggers that exist
    )
    logging.basicConfig(handlers=[_Bridge()], level=max(logging.WARNING, threshold), force=True)
    logging.captureWarnings(capture=True)


def prints(level: int) -> bool:
    """Tell whether lines of a level are printed; True where a program's own configuration decides."""
    renderer = _renderer()
    return renderer is None or level >= renderer.threshold


def info_rows(event: str, rows: Sequence[EventDict]) -> None:
    """Log a line at info for each of ``rows``, which have the same keys, for little more than one would cost.

    What is not plain, or may hold a secret, takes the way of single lines; so does a program's own log.
    """
    renderer = _renderer()
    lines = None if renderer is None else renderer.rows({"level": "info", "event": event}, rows)
    if lines is not None:
        structlog.get_config()["logger_factory"]().put_all(lines)
        return
    bound = structlog.get_logger().bind()
    for row in rows:
        bound.info(event, **row)


def _renderer() -> _Renderer | None:
    """Return our own, if lines take its way now and nothing adds to them."""
    last = structlog.get_config()["processors"][-1:]
    is_ours = last and isinstance(last[0], _Renderer) and not structlog.contextvars.get_contextvars()
    return last[0] if is_ours else None


def redact(value: Any, secrets: Iterable[str]) -> Any:
    """Return ``value`` with every secret masked, also inside mappings and lists."""
    match value:
        case str():
            for secret in secrets:
                value = value.replace(secret, MASK)
            return _SECRET_TEXT.sub(MASK, value) if _may_hold_secret(value) else value
        case Mapping():
            return {k: MASK if v and _is_secret(str(k)) else redact(v, secrets) for k, v in value.items()}
        case list() | tuple() | set() | frozenset():
            return [redact(item, secrets) for item in value]
        case None | bool() | int() | float():
            return value
        case _:
            return redact(str(value), secrets)


@lru_cache(maxsize=256)
def _is_secret(key: str) -> bool:
    return _SECRET_KEYS.match(key) is not None


def _may_hold_secret(text: str) -> bool:
    """Tell whether _SECRET_TEXT may find something, at a tenth of its cost: mostly it cannot."""
    return "=" in text or " " in text or "eyj" in text.lower()


class _Renderer:
    """The last processor: masks secrets, and makes the line."""

    def __init__(
        self, secrets: Callable[[], Iterable[str]], *, log_format: LogFormat, threshold: int
    ) -> None:
        self._secrets, self.threshold = secrets, threshold
        self.encode, self._encode_rows = _FORMATS[log_format]

    def __call__(self, _logger: WrappedLogger, _method: str, event: EventDict) -> str:
        known = self._known()
        if _is_harmless(event, event.values(), known):
            return self.encode(event)
        return self.encode(redact(event, known))

    def rows(self, head: EventDict, rows: Sequence[EventDict]) -> list[str] | None:
        """Return the lines of rows with the same keys, all of this moment; None if any may be masked."""
        if self.threshold > logging.INFO:
            return []
        values = [value for row in rows for value in row.values()]
        if not _is_harmless(rows[0], values, self._known()):
            return None
        return self._encode_rows(_STAMP(None, "", head), rows)

    def _known(self) -> list[str]:
        return [secret for secret in self._secrets() if len(secret) >= SHORTEST_SECRET]


def _is_harmless(keys: Iterable[str], values: Collection[Any], secrets: Iterable[str]) -> bool:
    """Tell whether ``redact`` would surely change nothing, at a fraction of its cost: mostly so."""
    if not _PLAIN.issuperset(map(type, values)) or any(map(_is_secret, keys)):
        return False
    text = "\0".join([value for value in values if type(value) is str])
    if any(secret in text for secret in secrets):
        return False
    return not _may_hold_secret(text) or _SECRET_TEXT.search(text) is None


class _Stdout:
    """Writes whole lines to whatever standard output is at that moment."""

    def __init__(self, *_name: str) -> None:
        """Names of loggers are not printed: an event's fields say where it comes from."""

    def put_all(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.msg(line)

    def msg(self, line: str) -> None:
        # A log reader that went away must not stop the shipping.
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.write(line + "\n")
            sys.stdout.flush()

    debug = info = warning = error = critical = exception = log = msg


class _Queued:
    """Hands whole lines to the thread that writes them."""

    def __init__(self, lines: LineWriter, *_name: str) -> None:
        """Names of loggers are not printed: an event's fields say where it comes from."""
        self.msg, self.put_all = lines.put, lines.put_all
        self.debug = self.info = self.warning = self.error = lines.put
        self.critical = self.exception = self.log = lines.put


class _Bridge(logging.Handler):
    """Hands records of the standard library's logging to structlog."""

    def emit(self, record: logging.LogRecord) -> None:
        extra = {"exc_info": record.exc_info} if record.exc_info else {}
        logger = structlog.get_logger()
        logger.log(record.levelno, record.getMessage(), library=record.name, **extra)


def _dropped(encode: _Encode, count: int) -> str:
    """Return the line that stands for those that were dropped."""
    why = f"{count} log lines were dropped here: standard output did not take them in time"
    event = {"event": "log_lines_dropped", "level": "warning", "count": count, "why": why}
    return encode(_STAMP(None, "", event))


def _traceback_as_text(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    return structlog.processors.format_exc_info(logger, method, event)


def _as_json(event: EventDict) -> str:
    return _safe(_ENCODE(_ordered(event)))


def _rows_as_json(head: EventDict, rows: Sequence[EventDict]) -> list[str]:
    """Encode all rows at once. Within a text a backslash precedes a quote: ``}, {"`` is between two rows."""
    begin = _safe(_ENCODE(_ordered(head)))[:-1]
    text = _safe(_ENCODE(rows))
    return [f'{begin}, "{row}}}' for row in text.removeprefix('[{"').removesuffix("}]").split('}, {"')]


def _ordered(event: EventDict) -> EventDict:
    first = {key: event.pop(key) for key in ("timestamp", "level", "event") if key in event}
    return {**first, **event}


def _safe(text: str) -> str:
    if text.isascii() and "\x7f" not in text:
        return text
    return _UNSAFE.sub(lambda found: escape(found[0]), text)


def _for_people(event: EventDict) -> str:
    time, level = event.pop("timestamp", ""), str(event.pop("level", ""))
    text = printable(str(event.pop("event", "")))
    fields = "".join(f" {printable(str(key))}={_quoted(value)}" for key, value in event.items())
    return f"{time} {level:<7} {text}{fields}"


def _rows_for_people(head: EventDict, rows: Sequence[EventDict]) -> list[str]:
    return [_for_people({**head, **row}) for row in rows]


def _quoted(value: Any) -> str:
    text = printable(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str))
    return json.dumps(text, ensure_ascii=False) if " " in text and isinstance(value, str) else text


_FORMATS: dict[LogFormat, tuple[_Encode, _EncodeRows]] = {
    "json": (_as_json, _rows_as_json),
    "console": (_for_people, _rows_for_people),
}
