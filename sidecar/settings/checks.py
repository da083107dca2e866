"""Checks what must hold between keys. Each check yields the key to look at and a sentence."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from itertools import combinations
from urllib.parse import urlsplit

from sidecar.core.address import is_loopback, parse_address
from sidecar.core.paths import below, plain
from sidecar.core.units import format_size

from .convex import DeployKeyAuth, NoAuth
from .model import Settings
from .problems import Key, dotted
from .rule_checks import check_rules

DISK_SECONDS = 2.0
ARCHIVES = frozenset({"GLACIER", "DEEP_ARCHIVE"})
JWT_EXAMPLE = (
    "{mode: jwt, issuer: https://render.example.com, audience: render-sidecar,"
    " private_key_file: /run/secrets/convex.pem}"
)
Findings = Iterator[tuple[Key, str]]


def check(settings: Settings, *, watching: bool = True) -> Findings:
    """Yield everything that is wrong between the keys of valid settings.

    ``watching``: they are a daemon's, which has a folder to watch.
    """
    if watching and not settings.watch:
        yield ("watch",), "names no folder; write the one that the renderer writes into, as - root: /renders"
    checks: tuple[Callable[[Settings], Findings], ...] = (
        _check_roots, check_rules, _check_https, _check_s3, _check_convex, _check_limits, _check_local_files,
        _check_removal, _check_status,
    )  # fmt: skip
    for each in checks:
        yield from each(settings)


def advise(settings: Settings) -> Iterator[str]:
    """Yield what is allowed but probably not meant."""
    url = settings.convex.url
    if url and url.startswith("http:") and not is_loopback(urlsplit(url).hostname or ""):
        yield "convex.url is not https: credentials and metadata cross the network in the clear"
    if isinstance(settings.convex.auth, DeployKeyAuth):
        yield "convex.auth: a deploy key must be scoped to running internal functions; prefer mode: jwt"
    yield from _archives(settings)
    templates = {"s3.key": settings.s3.key, **_rule_keys(settings)}
    for name, template in templates.items():
        if "{transfer}" not in template:
            stay = "; removal: delete leaves them" if settings.removal == "delete" else ""
            yield f"{name} has no {{transfer}}: objects are overwritten in place, without history{stay}"


def _archives(settings: Settings) -> Iterator[str]:
    for at, rule in enumerate(settings.rules):
        if rule.storage_class in ARCHIVES:
            name = dotted(("rules", at, "storage_class"))
            yield f"{name}: {rule.storage_class} objects are not read before somebody restores them"


def _rule_keys(settings: Settings) -> dict[str, str]:
    return {dotted(("rules", at, "key")): rule.key for at, rule in enumerate(settings.rules) if rule.key}


def _check_roots(settings: Settings) -> Findings:
    named = [watch.root for watch in settings.watch]
    journal = str(settings.journal.path)
    *resolved, place = _resolved([*named, journal])
    for (one, first), (other, second) in combinations(enumerate(zip(named, resolved, strict=True)), 2):
        if (what := _overlap(first[0], second[0]) or _overlap(first[1], second[1])) is not None:
            yield (
                ("watch", other, "root"),
                f"{what} watch[{one}].root; every file must lie below one root, so watch the outer one alone",
            )
    for at, (root, real) in enumerate(zip(named, resolved, strict=True)):
        if below(journal, [root]) or below(place, [real]):
            yield (
                ("journal", "path"),
                f"lies below watch[{at}].root; keep it outside of watched folders",
            )


def _overlap(first: str, second: str) -> str | None:
    if plain(first) == plain(second):
        return "is the same folder as"
    return "overlaps" if below(first, [second]) or below(second, [first]) else None


def _resolved(paths: list[str]) -> list[str]:
    """Follow links, but wait for no disk that does not answer: a root that is away is no mistake here."""
    found = list(paths)

    def follow() -> None:
        found[:] = [os.path.realpath(path) for path in paths]

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    thread.join(DISK_SECONDS)
    return list(found)


def _check_https(settings: Settings) -> Findings:
    if not settings.https_only:
        return
    named = {
        ("s3", "endpoint_url"): settings.s3.endpoint_url,
        ("s3", "public_base_url"): settings.s3.public_base_url,
        ("convex", "url"): settings.convex.url if settings.convex.sync != "off" else None,
    }
    why = f"as environment: {settings.environment} says" if settings.environment else "and https_only is true"
    for key, url in named.items():
        if url is not None and not url.startswith("https:"):
            yield key, f"is not https, {why}; write an https address, or https_only: false"


def _check_s3(settings: Settings) -> Findings:
    s3 = settings.s3
    if (s3.access_key_id is None) != (s3.secret_access_key is None):
        missing = "access_key_id" if s3.access_key_id is None else "secret_access_key"
        yield ("s3",), f"{missing} is missing; set both keys, or neither to use the AWS chain"
    if s3.session_token is not None and s3.access_key_id is None:
        yield ("s3", "session_token"), "goes with access_key_id and secret_access_key; set all three"
    if s3.profile is not None and s3.access_key_id is not None:
        yield ("s3", "profile"), "cannot be used beside access_key_id; keep one of them"
    if s3.encryption.kms_key_id is not None and s3.encryption.mode != "aws:kms":
        yield (
            ("s3", "encryption", "kms_key_id"),
            "goes with mode: aws:kms only; set the mode or leave it out",
        )
    if s3.encryption.bucket_key and s3.encryption.mode != "aws:kms":
        yield ("s3", "encryption", "bucket_key"), "goes with mode: aws:kms only; set the mode or leave it out"
    if settings.upload.memory < s3.part_size:
        part = format_size(s3.part_size)
        yield ("upload", "memory"), f"is less than one part; write at least s3.part_size, which is {part}"


def _check_convex(settings: Settings) -> Findings:
    convex = settings.convex
    if convex.sync == "off":
        return
    if convex.url is None:
        yield (
            ("convex", "url"),
            "is required; write the deployment's URL, https://happy-otter-123.convex.cloud, or sync: off",
        )
    if convex.auth is None:
        yield (
            ("convex", "auth"),
            f"is required; write {JWT_EXAMPLE}, or convex.sync: off",
        )
    host = urlsplit(convex.url).hostname if convex.url else None
    if isinstance(convex.auth, NoAuth) and host and not is_loopback(host):
        yield (
            ("convex", "auth", "mode"),
            f"none works against `sidecar dev` on this machine only, and convex.url names {host}; use jwt",
        )


def _check_limits(settings: Settings) -> Findings:
    if settings.retry.initial > settings.retry.max:
        yield (
            ("retry", "initial"),
            "is longer than retry.max, and the first wait is the shortest",
        )


def _check_local_files(settings: Settings) -> Findings:
    if settings.local_files.after_sync == "delete" and settings.convex.sync == "off":
        yield (
            ("local_files", "after_sync"),
            "delete waits until Convex knows a file, and convex.sync is off; keep the files, or turn sync on",
        )


def _check_removal(settings: Settings) -> Findings:
    if settings.removal != "keep" and settings.convex.sync == "off":
        yield (
            ("removal",),
            f"{settings.removal} tells Convex of it, and convex.sync is off; write keep, or turn sync on",
        )


def _check_status(settings: Settings) -> Findings:
    status = settings.status
    host, port = parse_address(status.listen)
    if not is_loopback(host) and status.token_file is None:
        yield (
            ("status", "listen"),
            f"{status.listen} is open to other machines; set status.token_file, or listen on 127.0.0.1",
        )
    if status.public_listen and port and parse_address(status.public_listen)[1] == port:
        yield ("status", "public_listen"), f"uses port {port}, and so does status.listen; choose another"
