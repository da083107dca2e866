"""In which pieces a call's body goes: each that is taken is progress, and costs as much as a small call."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from sidecar.sync.deadline import (
    DRIP_BYTES_PER_SECOND,
    PIECE_BYTES,
    PIECE_BYTES_MAX,
    PIECE_SHARE,
    REST_BYTES_PER_SECOND,
    Deadline,
)

LIMIT_SECONDS = 10.0


@pytest.mark.parametrize(
    ("paces", "sizes"),
    [
        ([100e6] * 3, [PIECE_BYTES, PIECE_BYTES_MAX, PIECE_BYTES_MAX]),
        ([PIECE_BYTES] * 3, [PIECE_BYTES] * 3),
        ([100e6] + [PIECE_BYTES] * 3, [PIECE_BYTES, PIECE_BYTES_MAX, *[PIECE_BYTES] * 2]),
        ([320 * 1024 + 1] * 3, [PIECE_BYTES, 32 * 1024, 32 * 1024]),
    ],
    ids=["a fast line", "a slow line", "one that becomes slow", "one between them"],
)
async def test_a_piece_is_what_the_line_takes_in_a_hundredth_of_the_limit(
    paces: list[float], sizes: list[int]
) -> None:
    """By the pace of the one before; 8 KiB at least, whatever the pace, and all of the body."""
    assert PIECE_SHARE * 32 * 1024 == 320 * 1024 * LIMIT_SECONDS
    body, went = bytes(sum(sizes)), list[bytes]()
    async with Deadline(LIMIT_SECONDS) as deadline:
        now = deadline._loop.time()
        deadline._loop = SimpleNamespace(time=lambda: now)  # type: ignore[assignment] # as much as it needs
        async for piece in deadline.pieces(body):
            now += len(piece) / paces[len(went)]
            went.append(piece)
    assert ([len(piece) for piece in went], b"".join(went)) == (sizes, body)


async def test_a_short_last_piece_grants_no_more_than_it_is() -> None:
    """However large the piece before it let it be: a call that drips has its end."""
    async with Deadline(LIMIT_SECONDS) as deadline:
        before = deadline._total_end
        async for _ in deadline.pieces(bytes(PIECE_BYTES + 1)):
            pass
        granted_bytes = (deadline._total_end - before) * DRIP_BYTES_PER_SECOND
    rest_bytes = (PIECE_BYTES + 1) / REST_BYTES_PER_SECOND * DRIP_BYTES_PER_SECOND
    assert granted_bytes == pytest.approx(2 * PIECE_BYTES + rest_bytes)
