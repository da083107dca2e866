"""Formats in the wild: what encoders write is complete, no cut of it is, what follows it does not matter."""

from __future__ import annotations

import os
import random
import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sidecar.core.model import Piece
from sidecar.watch.formats.base import Completeness
from sidecar.watch.formats.detect import judge
from sidecar.watch.formats.stream_pieces import by_content

from .corpus import DATA, FFMPEG, FRAGMENTED, NO_END, Sample, by_ffmpeg, by_mkvmerge, by_pillow, whole

BORDERS = re.compile(
    rb"moov|moof|mdat|mfra|sidx|iloc|IDAT|IEND|fdAT|ANMF|VP8|EXIF|\xff[\xc0-\xfe]|\x1f\x43\xb6\x75"
)
TRAILERS = {
    "a newline": b"\n",
    "three zeros": bytes(3),
    "zeros": bytes(70_000),
    "a megabyte of zeros": bytes(1_000_000),
    "fill bytes": b"\xff" * 70_000,
    "ID3": b"TAG" + b"title".ljust(125, b"\0"),
    "APE": b"APETAGEX" + struct.pack("<III", 2000, 32, 0) + bytes(12),
    "XMP": b'<?xpacket begin=""?><x:xmpmeta/>' + b" " * 2000 + b'<?xpacket end="w"?>',
    "noise": random.Random(3).randbytes(5000),
}
SETTLE = {*NO_END, "init-stream0.m4s"}  # nothing in these says that they are whole
TEXTS_BEHIND = {"ID3", "APE", "XMP"}  # they could be an MP4's next box, of a kind that nobody knows


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Sample]:
    """Let every encoder write its files once."""
    films = by_ffmpeg(tmp_path_factory.mktemp("corpus"))
    samples = [whole(name, films[name]) for name in (FFMPEG | FRAGMENTED)]
    samples += [whole(name, content) for name, content in films.items() if name.endswith(".m4s")]
    samples += [*by_pillow(films["still.png"], films["plain.mp4"]), *by_mkvmerge()]
    samples += [whole(name, films[name]) for name in NO_END]
    return {f"{number} {sample.name}": sample for number, sample in enumerate(samples)}


@contextmanager
def in_memory(content: bytes) -> Iterator[int]:
    """Open a file of this content that costs no disk."""
    fd = os.memfd_create("content")
    try:
        os.pwrite(fd, content, 0)
        yield fd
    finally:
        os.close(fd)


def shape_of(name: str, content: bytes) -> Completeness:
    """Judge a content under a name."""
    with in_memory(content) as fd:
        return judge(fd, name).completeness


def cut_shapes(sample: Sample) -> dict[int, Completeness]:
    """Cut a file at 200 places and around its borders, and judge what is left."""
    content = sample.content
    chance = random.Random(sample.name)
    borders = [match.start() for match in BORDERS.finditer(content)]
    near = {place + by for place in chance.sample(borders, min(40, len(borders))) for by in range(-8, 9, 4)}
    edges = {*range(20), sample.first, sample.end, *range(len(content) - 20, len(content))}
    spread = {chance.randrange(len(content)) for _ in range(200)}
    shapes = {}
    with in_memory(content) as fd:
        for length in sorted((n for n in near | edges | spread if 0 <= n < len(content)), reverse=True):
            os.truncate(fd, length)
            shapes[length] = judge(fd, sample.name).completeness
    assert len(shapes) >= 200
    return shapes


def doubtful(sample: Sample) -> range:
    """Return the lengths at which another picture or film behind the first one is seen not to be whole."""
    return range(sample.first + 8, sample.end)


def box_ends(content: bytes) -> list[int]:
    """Return where each box of an MP4 ends."""
    ends = [0]
    while ends[-1] < len(content):
        ends.append(ends[-1] + int.from_bytes(content[ends[-1] : ends[-1] + 4]))
    return ends[1:]


def test_whatever_an_encoder_closed_is_complete(corpus: dict[str, Sample]) -> None:
    """Each format with an end mark, from each encoder; fragments without an index settle."""
    expected = {
        name: Completeness.UNKNOWN if sample.name in SETTLE else Completeness.COMPLETE
        for name, sample in corpus.items()
    }
    assert {name: shape_of(s.name, s.content) for name, s in corpus.items()} == expected
    assert len(corpus) >= 50


