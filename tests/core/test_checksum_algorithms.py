"""What is made of what a store confirmed, and what it did not."""

from __future__ import annotations

import pytest

from sidecar.core.checksum_algorithms import (
    NOT_CONFIRMED,
    Algorithm,
    Confirmed,
    StoreSupport,
    UploadWay,
    from_text,
    objects,
    to_text,
)
from sidecar.core.errors import ErrorKind, Scope, SidecarError

CRC64NVME, CRC32C, SHA256, MD5 = Algorithm
NOTHING = StoreSupport()


def after(known: StoreSupport, *taken: Algorithm, way: UploadWay = UploadWay.PUT) -> StoreSupport:
    """Return what is known after transfers, one after the other; each but the best had one objection."""
    for algorithm in taken:
        worse = algorithm.rank > known.first(way).rank
        known = known.after(way, begun=known, taken=algorithm, objections=int(worse))
    return known


@pytest.mark.parametrize(
    ("taken", "best", "is_found"),
    [
        ([], CRC64NVME, False),
        ([CRC64NVME], CRC64NVME, True),
        ([MD5], CRC64NVME, False),
        ([MD5, MD5], MD5, True),
        ([MD5, CRC64NVME, MD5], CRC64NVME, True),
        ([MD5, CRC32C], CRC32C, True),
        ([CRC32C, MD5], CRC32C, True),
        ([CRC64NVME, MD5], CRC64NVME, True),
        ([CRC64NVME, MD5, MD5], MD5, True),
        ([CRC32C, CRC32C, MD5], CRC32C, True),
        ([CRC32C, CRC32C, MD5, MD5], MD5, True),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else str(value),
)
def test_two_in_a_row_settle_on_the_best_that_was_taken(
    taken: list[Algorithm], best: Algorithm, is_found: bool
) -> None:
    """One is no proof, whatever was confirmed before; one that is confirmed takes the proof away again."""
    known = after(NOTHING, *taken)
    assert (known.put.algorithm, known.put.is_found) == (best, is_found)
    assert known.multipart == Confirmed()


def test_transfers_side_by_side_are_one_proof() -> None:
    """A proxy that strips the answers of one moment changes nothing."""
    known = NOTHING
    for _ in range(32):
        known = known.after(UploadWay.PUT, begun=NOTHING, taken=MD5, objections=1)
    assert (known.put.algorithm, known.put.against) == (CRC64NVME, 1)


def test_two_objections_to_one_transfer_are_two() -> None:
    """Each was an upload and a HEAD of its own: a store that confirms nothing is known after one file."""
    assert NOTHING.after(UploadWay.PUT, begun=NOTHING, taken=MD5, objections=3).put == Confirmed(
        algorithm=MD5, is_found=True
    )


def test_what_was_not_tried_is_not_given_up() -> None:
    """An upload that was begun under md5 and goes on says nothing of crc64nvme."""
    known = after(NOTHING, CRC64NVME, way=UploadWay.MULTIPART)
    for _ in range(3):
        known = known.after(UploadWay.MULTIPART, begun=known, taken=MD5, objections=0)
    assert known.multipart == Confirmed(algorithm=CRC64NVME, is_found=True)


def test_a_better_one_that_is_confirmed_after_all_is_taken_again() -> None:
    """A film that was begun under it ends when md5 has been settled on."""
    known = after(NOTHING, MD5, MD5, way=UploadWay.MULTIPART)
    assert after(known, CRC64NVME, way=UploadWay.MULTIPART).first(UploadWay.MULTIPART) is CRC64NVME


def test_parts_begin_with_nothing_better_than_a_put_is_confirmed_under() -> None:
    """Many parts would be sent in vain. What parts need says nothing of a PUT."""
    assert after(NOTHING, MD5).first(UploadWay.MULTIPART) is CRC64NVME
    assert after(NOTHING, CRC32C, CRC32C).first(UploadWay.MULTIPART) is CRC32C
    parts = after(NOTHING, MD5, MD5, way=UploadWay.MULTIPART)
    assert (parts.first(UploadWay.PUT), parts.first(UploadWay.MULTIPART)) == (CRC64NVME, MD5)
    assert after(after(NOTHING, MD5, MD5), MD5, way=UploadWay.MULTIPART).multipart.is_found


@pytest.mark.parametrize("known", [NOTHING, after(NOTHING, MD5), after(NOTHING, CRC32C, SHA256, MD5, MD5)])
def test_it_reads_back_for_the_same_store_alone(known: StoreSupport) -> None:
    """Another endpoint, bucket or version begins anew."""
    assert from_text(to_text(known, store="a"), store="a") == known
    assert from_text(to_text(known, store="a"), store="b") == NOTHING
    assert from_text(None, store="a") == NOTHING


@pytest.mark.parametrize(
    ("kind", "scope", "code", "expected"),
    [
        (ErrorKind.FORBIDDEN, Scope.BUCKET, NOT_CONFIRMED, True),
        (ErrorKind.INVALID, Scope.BUCKET, "InvalidArgument", True),
        (ErrorKind.INVALID, Scope.REMOTE, "501", True),
        (ErrorKind.INVALID, Scope.REMOTE, "MalformedXML", True),
        (ErrorKind.INVALID, Scope.OBJECT, "KeyTooLongError", False),
        (ErrorKind.CORRUPT, Scope.REMOTE, "InvalidPart", True),
        (ErrorKind.CORRUPT, Scope.REMOTE, "ChecksumDiffers", False),
        (ErrorKind.CORRUPT, Scope.OBJECT, "BadDigest", False),
        (ErrorKind.FORBIDDEN, Scope.CREDENTIALS, "AccessDenied", False),
        (ErrorKind.NETWORK, Scope.REMOTE, "InternalError", False),
        (ErrorKind.THROTTLED, Scope.REMOTE, "SlowDown", False),
        (ErrorKind.QUOTA, Scope.BUCKET, "QuotaExceeded", False),
    ],
)
def test_only_what_may_be_the_algorithms_fault_moves_on(
    kind: ErrorKind, scope: Scope, code: str, expected: bool
) -> None:
    """Other bytes than were sent are corruption; an outage and a right that is missing say nothing of it."""
    error = SidecarError(kind, "no", operation="PutObject", target="k", code=code, scope=scope)
    assert objects(error) is expected
