"""What is in a file may be anything: judging it never fails, and costs bounded time and memory."""

from __future__ import annotations

import os
import random
import struct
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.watch.formats import detect, sparse
from sidecar.watch.formats.base import READ_BYTES_MAX, READS_MAX, Completeness, Structure
from tests.watch.conftest import running

TIB = 1024**4
HEADS = (
    b"\0\0\0\x18ftypisom",
    b"\0\0\0\x01mdat",
    b"\0\0\0\0moov",
    b"\x1a\x45\xdf\xa3\x9fB\x86\x81\x01",
    b"\x89PNG\r\n\x1a\n",
    b"\xff\xd8\xff\xe0",
    b"\xff\xd8\xff\xe2\x00\xffMPF\0II*\0\x08\0\0\0\x01\0\x02\xb0",
    b"\xff\xd8\xff\xda\x00\x02\xff\xd9",
    b"\0\0\0\x20sidx\x01",
    b"RIFF\xff\xff\xff\xffWEBP",
    b"RIFF\x20\0\0\0WEBP",
    b"{",
    b"[",
)
NAMES = st.sampled_from(["a.mp4", "a.webm", "a.png", "a.jpg", "a.webp", "a.json", "a.py"])
LENGTHS = st.sampled_from([0, 1, 7, 8, 2**31 - 1, 2**31, 2**32 - 1])
BOXES = st.tuples(LENGTHS, st.sampled_from([b"ftyp", b"moov", b"mdat", b"moof", b"IEND", b"IHDR"])).map(
    lambda box: struct.pack(">I", box[0]) + box[1]
)
TAILS = st.lists(st.binary(max_size=24) | BOXES, max_size=12).map(b"".join)


def judge(path: Path, content: bytes) -> Structure:
    """Judge a file of this content."""
    path.write_bytes(content)
    fd = os.open(path, os.O_RDONLY)
    try:
        return detect.judge(fd, path.name)
    finally:
        os.close(fd)


@settings(max_examples=300)
@given(name=NAMES, head=st.sampled_from(HEADS), tail=TAILS)
def test_no_bytes_make_a_reader_of_structure_fail(
    tmp_path_factory: pytest.TempPathFactory, name: str, head: bytes, tail: bytes
) -> None:
    """Sizes that lie, boxes in boxes, anything: there is always an answer."""
    assert judge(tmp_path_factory.getbasetemp() / name, head + tail).completeness in Completeness


@pytest.mark.parametrize(
    "text",
    [
        "[" + "1" * 5000 + "]",  # Python makes no number of it
        "[" + "1" * 5000,
        "[1e" + "9" * 5000 + "]",
        "[" * 500_000,
        '{"a":' * 150_000,
        '["' + "\\u0041" * 150_000,
        "[" + "[]," * 300_000 + "[]]",
        "[" + "{}," * 300_000 + "{}]",
        "[NaN, -Infinity]",
    ],
    ids=["digits", "cut digits", "exponent", "deep", "deep objects", "string", "lists", "objects", "names"],
)
def test_hostile_json_costs_bounded_memory(tmp_path: Path, text: str) -> None:
    """Deep, long, wide, or with numbers of thousands of digits."""
    tracemalloc.start()
    try:
        assert judge(tmp_path / "manifest.json", text.encode()).completeness in Completeness
        assert tracemalloc.get_traced_memory()[1] < 40e6
    finally:
        tracemalloc.stop()


PICTURE = b"\xff\xd8\xff\xda\x00\x02\xff\xd9"
LABOUR = {
    "a scan without an end.jpg": (b"\xff\xd8\xff\xda\x00\x02", 300_000_000),
    "junk between segments.jpg": (b"\xff\xd8" + b"xxxxx\xff\xe0\x00\x02" * 200_000, 0),
    "a million segments.jpg": (b"\xff\xd8" + b"\xff\xe0\x00\x02" * 1_000_000, 0),
    "pictures behind pictures.jpg": (PICTURE * 500_000, 0),
    "indexes.jpg": (b"\xff\xd8" + (b"\xff\xe2\xff\xffMPF\0II*\0\x08\0\0\0\xff\xff" + bytes(65_517)) * 300, 0),
    "chunks.png": (b"\x89PNG\r\n\x1a\n" + b"\0\0\0\0tEXt\0\0\0\0" * 300_000, 0),
    "boxes.mp4": (b"\0\0\0\x08ftyp" + b"\0\0\0\x08free" * 300_000, 0),
    "boxes in the index.mp4": (b"\0\x24\0\x08moov" + b"\0\0\0\x08free" * 300_000, 0),
    "an index of segments.m4s": (b"\x10\0\0\0sidx", 300_000_000),
    "chunks.webp": (b"RIFF" + struct.pack("<I", 2_400_005) + b"WEBP" + b"VP8 \0\0\0\0" * 300_000, 0),
}


