"""Files as encoders make them: ffmpeg and Pillow at test time, mkvmerge's from `data`."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, PngImagePlugin

from .conftest import ffmpeg

DATA = Path(__file__).parent / "data"
X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "3")
VP8 = ("-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8")
AV1 = ("-c:v", "libaom-av1", "-cpu-used", "8")
STILL = ("-frames:v", "1", "-update", "1")
FRAGMENTS = "frag_keyframe+empty_moov+default_base_moof"

FFMPEG = {
    "plain.mp4": X264,
    "faststart.mp4": (*X264, "-movflags", "+faststart"),
    "hybrid.mp4": (*X264, "-movflags", "hybrid_fragmented"),
    "plain.mov": X264,
    "prores.mov": ("-c:v", "prores_ks"),
    "plain.m4v": X264,
    "mjpeg.mp4": ("-c:v", "mjpeg"),
    "film.mkv": X264,
    "cues_first.mkv": (*X264, "-cues_to_front", "1"),
    "room_for_cues.mkv": (*X264, "-reserve_index_space", "4096"),
    "film.webm": VP8,
    "dash.webm": ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-dash", "1"),
    "still.png": STILL,
    "moving.apng": (),
    "still.jpg": STILL,
    "lossless.jpg": (*STILL, "-c:v", "ljpeg", "-pix_fmt", "bgr24"),
    "jpegls.jpg": (*STILL, "-c:v", "jpegls", "-pix_fmt", "rgb24"),
    "still.webp": (*STILL, "-c:v", "libwebp"),
    "lossless.webp": (*STILL, "-c:v", "libwebp", "-lossless", "1"),
    "moving.webp": ("-c:v", "libwebp_anim"),
    "still.avif": ("-frames:v", "1", *AV1, "-still-picture", "1"),
    "moving.avif": ("-frames:v", "2", *AV1),
}
FRAGMENTED = {
    "recording.mp4": (*X264, "-movflags", FRAGMENTS),
    "delayed.mp4": (*X264, "-movflags", "frag_keyframe+delay_moov"),
    "media_in_moov.mp4": (*X264, "-movflags", "frag_keyframe"),
    "cmaf.mp4": (*X264, "-movflags", "cmaf+frag_keyframe"),
    "smooth.mp4": (*X264, "-f", "ismv"),
    "indexes.mp4": (*X264, "-movflags", FRAGMENTS + "+dash"),
    "indexed.mp4": (*X264, "-movflags", FRAGMENTS + "+global_sidx+dash"),
}
NO_END = {
    "no_trailer.mp4": (*X264, "-movflags", FRAGMENTS + "+skip_trailer"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A whole file. A cut before ``first`` is torn; one behind ``end`` takes nothing of the format.

    In between stands what cannot be told from somebody else's trailer.
    """

    name: str
    content: bytes
    first: int
    end: int


def whole(name: str, content: bytes, *, first: int | None = None, end: int | None = None) -> Sample:
    """Make a sample; by default all of it is needed."""
    end = len(content) if end is None else end
    return Sample(name=name, content=content, first=end if first is None else first, end=end)


def by_ffmpeg(folder: Path) -> dict[str, bytes]:
    """Let one ffmpeg write all its files."""
    ready = [[*options, folder / name] for name, options in (FFMPEG | FRAGMENTED | NO_END).items()]
    dash = [*X264, "-f", "dash", "-seg_duration", "0.3", folder / "dash.mpd"]
    source = ["-f", "lavfi", "-i", "testsrc2=duration=0.8:rate=10:size=96x54"]
    ffmpeg(*source, *(argument for output in [*ready, dash] for argument in output))
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def _encoded(picture: Image.Image, format_name: str, **options: object) -> bytes:
    content = io.BytesIO()
    picture.save(content, format_name, **options)
    return content.getvalue()


def _exif_with_thumbnail(picture: Image.Image) -> bytes:
    """Return Exif whose thumbnail is a JPEG with an end mark of its own."""
    thumbnail = _encoded(picture.resize((32, 18)), "JPEG")
    at = 14 + 2 + 24 + 4
    directory = struct.pack("<HHHIIHHIII", 2, 0x201, 4, 1, at, 0x202, 4, 1, len(thumbnail), 0)
    return b"Exif\0\0II*\0" + struct.pack("<IHI", 8, 0, 14) + directory + thumbnail


def by_pillow(still: bytes, film: bytes) -> Iterator[Sample]:
    """Yield what cameras, phones and picture tools write."""
    picture = Image.open(io.BytesIO(still)).convert("RGB")
    other, exif = picture.rotate(90), _exif_with_thumbnail(picture)
    more = {"save_all": True, "append_images": [other]}
    plain = _encoded(picture, "JPEG")
    yield whole("plain.jpg", plain)
    yield whole("progressive.jpg", _encoded(picture, "JPEG", progressive=True, quality=95))
    yield whole("restarts.jpg", _encoded(picture, "JPEG", restart_marker_rows=1))
    yield whole("cmyk.jpg", _encoded(picture.convert("CMYK"), "JPEG"))
    thumbnailed = _encoded(picture, "JPEG", exif=exif)
    yield whole("thumbnail.jpg", thumbnailed)
    marks = b"\xff\xd9" * 40_000  # in the segments of a profile, and in a comment
    yield whole("profile.jpg", _encoded(picture, "JPEG", icc_profile=marks, comment=marks[:2000]))
    yield whole("fill_bytes.jpg", plain[:20] + b"\xff" * 9 + plain[20:])
    yield whole("junk.jpg", plain[:20] + b"junk" + plain[20:])
    yield whole("segments.jpg", plain[:20] + b"\xff\xe4\x00\x06\xff\xd9\xff\xd9" * 500 + plain[20:])
    two = _encoded(picture, "MPO", exif=exif, **more)
    yield whole("phone.jpg", two, first=two.index(b"\xff\xd9\xff\xd8") + 2)
    yield whole("motion.jpg", thumbnailed + film, first=len(thumbnailed))
    samsung = plain + b"\0\0\x30\x0a\x10\0\0\0MotionPhoto_Data" + film + b"SEFH" + bytes(20) + b"SEFT"
    yield whole("samsung.jpg", samsung, end=len(plain))
    yield whole("twice.jpg", plain * 2, first=len(plain))
    yield whole("moving.png", _encoded(picture, "PNG", **more))
    text = PngImagePlugin.PngInfo()
    text.add_text("packed", "x" * 100_000, zip=True)
    text.add_itxt("plain", "IEND" * 1000)
    yield whole("texts.png", _encoded(picture, "PNG", pnginfo=text, icc_profile=marks))
    yield whole("moving.webp", _encoded(picture, "WEBP", **more))
    yield whole("exif.webp", _encoded(picture, "WEBP", exif=exif))
    yield whole("plain.avif", _encoded(picture, "AVIF"))


def by_mkvmerge() -> Iterator[Sample]:
    """Yield the committed ones; see `data/README.md`."""
    for name in ("plain.mkv", "plain.webm", "appended.mkv"):
        yield whole(name, (DATA / name).read_bytes())
