"""How servers, proxies and balancers of the field speak HTTP/1.1: lawful, or at least common, and true."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Mapping
from dataclasses import replace

from .front import CONTINUE, Manner, Talk, plain, told
from .http1 import Answer, Head

EARLY = b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n"
LATE_408 = b"HTTP/1.1 408 Request Time-out\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


async def _never_continues(talk: Talk) -> bool:
    return await told(talk, await talk.ask(b""))


async def _knows_no_expect(talk: Talk) -> bool:
    if not talk.expects:
        return await plain(talk)
    await talk.say(b"HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n")
    return False


async def _much_ado(talk: Talk) -> bool:
    await talk.say(EARLY)
    said = await talk.ask(CONTINUE * 3)
    await talk.say(EARLY)
    return await told(talk, said)


async def _continues_late(talk: Talk) -> bool:
    said = await talk.ask(b"")
    await talk.say(CONTINUE)
    return await told(talk, said)


async def _chunked(talk: Talk) -> bool:
    said = await talk.ask()
    if talk.method == "HEAD" or said.status == 204:
        return await told(talk, said)
    pieces = [said.body[start : start + 7] for start in range(0, len(said.body), 7)]
    chunks = b"".join(b'%x;ext="a;b"\r\n%s\r\n' % (len(piece), piece) for piece in pieces)
    head = replace(said.head, headers=tuple(h for h in said.head.headers if h[0].lower() != "content-length"))
    trailer = b'0;last\r\nX-Trailer: t\r\nETag: "wrong"\r\n\r\n'
    await talk.say(head.raw(("Transfer-Encoding", "chunked")) + chunks + trailer)
    return True


async def _until_close(talk: Talk) -> bool:
    said = await talk.ask()
    headers = said.head.headers
    if talk.method != "HEAD":
        headers = tuple(h for h in headers if h[0].lower() != "content-length")
    line = said.head.line.replace("HTTP/1.1", "HTTP/1.0")
    await talk.say(replace(said.head, line=line, headers=headers).raw() + said.body)
    return False


async def _closes(talk: Talk) -> bool:
    await talk.say((await talk.ask()).raw(("Connection", "close")))
    return False


async def _ends_in_silence(talk: Talk) -> bool:
    await plain(talk)
    return False


async def _resets_when_idle(talk: Talk) -> bool:
    await plain(talk)
    return talk.reset()


async def _cuts_the_second(talk: Talk) -> bool:
    """Cut as the next request arrives: the client could not know."""
    return talk.reset() if talk.served else await plain(talk)


async def _ends_the_second(talk: Talk) -> bool:
    return False if talk.served else await plain(talk)


async def _carries_out_and_cuts(talk: Talk) -> bool:
    """As the second, but the remote did its work."""
    if not talk.served:
        return await plain(talk)
    await talk.ask()
    return talk.reset()


async def _says_408_when_idle(talk: Talk) -> bool:
    await plain(talk)
    await talk.say(LATE_408)
    return True


async def _sends_there_again(talk: Talk) -> bool:
    """Send everybody to the same place, as S3 does with a bucket that is new."""
    if talk.front.asked.count(f"{talk.method} {talk.target}") % 2 == 0:
        return await plain(talk)
    where = f"{talk.front.url}{talk.target}"
    headers = (("Location", where), ("Content-Length", "0"), ("Connection", "close"))
    await talk.say(Head(line="HTTP/1.1 307 Temporary Redirect", headers=headers).raw(headers[-1]))
    return False


def _headers(change: Callable[[tuple[str, str]], list[tuple[str, str]]]) -> Manner:
    async def manner(talk: Talk) -> bool:
        said = await talk.ask()
        headers = tuple(new for pair in said.head.headers for new in change(pair))
        return await told(talk, replace(said, head=replace(said.head, headers=headers)))

    return manner


def _doubled(pair: tuple[str, str]) -> list[tuple[str, str]]:
    others = {"etag": '"0123"', "date": "Sat, 01 Jan 2000 00:00:00 GMT", "server": "front"}
    other = others.get(pair[0].lower())
    return [pair] if other is None else [pair, (pair[0].upper(), other)]


def _body(change: Callable[[bytes], bytes], *more: tuple[str, str]) -> Manner:
    async def manner(talk: Talk) -> bool:
        said = await talk.ask()
        if talk.method == "HEAD" or not said.body:
            return await told(talk, said)
        headers = tuple(h for h in said.head.headers if h[0].lower() != "content-length")
        changed = Answer(head=replace(said.head, headers=(*headers, *more)), body=change(said.body))
        return await told(talk, changed)

    return manner


async def _says_204(talk: Talk) -> bool:
    said = await talk.ask()
    if talk.method != "PUT" or said.status != 200:
        return await told(talk, said)
    head = replace(said.head, line="HTTP/1.1 204 No Content")
    return await told(talk, Answer(head=head, body=b""))


async def _completes_in_silence(talk: Talk) -> bool:
    said = await talk.ask()
    if talk.method != "POST" or "uploadId=" not in talk.target:
        return await told(talk, said)
    await talk.say(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    return True


async def _works_for_long(talk: Talk) -> bool:
    """Send spaces while it works, before anything else of the body, as S3 does for Complete."""
    said = await talk.ask()
    if talk.method != "POST":
        return await told(talk, said)
    head = replace(said.head, headers=tuple(h for h in said.head.headers if h[0].lower() != "content-length"))
    await talk.say(head.raw(("Transfer-Encoding", "chunked")) + b"3\r\n \r\n\r\n" * 5)
    await talk.say(b"%x\r\n%s\r\n0\r\n\r\n" % (len(said.body), said.body))
    return True


CONNECTIONS: Mapping[str, Manner] = {
    "early hints and much ado": _much_ado,
    "chunked, with extensions and trailers": _chunked,
    "HTTP/1.0 until it closes": _until_close,
    "Connection: close": _closes,
    "closes without a word": _ends_in_silence,
    "resets what idles": _resets_when_idle,
    "cuts a used connection under the request": _cuts_the_second,
    "ends a used connection under the request": _ends_the_second,
    "carries out, and cuts a used connection": _carries_out_and_cuts,
    "says 408 when nobody asked": _says_408_when_idle,
    "headers in lower case": _headers(lambda pair: [(pair[0].lower(), pair[1])]),
    "headers in odd case": _headers(lambda pair: [(pair[0].swapcase(), pair[1])]),
    "headers twice": _headers(_doubled),
    "values between spaces": _headers(lambda pair: [(pair[0], f" \t{pair[1]}\t ")]),
    "bytes that are no ASCII": _headers(lambda pair: [pair, ("X-Front", "caf\xe9 \xff")]),
    "folded headers": _headers(lambda pair: [pair, ("X-Front", "one\r\n two")]),
    "packed bodies": _body(gzip.compress, ("Content-Encoding", "gzip")),
    "a BOM": _body(lambda body: b"\xef\xbb\xbf" + body),
}
S3_ALONE: Mapping[str, Manner] = {
    "no 100 Continue": _never_continues,
    "417 to Expect": _knows_no_expect,
    "100 Continue after the body": _continues_late,
    "spaces while it works": _works_for_long,
    "spaces before XML": _body(lambda body: b" \n " + body),
    "204 to PUT": _says_204,
    "an empty answer to Complete": _completes_in_silence,
    "307 to itself": _sends_there_again,
}