@pytest.mark.parametrize("name", LABOUR)
def test_a_reader_reads_no_more_than_it_may(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However much there is to walk through: a bounded number of reads, and of bytes in all and at once."""
    content, size = LABOUR[name]
    reads: list[int] = []
    path = tmp_path / name
    path.write_bytes(content)
    if size:
        os.truncate(path, size)
    pread = os.pread

    def counted(fd: int, length: int, at: int) -> bytes:
        reads.append(length)
        return pread(fd, length, at)

    monkeypatch.setattr(os, "pread", counted)
    fd = os.open(path, os.O_RDONLY)
    try:
        assert detect.judge(fd, name).completeness is not Completeness.COMPLETE
    finally:
        os.close(fd)
    assert len(reads) <= READS_MAX
    assert sum(reads) <= READ_BYTES_MAX
    assert max(reads) <= 2**20


def test_a_sparse_giant_is_incomplete_and_says_why(tmp_path: Path) -> None:
    """A tebibyte of nothing, also behind a head that promises it; a large file that is there is not meant."""
    for name, head in (("a.mp4", struct.pack(">I4sQ", 1, b"mdat", TIB)), ("b.bin", b"")):
        path = tmp_path / name
        path.write_bytes(head)
        os.truncate(path, TIB)
        fd = os.open(path, os.O_RDONLY)
        try:
            assert detect.judge(fd, name) == sparse.HOLLOW
        finally:
            os.close(fd)


def test_blocks_alone_do_not_make_a_file_hollow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A compressing or remote file system counts few: without a hole it is what it seems."""
    path = tmp_path / "a.ts"
    path.touch()
    os.truncate(path, 2 * sparse.SIZE_BYTES_MIN)
    monkeypatch.setattr(os, "lseek", lambda fd, _offset, _whence: os.fstat(fd).st_size)
    fd = os.open(path, os.O_RDONLY)
    try:
        assert detect.judge(fd, path.name).completeness is Completeness.UNKNOWN
    finally:
        os.close(fd)


async def test_sparse_giants_do_not_hold_up_others(tmp_path: Path) -> None:
    """More of them than there are lanes for large files; a film behind them is ready all the same."""
    film, source = "p/s/one/video/z.mp4", "p/s/one/source/scene.py"
    async with running(tmp_path) as world:
        for number in range(6):
            world.put(f"p/s/one/video/a{number}.mp4", b"")
            os.truncate(world.root / f"p/s/one/video/a{number}.mp4", TIB)
        world.put(film, random.Random(7).randbytes(3_000_000))
        world.put(source)
        await world.until_ready(film, source)
        waiting = {candidate.why for candidate in world.stage.pending()}
        assert waiting == {sparse.HOLLOW.why}


async def test_pipes_and_devices_are_never_opened(tmp_path: Path) -> None:
    """A writer of the pipe would notice a reader: there is none, at any time."""
    async with running(tmp_path) as world:
        world.put("p/s/one/source/scene.py")
        pipe = world.root / "p/s/one/source/pipe.py"
        os.mkfifo(pipe)
        if os.geteuid() == 0:
            os.mknod(world.root / "p/s/one/source/zero.py", 0o600 | 0o020000, os.makedev(1, 5))
        for _ in range(20):
            await world.stage.scan_now()
            with pytest.raises(OSError, match="No such device"):  # ENXIO: nobody reads
                os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
        await world.until_ready("p/s/one/source/scene.py")
        assert set(await world.states()) == {"p/s/one/source/scene.py"}
