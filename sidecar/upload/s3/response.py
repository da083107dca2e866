"""Decides whether it was S3 that answered: a portal, a balancer's page or an empty 200 speak for nobody.

A success must have S3's own form for its operation; otherwise it is an error that costs no attempt, since an
empty page would be an empty bucket. A 404 that is a balancer's page does not say that an object is absent.
What such an answer says instead is quoted.

botocore takes a page for an empty listing, forgets what a page of an error says, and stumbles over a BOM or
the spaces that S3 sends while it works.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from sidecar.core.s3_failures import FOREIGN

EXCERPT_CHARS_MAX = 200
_BOM = b"\xef\xbb\xbf"
_ROOT = re.compile(rb"(?:\s|<\?[^>]*\?>|<!--.*?-->)*<(?:[\w.-]+:)?([\w.-]+)", re.DOTALL)
_UPLOADS, _UPLOAD = b"ListMultipartUploadsResult", re.compile(rb"<(?:[\w.-]+:)?Upload[\s/>]")
_ERRORS = frozenset({b"Error", b"ErrorResponse"})
_ROOTS: Mapping[str, bytes] = {  # how the answer's root begins; stores differ in the end (Result, Response)
    **dict.fromkeys(("ListObjectsV2", "ListMultipartUploads", "ListParts"), b"List"),
    "CreateMultipartUpload": b"InitiateMultipartUpload",
    "CompleteMultipartUpload": b"CompleteMultipartUpload",
}
_NO_XML = "GetBucketPolicy"  # the policy itself, a JSON object
_MAYBE_EMPTY = "CompleteMultipartUpload"  # the object's checksum tells


class ResponseParserError(ValueError):
    """An answer that is not S3's; named as the client library names it, which is not loaded for that."""


@contextmanager
def parsing() -> Iterator[None]:
    """Raise that where the client library, which is loaded, does."""
    from botocore import parsers  # noqa: PLC0415 - see above

    try:
        yield
    except parsers.ResponseParserError as error:
        raise ResponseParserError(str(error)) from error


def read_as_s3(operation_model: Any, response_dict: dict[str, Any], **_: Any) -> None:
    """Make an answer ready for botocore. Raises ResponseParserError for a success that is not S3's.

    An object's bytes are not read here: whoever reads them compares size and checksum.
    """
    if hasattr(response_dict["body"], "read"):
        return
    body = bytes(response_dict["body"] or b"").removeprefix(_BOM).strip()
    status = int(response_dict["status_code"])
    root = _root(body)
    if status >= 300 and body and root not in _ERRORS:  # noqa: PLR2004 - HTTP's own number
        body = _error(status, body)
    elif status < 300 and root not in _ERRORS:  # noqa: PLR2004 - the same
        _check_success(operation_model.name, status, root, body)
    response_dict["body"] = body


def _check_success(operation: str, status: int, root: bytes | None, body: bytes) -> None:
    due = _ROOTS.get(operation)
    if operation == _NO_XML:
        good = body.startswith(b"{")
    elif body:
        good = root is not None and (root.startswith(due) if due else root.lower() != b"html")
    else:
        good = due is None or operation == _MAYBE_EMPTY
    if not good:
        raise ResponseParserError(f"status {status}, and not in S3's words: {excerpt(body)}")


def excerpt(body: bytes) -> str:
    """Return the beginning of a body as one line for people."""
    text = " ".join(body[: 4 * EXCERPT_CHARS_MAX].decode("utf-8", "replace").split())[:EXCERPT_CHARS_MAX]
    return repr(text) if text else "an empty body"


def is_without_uploads(body: bytes) -> bool:
    """Tell whether a listing says in so many words that no multipart upload is open."""
    is_whole = _root(body) == _UPLOADS and body.rstrip().endswith(b"</%s>" % _UPLOADS)
    return is_whole and b"<IsTruncated>false</IsTruncated>" in body and _UPLOAD.search(body) is None


def _root(body: bytes) -> bytes | None:
    found = _ROOT.match(body[:4096])
    return found[1] if found else None


def _error(status: int, body: bytes) -> bytes:
    """Return somebody's page as an error in S3's form, which keeps its words."""
    code = FOREIGN if status == 404 else str(status)  # noqa: PLR2004 - HTTP's own number
    words = "".join(char if char.isprintable() else "?" for char in excerpt(body))
    return f"<Error><Code>{code}</Code><Message>{html.escape(words, quote=False)}</Message></Error>".encode()
