"""Sizes, times and rates as people write them: ``8MiB``, ``250ms``, ``40MB/s``.

Parsing and writing are inverse: ``parse_size(format_size(n)) == n``, and so for the others.
"""

from __future__ import annotations

import re

_SIZE_UNITS = {
    "": 1, "B": 1,
    "kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
    "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40,
}  # fmt: skip
_TIME_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_NUMBER = re.compile(r"\s*([0-9]{1,15}(?:\.[0-9]{1,6})?)\s*([A-Za-z]*)\s*", re.ASCII)


def parse_size(text: str) -> int:
    """Return bytes. Raises ValueError with an example for anything but a number and a unit."""
    number, unit = _split(text, "a size such as 8MiB, 500kB or 4096")
    if unit not in _SIZE_UNITS:
        raise ValueError(f"{text!r} has no known unit; write a size such as 8MiB, 64KiB, 40MB or 1GiB")
    return round(number * _SIZE_UNITS[unit])


def format_size(size_bytes: int) -> str:
    """Return the shortest exact size with a unit."""
    for unit in ("TiB", "GiB", "MiB", "KiB", "TB", "GB", "MB", "kB"):
        count, rest = divmod(size_bytes, _SIZE_UNITS[unit])
        if count and not rest:
            return f"{count}{unit}"
    return f"{size_bytes}B"


def parse_duration(text: str) -> float:
    """Return seconds. A number without a unit is refused, because nobody can know which was meant."""
    number, unit = _split(text, "a time such as 250ms, 30s, 15m, 24h or 30d")
    if not unit and number:
        raise ValueError(f"{text!r} has no unit; write {text.strip()}s, {text.strip()}ms or {text.strip()}m")
    if unit and unit not in _TIME_UNITS:
        raise ValueError(f"{text!r} has no known unit; write a time such as 250ms, 30s, 15m, 24h or 30d")
    return number * _TIME_UNITS[unit or "s"] if unit != "ms" else number / 1000


def format_duration(seconds: float) -> str:
    """Return the shortest exact time with a unit, down to the millisecond."""
    for unit in ("d", "h", "m", "s"):
        count, rest = divmod(seconds, _TIME_UNITS[unit])
        if count and not rest:
            return f"{int(count)}{unit}"
    return f"{round(seconds * 1000, 6):g}ms" if seconds < 1 else f"{round(seconds, 6)!r}s"


def parse_rate(text: str) -> int:
    """Return bytes a second."""
    size, slash, per = text.strip().rpartition("/")
    if not slash or per.strip() != "s":
        raise ValueError(f"{text!r} is no rate; write bytes a second such as 40MB/s or 5MiB/s")
    return parse_size(size)


def format_rate(bytes_per_second: int) -> str:
    """Return bytes a second with a unit."""
    return f"{format_size(bytes_per_second)}/s"


def _split(text: str, wanted: str) -> tuple[float, str]:
    found = _NUMBER.fullmatch(text)
    if not found:
        raise ValueError(f"{text!r} is not {wanted}")
    return float(found[1]), found[2]
