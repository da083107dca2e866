"""PNG, JPEG and WebP: each has an end that only a finished writer puts there."""

from __future__ import annotations

from .form import COMPLETE, UNKNOWN, Structure, incomplete, read_at

PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
JPEG_MAGIC = b"\xff\xd8\xff"
_IEND = b"\x00\x00\x00\x00IEND\xae\x42\x60\x82"
_STEPS_MAX = 65_536
_TAIL_BYTES = 64 * 1024
_TORN = "its writer was killed or is not done"


def judge_png(fd: int, size_bytes: int) -> Structure:
    """Look for IEND at the end, else walk the chunks: something may follow IEND."""
    if read_at(fd, max(0, size_bytes - len(_IEND)), len(_IEND)) == _IEND:
        return COMPLETE
    offset = len(PNG_MAGIC)
    for _ in range(_STEPS_MAX):
        head = read_at(fd, offset, 8)
        end = offset + 12 + int.from_bytes(head[:4])
        if len(head) < 8 or end > size_bytes:  # noqa: PLR2004 - length and type
            return incomplete(f"the PNG has no IEND chunk: {_TORN}")
        if head[4:8] == b"IEND":
            return COMPLETE
        offset = end
    return UNKNOWN


def judge_jpeg(fd: int, size_bytes: int) -> Structure:
    """Walk the marker segments to the scan, then look for the end mark behind it."""
    scan = _jpeg_scan(fd)
    if scan is None or scan >= size_bytes:
        return incomplete(f"the JPEG ends before its picture begins: {_TORN}")
    # Inside a scan FF is followed by 00 or a restart mark, so FF D9 is the end; padding may follow it.
    begin = max(scan, size_bytes - _TAIL_BYTES)
    if b"\xff\xd9" in read_at(fd, begin, size_bytes - begin):
        return COMPLETE
    return incomplete(f"the JPEG has no end mark: {_TORN}")


def judge_webp(fd: int, size_bytes: int) -> Structure:
    """Compare the RIFF size with the file's; it is 0 until the writer is done."""
    needed = int.from_bytes(read_at(fd, 4, 4), "little") + 8
    if needed < 20 or needed > size_bytes:  # noqa: PLR2004 - RIFF, size, WEBP and one chunk's header
        return incomplete(f"the WebP needs {needed} bytes, the file has {size_bytes}: {_TORN}")
    return COMPLETE


def _jpeg_scan(fd: int) -> int | None:
    """Return where the first scan's data begins, or None if the segments do not lead there."""
    offset = 2
    for _ in range(_STEPS_MAX):
        head = read_at(fd, offset, 4)
        if len(head) < 4 or head[0] != 0xFF:  # noqa: PLR2004 - marker and length
            return None
        if head[1] == 0xFF:  # a fill byte  # noqa: PLR2004
            offset += 1
            continue
        offset += 2 + int.from_bytes(head[2:4])
        if head[1] == 0xDA:  # start of scan  # noqa: PLR2004
            return offset
    return None
