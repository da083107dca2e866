from __future__ import annotations

import os

import pytest
from awscrt import checksums as crt
from hypothesis import given
from hypothesis import strategies as st

from sidecar.core import checksums
from sidecar.core.model import MIB, Part, PartChecksums
from sidecar.core.parts import (
    OBJECT_BYTES_MAX,
    PART_BYTES_MIN,
    PARTS_MAX,
    checksums_of,
    kept,
    missing,
    part_size,
    plan,
)


@given(st.integers(0, OBJECT_BYTES_MAX), st.integers(1, 5 * 1024 * MIB))
def test_every_file_fits_into_s3s_limits(size: int, wanted: int) -> None:
    """At most 10,000 parts, none but the last under 5 MiB, and the wanted size where it is possible."""
    part_bytes = part_size(size, wanted_bytes=wanted)
    assert part_bytes >= PART_BYTES_MIN
    assert part_bytes >= wanted
    assert -(-size // part_bytes) <= PARTS_MAX
    if wanted >= PART_BYTES_MIN and size <= wanted * PARTS_MAX:
        assert part_bytes == wanted


def test_a_file_that_s3_does_not_take_is_refused() -> None:
    """5 TiB is the most."""
    with pytest.raises(ValueError, match="5497558138881"):
        part_size(OBJECT_BYTES_MAX + 1, wanted_bytes=8 * MIB)


@given(st.integers(1, 10_000), st.integers(1, 1000))
def test_a_plan_covers_the_file_once(size: int, part_bytes: int) -> None:
    """Numbers from 1, adjacent ranges, none empty, none larger than asked."""
    ranges = plan(size, part_bytes=part_bytes)
    assert [r.number for r in ranges] == list(range(1, len(ranges) + 1))
    assert [r.offset_bytes for r in ranges] == [part_bytes * n for n in range(len(ranges))]
    assert sum(r.length_bytes for r in ranges) == size
    assert all(0 < r.length_bytes <= part_bytes for r in ranges)


def stored(number: int, *, size: int = 10, checksum: str = "same") -> Part:
    """Return a journaled part."""
    return Part(number=number, size_bytes=size, etag="e", checksum=checksum)


def test_only_parts_with_the_same_bytes_are_kept() -> None:
    """A changed range, a changed size and a part that was never sent are sent."""
    ranges = plan(35, part_bytes=10)
    parts = {1: stored(1), 2: stored(2), 3: stored(3, size=9), 9: stored(9)}
    current = {1: "same", 2: "changed", 3: "same"}
    have = kept(ranges, parts, current)
    assert have == {1: parts[1]}
    assert [r.number for r in missing(ranges, have)] == [2, 3, 4]


@given(st.binary(max_size=200), st.integers(1, 50))
def test_the_checksum_of_parts_is_that_of_the_whole(content: bytes, part_bytes: int) -> None:
    """So a file's checksum can be told from those of its ranges."""
    pieces = [content[at : at + part_bytes] for at in range(0, len(content), part_bytes)]
    ranges = [(checksums.to_text(crt.crc64nvme(piece)), len(piece)) for piece in pieces]
    assert checksums.combine(ranges) == checksums.to_text(crt.crc64nvme(content))


CONTENT = bytes(range(35))


def found(part_bytes: int = 10, content: bytes = CONTENT) -> PartChecksums:
    """Return what a read of the whole finds of the parts."""
    pieces = [content[at : at + part_bytes] for at in range(0, len(content), part_bytes)]
    texts = tuple(checksums.to_text(crt.crc64nvme(piece)) for piece in pieces)
    return PartChecksums(part_bytes=part_bytes, checksums=texts)


def test_parts_are_known_by_the_read_of_the_whole() -> None:
    """Each by its number."""
    whole = checksums.to_text(crt.crc64nvme(CONTENT))
    known = checksums_of(found(), plan(35, part_bytes=10), whole=whole)
    assert known == dict(enumerate(found().checksums, start=1))


@pytest.mark.parametrize(
    "kept_of_it",
    [
        None,
        found(5),
        found(7),
        found(40),
        found(10, CONTENT[:30]),
        found(10, CONTENT[::-1]),
        PartChecksums(part_bytes=9, checksums=found().checksums),
    ],
    ids=["nothing", "smaller", "another number", "one", "the last one is missing", "other bytes", "misnamed"],
)
def test_checksums_of_other_parts_are_not_believed(kept_of_it: PartChecksums | None) -> None:
    """Those of other ranges, and what does not add up to the file."""
    whole = checksums.to_text(crt.crc64nvme(CONTENT))
    assert checksums_of(kept_of_it, plan(35, part_bytes=10), whole=whole) == {}


def test_a_checksum_reads_back() -> None:
    """Stored form, header and value are three faces of one thing; the known one is of 123456789."""
    text = checksums.to_text(crt.crc64nvme(b"123456789"))
    assert checksums.to_int(text) == 0xAE8B14860A799888
    assert checksums.from_header(checksums.to_header(text)) == text


@pytest.mark.parametrize("text", ["", "crc32c:AAAAAA==", "crc64nvme:AAAA", "crc64nvme:!", "AAAAAAAAAAA="])
def test_anything_else_is_no_checksum(text: str) -> None:
    """A journal that was tampered with is found here."""
    with pytest.raises(ValueError, match="not a crc64nvme checksum"):
        checksums.to_int(text)


def test_random_bytes_have_different_checksums() -> None:
    """A sanity check of the library."""
    assert crt.crc64nvme(os.urandom(100)) != crt.crc64nvme(os.urandom(100))