def test_no_cut_of_it_is_complete(corpus: dict[str, Sample]) -> None:
    """Torn where something of the first picture or film is lacking; after that never complete too early."""
    for name, sample in corpus.items():
        if sample.name in {*FRAGMENTED, *SETTLE}:
            continue
        shapes = cut_shapes(sample)
        assert {
            n for n, shape in shapes.items() if n < sample.first and shape is not Completeness.INCOMPLETE
        } == set(), name
        early = {n for n, shape in shapes.items() if shape is Completeness.COMPLETE} & set(doubtful(sample))
        assert early == set(), name
        assert {
            n for n, shape in shapes.items() if n >= sample.first and shape is Completeness.INCOMPLETE
        } == set(), name


def test_fragments_are_torn_wherever_they_are_cut_but_between_them(corpus: dict[str, Sample]) -> None:
    """Between two of them, or up to three zeros further, nothing tells; that settles, and is not complete."""
    for name, sample in corpus.items():
        if sample.name not in {*FRAGMENTED, *SETTLE}:
            continue
        shapes = cut_shapes(sample)
        unsure = {end + more for end in box_ends(sample.content) for more in range(4)}
        assert {n for n, shape in shapes.items() if shape is Completeness.COMPLETE} == set(), name
        assert {n for n, shape in shapes.items() if shape is Completeness.UNKNOWN} <= unsure, name


@pytest.mark.parametrize("trailer", TRAILERS)
def test_what_follows_a_formats_end_does_not_make_it_incomplete(
    trailer: str, corpus: dict[str, Sample]
) -> None:
    """Padding and tags change nothing; behind fragments without an index they settle, as those do."""
    for name, sample in corpus.items():
        shape = shape_of(sample.name, sample.content + TRAILERS[trailer])
        if sample.name in SETTLE:
            assert shape is Completeness.UNKNOWN or trailer == "a newline", name
        elif b"mdat" in sample.content and trailer in TEXTS_BEHIND:
            assert shape is not Completeness.INCOMPLETE, name
        else:
            assert shape is Completeness.COMPLETE, name


