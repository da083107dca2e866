"""Media types by extension: a fixed table, because a machine's own differs from the next one's."""

from __future__ import annotations

import re
from urllib.parse import quote

CONTENT_TYPES = {
    "aac": "audio/aac", "ass": "text/x-ssa", "avi": "video/x-msvideo", "avif": "image/avif",
    "css": "text/css", "csv": "text/csv", "flac": "audio/flac",
    "gif": "image/gif", "gz": "application/gzip", "htm": "text/html",
    "html": "text/html", "jpeg": "image/jpeg", "jpg": "image/jpeg",
    "js": "text/javascript", "json": "application/json", "jsonl": "application/jsonl",
    "log": "text/plain", "m3u8": "application/vnd.apple.mpegurl", "m4a": "audio/mp4",
    "m4s": "video/iso.segment", "m4v": "video/mp4", "md": "text/markdown",
    "mkv": "video/x-matroska", "mov": "video/quicktime", "mp3": "audio/mpeg", "mp4": "video/mp4",
    "mpd": "application/dash+xml", "oga": "audio/ogg", "ogg": "audio/ogg", "ogv": "video/ogg",
    "opus": "audio/ogg", "pdf": "application/pdf", "png": "image/png", "py": "text/x-python",
    "srt": "application/x-subrip", "svg": "image/svg+xml", "tar": "application/x-tar",
    "toml": "application/toml", "ts": "video/mp2t", "tsx": "text/plain",
    "ttml": "application/ttml+xml", "txt": "text/plain", "vtt": "text/vtt",
    "wav": "audio/wav", "webm": "video/webm", "webp": "image/webp", "xml": "application/xml",
    "yaml": "application/yaml", "yml": "application/yaml", "zip": "application/zip",
}  # fmt: skip
UNKNOWN = "application/octet-stream"
PLAYLISTS = frozenset({"m3u8", "mpd"})
SEGMENTS = frozenset({"ts", "m4s"})
_INITIALIZATION = r"init(?:[^a-z].*)?\.mp4"  # what a player reads before the first segment; not initial.mp4
_SEGMENT = re.compile(rf"(?s:\.*[^.].*)\.(?a:ts|m4s)|{_INITIALIZATION}", re.IGNORECASE)
_PLAYLIST_ENDS = tuple(f".{extension}" for extension in PLAYLISTS)
_WORD = r"[A-Za-z0-9!#$&^_.+-]{1,127}"
_MEDIA_TYPE = re.compile(rf'{_WORD}/{_WORD}(?:; *{_WORD}=(?:{_WORD}|"[\x20\x21\x23-\x5b\x5d-\x7e]*"))*')


def split_name(name: str) -> tuple[str, str]:
    """Return stem and extension with its dot; a name that only begins with a dot has no extension."""
    stem, dot, extension = name.rpartition(".")
    return (stem, dot + extension) if stem.strip(".") and dot else (name, "")


def content_type(name: str) -> str:
    """Return the media type that the file's extension means."""
    return CONTENT_TYPES.get(extension(name), UNKNOWN)


def extension(name: str) -> str:
    """Return the extension in lower case, without its dot."""
    return split_name(name)[1][1:].lower()


def is_playlist(name: str) -> bool:
    """Whether it is an HLS or DASH playlist by its name."""
    return name.lower().endswith(_PLAYLIST_ENDS) and extension(name) in PLAYLISTS


def is_segment(name: str) -> bool:
    """Whether it could be a segment of one by its name, or what a player reads before the first."""
    return _SEGMENT.fullmatch(name) is not None


def content_disposition(asked: str, name: str) -> str:
    """Return the header (RFC 6266): ``attachment`` and ``inline`` get the file's name, all else stays."""
    if asked not in ("attachment", "inline"):
        return asked
    plain = re.sub(r'[^\x20-\x7e]|["\\%]', "_", name)  # what every browser reads
    exact = "" if plain == name else f"; filename*=UTF-8''{quote(name, safe='')}"
    return f'{asked}; filename="{plain}"{exact}'


def check_content_type(value: str) -> str:
    """Return a well-formed media type. Raises ValueError for anything else."""
    if not _MEDIA_TYPE.fullmatch(value):
        raise ValueError(f"{value!r} is no media type; write one such as video/mp4")
    return value
