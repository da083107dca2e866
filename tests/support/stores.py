"""Stores that know fewer checksums than S3, as manners of a front before one that knows them all.

What is behind goes on comparing the bytes, so that a lie about them still shows.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any

from .front import CONTINUE, Manner, Talk, plain, told
from .http1 import Answer, answer, read_body

NEW = ("crc64nvme", "crc32c", "sha256")
_NAMED = ("x-amz-sdk-checksum-algorithm", "x-amz-checksum-algorithm")
_ELEMENT = rb"<(Checksum%s[A-Za-z0-9]*)>[^<]*</\1>"
Question = Callable[[Talk], bool]


def everything(_talk: Talk) -> bool:
    """Tell that it is about any request."""
    return True


def parts(talk: Talk) -> bool:
    """Tell whether a request belongs to a multipart upload."""
    return "uploads" in talk.target or "uploadId" in talk.target


def ends(talk: Talk) -> bool:
    """Tell whether a request is a Complete, or a HEAD after it."""
    return talk.method == "HEAD" or (talk.method == "POST" and "uploadId" in talk.target)


def algorithm_of(talk: Talk) -> str | None:
    """Return the algorithm that a request names, or that it brings a checksum of."""
    named = [talk.head.get(name).lower() for name in _NAMED]
    brought = [name for name in NEW if talk.head.get(f"x-amz-checksum-{name}")]
    md5 = ["md5"] if talk.head.get("content-md5") else []
    return next((name for name in [*named, *brought, *md5] if name), None)


def silent(*, on: Collection[str] = NEW, about: Question = everything) -> Manner:
    """Take checksums and say nothing of them, as Ceph's gateway does up to 16 with all of them."""

    async def manner(talk: Talk) -> bool:
        said = await talk.ask()
        return await told(talk, without(said, on) if about(talk) else said)

    return manner


def refusing(
    *,
    on: Collection[str] = NEW,
    about: Question = everything,
    status: int = 400,
    code: str = "InvalidArgument",
) -> Manner:
    """Refuse requests that name an algorithm. Without a code nothing is said beside the status."""

    async def manner(talk: Talk) -> bool:
        if algorithm_of(talk) not in on or not about(talk):
            return await plain(talk)
        return await refuse(talk, status, code)

    return manner


def knowing_nothing(*, status: int = 400) -> Manner:
    """Refuse every header that speaks of a checksum, even the question of a HEAD, without a word."""
    refuses = refusing(status=status, code="")

    async def manner(talk: Talk) -> bool:
        if talk.head.get("x-amz-checksum-mode"):
            return await refuse(talk, status, "")
        return await refuses(talk)

    return manner


def first(number: int, odd: Manner) -> Manner:
    """Be odd, all at once, to the first uploads of so many objects and the HEADs of their keys."""
    keys: list[str] = []
    are_there = asyncio.Event()

    async def manner(talk: Talk) -> bool:
        key = talk.target.split("?")[0]
        if talk.method == "PUT" and len(keys) < number and key not in keys:
            keys.append(key)
            if len(keys) == number:
                are_there.set()
            await are_there.wait()
            return await odd(talk)
        return await (odd if talk.method == "HEAD" and key in keys else plain)(talk)

    return manner


async def refuse(talk: Talk, status: int, code: str) -> bool:
    """Answer with an error of S3's form, after the body was read."""
    if talk.expects:
        await talk.say(CONTINUE)
    await read_body(talk.reader, talk.head)
    text = f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode() if code else b""
    return await told(talk, answer(status, "No", b"" if talk.method == "HEAD" else text))


def without(said: Answer, algorithms: Collection[str]) -> Answer:
    """Return an answer without what it says of checksums; of Create's only that of these algorithms."""
    gone = {f"x-amz-checksum-{name}" for name in algorithms}
    named: Any = dict(said.head.headers)
    if named.get("x-amz-checksum-algorithm", "").lower() in algorithms:
        gone |= {"x-amz-checksum-algorithm", "x-amz-checksum-type"}
    body = said.body
    for name in algorithms:
        body = re.sub(_ELEMENT % name.upper().encode(), b"", body)
    kept = tuple(pair for pair in said.head.headers if pair[0].lower() not in gone | {"content-length"})
    length = str(len(body)) if said.body else said.head.get("content-length") or "0"
    return replace(said, head=replace(said.head, headers=(*kept, ("Content-Length", length))), body=body)