def test_several_whole_files_in_one_are_complete_and_with_half_a_one_settle(
    corpus: dict[str, Sample],
) -> None:
    """Pictures and films behind one another, of the same format or another one."""
    picture = next(sample.content for sample in corpus.values() if sample.name == "plain.jpg")
    for name, sample in corpus.items():
        if sample.name in SETTLE or sample.name.endswith(".m4s"):
            continue
        assert shape_of(sample.name, sample.content * 2) is Completeness.COMPLETE, name
        assert shape_of(sample.name, sample.content + picture) is Completeness.COMPLETE, name
        if sample.name != "samsung.jpg":  # there is a trailer in between
            assert (
                shape_of(sample.name, sample.content + picture[: len(picture) // 2]) is Completeness.UNKNOWN
            ), name


def test_a_killed_mkvmerge_leaves_an_incomplete_film() -> None:
    """It says size 0 until it is done."""
    assert shape_of("a.mkv", (DATA / "killed.mkv").read_bytes()) is Completeness.INCOMPLETE


def of(corpus: dict[str, Sample], name: str) -> bytes:
    """Return the first file of that name."""
    return next(sample.content for sample in corpus.values() if sample.name == name)


def box(kind: bytes, *bodies: bytes, size: int | None = None) -> bytes:
    """Return a box."""
    body = b"".join(bodies)
    return struct.pack(">I4s", 8 + len(body) if size is None else size, kind) + body


MVHD = box(b"mvhd", bytes(100))
MOVIES = {
    "QuickTime without ftyp": (box(b"moov", MVHD) + box(b"mdat", bytes(50)), Completeness.COMPLETE),
    "media first": (box(b"wide") + box(b"mdat", bytes(50)) + box(b"moov", MVHD), Completeness.COMPLETE),
    "a terminator": (box(b"moov", MVHD) + box(b"mdat", bytes(50)) + bytes(4), Completeness.COMPLETE),
    "64-bit sizes": (
        b"\0\0\0\1mdat" + struct.pack(">Q", 66) + bytes(50) + b"\0\0\0\1moov" + struct.pack(">Q", 124) + MVHD,
        Completeness.COMPLETE,
    ),
    "a compressed index": (
        box(b"mdat", bytes(50)) + box(b"moov", box(b"cmov", bytes(90))),
        Completeness.COMPLETE,
    ),
    "a reference to other files": (box(b"moov", box(b"rmra", bytes(90))), Completeness.COMPLETE),
    "unknown boxes": (
        box(b"uuid", bytes(99))
        + box(b"moov", MVHD)
        + box(b"\xa9xyz")
        + box(b"mdat", bytes(9))
        + box(b"Xtra"),
        Completeness.COMPLETE,
    ),
    "media to the end of the file": (
        box(b"moov", MVHD) + box(b"mdat", bytes(50), size=0),
        Completeness.UNKNOWN,
    ),
    "media to the end, no index": (
        box(b"ftyp", b"isom") + box(b"mdat", bytes(50), size=0),
        Completeness.INCOMPLETE,
    ),
    "free space to the end": (
        box(b"moov", MVHD) + box(b"mdat", bytes(50)) + box(b"free", bytes(50), size=0),
        Completeness.COMPLETE,
    ),
    "second media cut off": (
        box(b"moov", MVHD) + box(b"mdat", bytes(50)) + box(b"mdat", bytes(50), size=90),
        Completeness.INCOMPLETE,
    ),
    "a tag cut off": (
        box(b"moov", MVHD) + box(b"mdat", bytes(50)) + box(b"udta", bytes(50), size=90),
        Completeness.UNKNOWN,
    ),
    "an initialization segment": (
        box(b"ftyp", b"iso5") + box(b"moov", MVHD, box(b"mvex", bytes(32))),
        Completeness.UNKNOWN,
    ),
    "a still in its index": (
        box(b"ftyp", b"mif1") + box(b"meta", bytes(4), box(b"iloc", bytes(9)), box(b"idat", bytes(9))),
        Completeness.COMPLETE,
    ),
    "tags but no index": (
        box(b"ftyp", b"isom") + box(b"meta", bytes(4), box(b"ilst", bytes(9))) + box(b"mdat", bytes(9)),
        Completeness.INCOMPLETE,
    ),
}


@pytest.mark.parametrize("name", MOVIES)
def test_movies_that_players_play(name: str) -> None:
    """Forms of MP4 and MOV that no encoder at hand writes."""
    content, shape = MOVIES[name]
    assert shape_of("a.mov", content) is shape


def test_huge_metadata_is_passed_over(corpus: dict[str, Sample], tmp_path: Path) -> None:
    """70 MB of user data in the index, 20 MB of text in a PNG: only their headers are read."""
    film, picture = of(corpus, "plain.mp4"), of(corpus, "still.png")
    at = film.rindex(b"moov") - 4
    moov, more = film[at:], 70_000_000
    head = film[:at] + struct.pack(">I", len(moov) + more) + moov[4:] + struct.pack(">I4s", more, b"udta")
    text = struct.pack(">I4s", 20_000_000, b"zTXt") + bytes(20_000_004)
    for name, content, size in (
        ("a.mp4", head, len(film) + more),
        ("a.png", picture[:33] + text + picture[33:], len(picture) + len(text)),
    ):
        path = tmp_path / name
        path.write_bytes(content)
        for cut, shape in ((0, Completeness.COMPLETE), (1, Completeness.INCOMPLETE)):
            os.truncate(path, size - cut)
            fd = os.open(path, os.O_RDONLY)
            try:
                assert judge(fd, name).completeness is shape
            finally:
                os.close(fd)


def test_an_index_of_pictures_that_are_not_there_settles(corpus: dict[str, Sample]) -> None:
    """A tool dropped the second picture and kept the index, or its writer was killed: nobody knows."""
    phone = next(sample for sample in corpus.values() if sample.name == "phone.jpg")
    assert shape_of("a.jpg", phone.content[: phone.first]) is Completeness.UNKNOWN
    assert shape_of("a.jpg", phone.content[: phone.first] + bytes(100)) is Completeness.UNKNOWN


def test_pictures_that_phones_write_wrongly(corpus: dict[str, Sample]) -> None:
    """A Pixel's segment that is not marked has a thumbnail with an end; a Samsung's panorama has none."""
    thumbnailed, samsung = of(corpus, "thumbnail.jpg"), of(corpus, "samsung.jpg")
    at = thumbnailed.index(b"Exif") - 4
    wrong = thumbnailed[:at] + b"\0" + thumbnailed[at + 1 :]
    assert shape_of("a.jpg", wrong) is Completeness.COMPLETE
    behind_thumbnail = wrong.index(b"\xff\xd9") + 2
    for length in range(behind_thumbnail, len(wrong), 7):
        assert shape_of("a.jpg", wrong[:length]) is Completeness.INCOMPLETE
    assert shape_of("a.jpg", samsung.replace(b"\xff\xd9", b"")) is Completeness.UNKNOWN
    assert shape_of("a.jpg", samsung.replace(b"\xff\xd9", b"")[:-1]) is Completeness.INCOMPLETE


def test_a_webp_that_lacks_only_its_padding_settles() -> None:
    """The picture is all there; a size that leaves the padding out is right as well."""
    body = b"WEBPVP8L" + struct.pack("<I", 9) + bytes(9)
    riff = b"RIFF" + struct.pack("<I", len(body) + 1) + body
    assert shape_of("a.webp", riff + b"\0") is Completeness.COMPLETE
    assert shape_of("a.webp", riff) is Completeness.UNKNOWN
    assert shape_of("a.webp", riff[:-1]) is Completeness.INCOMPLETE
    assert shape_of("a.webp", b"RIFF" + struct.pack("<I", len(body)) + body) is Completeness.COMPLETE


MATROSKA = b"\x1a\x45\xdf\xa3\x84\x42\xf3\x81\x04"
SEGMENTS = {
    "a filler before the segment": (b"\xec\x82\0\0\x18\x53\x80\x67\x84abcd", Completeness.COMPLETE),
    "a padded size": (b"\x18\x53\x80\x67\x01\0\0\0\0\0\0\x04abcd", Completeness.COMPLETE),
    "clusters of unknown size": (b"\x18\x53\x80\x67\x89\x1f\x43\xb6\x75\xffabcd", Completeness.COMPLETE),
    "two segments": (b"\x18\x53\x80\x67\x84abcd\x18\x53\x80\x67\x84abcd", Completeness.COMPLETE),
    "unknown size": (b"\x18\x53\x80\x67\x01\xff\xff\xff\xff\xff\xff\xffabcd", Completeness.INCOMPLETE),
    "unknown size in one byte": (b"\x18\x53\x80\x67\xffabcd", Completeness.INCOMPLETE),
    "size 0": (b"\x18\x53\x80\x67\x01\0\0\0\0\0\0\0abcd", Completeness.INCOMPLETE),
    "a stranger before the segment": (
        b"\x42\x86\x81\x01\x18\x53\x80\x67\x84" + b"abcd" * 20,
        Completeness.UNKNOWN,
    ),
}


@pytest.mark.parametrize("name", SEGMENTS)
def test_segments_as_muxers_write_them(name: str) -> None:
    """Sizes of one to eight bytes, with and without an answer."""
    content, shape = SEGMENTS[name]
    assert shape_of("a.mkv", MATROSKA + content) is shape


TEXTS = {
    b"": Completeness.INCOMPLETE,
    b" \n": Completeness.INCOMPLETE,
    b"{}": Completeness.COMPLETE,
    b"\xef\xbb\xbf{}\r\n": Completeness.COMPLETE,
    b'{"a": 1}' + bytes(4000): Completeness.COMPLETE,
    b'{"a": "\xc3' + bytes(4000): Completeness.INCOMPLETE,  # a power cut
    '{"a": "ä"}\n'.encode("utf-16"): Completeness.COMPLETE,
    '{"a": "ä"}\n'.encode("utf-16")[:-5]: Completeness.INCOMPLETE,
    '{"a": "ä"}'.encode("utf-16")[:-1]: Completeness.INCOMPLETE,
    '{"a": "ä"}'.encode("utf-16-le"): Completeness.COMPLETE,
    '{"a": "ä"}'.encode("latin-1"): Completeness.UNKNOWN,
    b'{"a": NaN, "b": -Infinity}': Completeness.COMPLETE,
    b'{"a": 1}\n{"a": 2}\n': Completeness.UNKNOWN,
    b'{"a": 1}\n{"a": ': Completeness.UNKNOWN,
    b"12": Completeness.UNKNOWN,
    b'\xef\xbb\xbf[1, "' + b"x" * 2_000_000: Completeness.INCOMPLETE,
    b'[1, "' + b"x" * 2_000_000 + b'"]\n' + bytes(5000): Completeness.UNKNOWN,
}


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: repr(text[:20]))
def test_json_as_tools_write_it(text: bytes) -> None:
    """With a mark of its byte order, of two bytes a character, padded, with names for numbers, in lines."""
    assert shape_of("a.json", text) is TEXTS[text]


def test_what_is_called_one_film_holds_no_piece_of_a_stream(corpus: dict[str, Sample]) -> None:
    """So that nobody looks for pieces in it again; nor with something behind it."""
    films = {sample.name: sample.content for sample in corpus.values()}
    both = [films["plain.mp4"] + films[name] for name in FRAGMENTED]
    called = list[str]()
    for name, content in [
        *films.items(),
        *((f"both{number}.mp4", both[number]) for number in range(len(both))),
    ]:
        with in_memory(content) as fd:
            if judge(fd, name, content).is_one_film:
                called.append(name)
                assert by_content(fd, content) is Piece.NONE
    assert "plain.mp4" in called
    assert not {*called} & {*FRAGMENTED}
