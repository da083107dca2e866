"""Reads how long a remote asks to be left alone: ``Retry-After``, in seconds or until a date of its clock."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


def asked_pause_seconds(retry_after: str | None, date: str | None) -> float:
    """Return the pause; 0 where none is asked for, or what is said cannot be read."""
    text = (retry_after or "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    until, now = _time(text), _time(date or "")
    return max(0.0, (until - now).total_seconds()) if until and now else 0.0


def _time(text: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return found.replace(tzinfo=found.tzinfo or UTC)
