"""Prepares the heads of small PUTs: objects of a rule differ in little, and only that is filled in.

One of them is asked for as any body is. What differs from object to object is then taken out of its head, and
out of what is signed; so a prepared head says what a made one would.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

from sidecar.core.checksum_algorithms import Algorithm
from sidecar.upload.store import ObjectSpec

from .body_request import DATE, LENGTH, names_of
from .checksums import field
from .credentials import SigningKeys
from .sigv4 import AUTHORIZATION, Signer, Unsigned, are_tidy, canonical, order_of

RULES_MAX = 256
_GAP = "\1"  # no header's value has it


class SmallPut(NamedTuple):
    """An object that is in memory, whole. ``value`` is its checksum, as S3 is told it."""

    spec: ObjectSpec
    data: bytes
    algorithm: Algorithm
    value: str
    once: bool
    fields: Callable[[], dict[str, Any]]  # what the client library would be told of it, but its bytes


class _Rule(NamedTuple):
    """What the heads of some objects have in common."""

    bucket: str
    content_type: str
    cache_control: str | None
    content_disposition: str | None
    storage_class: str | None
    tags: tuple[tuple[str, str], ...]
    metadata: tuple[str, ...]  # their names
    algorithm: Algorithm
    once: bool
    keys: SigningKeys


class _Prepared(NamedTuple):
    """A head, and what is signed of it, with gaps for the path and for what differs."""

    head: str
    signed: str
    in_order: Callable[[Sequence[str]], Iterable[str]]  # what differs, as it is signed


class PreparedHeads:
    """The heads of one door's small PUTs."""

    def __init__(self, signer: Signer) -> None:
        """Know no rule yet."""
        self._signer = signer
        self._prepared: dict[_Rule, _Prepared] = {}

    def head(
        self,
        put: SmallPut,
        path: str,
        *,
        keys: SigningKeys,
        stamp: str,
        usual: Callable[[], tuple[Mapping[str, str], Mapping[str, str]]],
    ) -> bytes | None:
        """Return the head of a PUT to ``path`` (percent-encoded); None for one that cannot be prepared.

        ``usual`` makes the headers of such a PUT, those that are signed and those that are not. Raises
        ValueError for what would end a line of it early.
        """
        differs = (put.value, *put.spec.metadata.values(), stamp)
        if not put.spec.key or not are_tidy(differs) or not "".join(differs).isascii():
            return None
        rule = _rule(put, keys)
        prepared = self._prepared.get(rule) or self._prepare(rule, *usual())
        if prepared is None:
            return None
        scope, signature = self._signer.signature(
            prepared.signed % (path, *prepared.in_order(differs)), secret_key=keys.secret_key, stamp=stamp
        )
        credential = f"{keys.access_key}/{scope}"
        return (prepared.head % (path, *differs, credential, signature, len(put.data))).encode()

    def _prepare(self, rule: _Rule, signed: Mapping[str, str], rest: Mapping[str, str]) -> _Prepared | None:
        if _GAP in "".join((*signed.values(), *rest.values())):
            return None
        if len(self._prepared) >= RULES_MAX:
            self._prepared.clear()
        differ = *names_of((field(rule.algorithm),), rule.metadata), DATE
        prepared = self._prepared[rule] = _prepared(signed, rest, differ=differ)
        return prepared


def _rule(put: SmallPut, keys: SigningKeys) -> _Rule:
    spec = put.spec
    return _Rule(
        spec.bucket,
        spec.content_type,
        spec.cache_control,
        spec.content_disposition,
        spec.storage_class,
        tuple(spec.tags.items()),
        tuple(spec.metadata),
        put.algorithm,
        put.once,
        keys,
    )


def _prepared(signed: Mapping[str, str], rest: Mapping[str, str], *, differ: tuple[str, ...]) -> _Prepared:
    """Take out what differs; ``differ`` are its names, in the order in which ``signed`` has them."""
    gaps = {name: _GAP if name in differ else value for name, value in signed.items()}
    names, text = canonical(Unsigned(method="PUT", path=_GAP, query="", headers=gaps))
    in_order = [differ.index(name) for name in order_of(tuple(signed))[0] if name in differ]
    lines = {**gaps, "Authorization": AUTHORIZATION % (_GAP, names, _GAP), **rest, LENGTH: _GAP}
    head = head_of(_GAP, lines)
    return _Prepared(_with_gaps(head), _with_gaps(text), itemgetter(*in_order))


def _with_gaps(text: str) -> str:
    return text.replace("%", "%%").replace(_GAP, "%s")


def head_of(target: str, headers: Mapping[str, str]) -> str:
    """Return a PUT's head. Raises ValueError for what would end a line of it early."""
    text = "\r\n".join([f"PUT {target} HTTP/1.1", *map(": ".join, headers.items()), "\r\n"])
    ends = len(headers) + 2
    if text.count("\n") != ends or text.count("\r") != ends or "\0" in text:
        raise ValueError("a header of a request holds the end of a line")
    return text
