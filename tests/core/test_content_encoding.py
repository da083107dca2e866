"""Packed bodies, and the pauses that remotes ask for."""

from __future__ import annotations

import gzip
import zlib

import pytest

from sidecar.core.content_encoding import unpacked
from sidecar.core.retry import Again, GiveUp, RetryPolicy, not_before
from sidecar.core.retry_after import asked_pause_seconds

BODY = b"<ListBucketResult/>" * 100
BARE = zlib.compressobj(wbits=-15)
GZIPPED = gzip.compress(BODY, mtime=0)  # the same whoever collects these tests
DATE = "Sat, 29 Nov 2025 10:00:00 GMT"


@pytest.mark.parametrize(
    ("packed", "encoding"),
    [
        (BODY, ""),
        (BODY, "identity"),
        (BODY, "aws-chunked"),
        (GZIPPED, "gzip"),
        (GZIPPED, " X-GZIP "),
        (zlib.compress(BODY), "deflate"),
        (BARE.compress(BODY) + BARE.flush(), "deflate"),
        (gzip.compress(zlib.compress(BODY), mtime=0), "deflate, gzip"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_body_is_unpacked(packed: bytes, encoding: str) -> None:
    """In the order in which it was packed."""
    assert unpacked(packed, encoding, bytes_max=len(BODY)) == BODY


@pytest.mark.parametrize(
    ("packed", "encoding", "said"),
    [
        (GZIPPED, "br", "'br', which nobody asked for"),
        (BODY, "gzip", "damaged"),
        (GZIPPED[:-20], "gzip", "cut off"),
        (gzip.compress(BODY + b"x", mtime=0), "gzip", "more than"),
        (gzip.compress(gzip.compress(bytes(10**7), mtime=0), mtime=0), "gzip, gzip", "more than"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_body_that_cannot_be_unpacked_says_why(packed: bytes, encoding: str, said: str) -> None:
    """A bomb costs no more than the bound."""
    with pytest.raises(ValueError, match=said):
        unpacked(packed, encoding, bytes_max=len(BODY))


@pytest.mark.parametrize(
    ("retry_after", "date", "seconds"),
    [
        ("30", None, 30.0),
        (" 5 ", DATE, 5.0),
        ("Sat, 29 Nov 2025 10:02:00 GMT", DATE, 120.0),
        ("Sat, 29 Nov 2025 09:00:00 GMT", DATE, 0.0),
        ("Sat, 29 Nov 2025 10:02:00 GMT", None, 0.0),
        ("9" * 400, None, 999_999_999.0),
        *[
            (text, DATE, 0.0)
            for text in (None, "", "-1", "1.5", "soon", "\u0665", "Sat, 99 Nov 2025 10:00:00 GMT")
        ],
    ],
)
def test_a_pause_is_read_by_the_remotes_clock(
    retry_after: str | None, date: str | None, seconds: float
) -> None:
    """What cannot be read asks for none."""
    assert asked_pause_seconds(retry_after, date) == seconds


def test_a_pause_lengthens_the_wait_up_to_the_longest() -> None:
    """It neither shortens a wait, nor stops us for a day."""
    policy = RetryPolicy(max_seconds=60.0)
    wait = Again(delay_seconds=3.0, spent=False)
    assert not_before(wait, 30.0, policy) == Again(delay_seconds=30.0, spent=False)
    assert not_before(wait, 1.0, policy) == wait
    assert not_before(wait, 86_400.0, policy) == Again(delay_seconds=60.0, spent=False)
    assert not_before(GiveUp(reason="no"), 30.0, policy) == GiveUp(reason="no")
