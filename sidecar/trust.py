"""Decides which certificate authorities a connection trusts, by one rule for every remote.

OpenSSL, the AWS libraries and HTTP libraries of Python have a variable each, and read no other's. Here the
first one that is set decides: AWS's for S3, STS and SSO, then SSL_CERT_FILE and SSL_CERT_DIR, then those of
requests and curl, then certifi's authorities.
"""

from __future__ import annotations

import ssl
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import certifi

AWS_VARIABLE = "AWS_CA_BUNDLE"
_FILE, _FOLDERS = "SSL_CERT_FILE", "SSL_CERT_DIR"
_OTHERS = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


class TrustError(ValueError):
    """A bundle cannot be used: one sentence that names whoever named it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """A PEM file, or a folder of them as OpenSSL hashes it; ``named_by`` is a variable or a key."""

    path: str
    named_by: str


def bundles(environ: Mapping[str, str], *, first: Sequence[Bundle | None] = ()) -> list[Bundle]:
    """Return what is trusted: the first one of ``first`` that is there, else what the environment says."""
    for bundle in first:
        if bundle is not None:
            return [bundle]
    file, folders = _named(environ, _FILE), _named(environ, _FOLDERS)
    if folders is not None:  # as OpenSSL has it, folders of one's own leave the file as it is
        return [file or _default(), folders]
    found = (file, *(_named(environ, variable) for variable in _OTHERS), _default())
    return [next(bundle for bundle in found if bundle is not None)]


def aws_bundle(environ: Mapping[str, str]) -> Bundle | None:
    """Return the one of AWS_CA_BUNDLE."""
    return _named(environ, AWS_VARIABLE)


def tls_context(trusted: Sequence[Bundle]) -> ssl.SSLContext:
    """Return a context that trusts these, and checks the host's name. Blocking. Raises TrustError.

    Whoever trusts the same shares it, since reading all authorities takes 0.03 s of CPU; so it offers
    HTTP/1.1, the one version that we speak. A file that was replaced is read again.
    """
    return _context(tuple(trusted), tuple(_versions(bundle) for bundle in trusted))


@lru_cache(maxsize=4)
def _context(trusted: tuple[Bundle, ...], _: tuple[object, ...]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_alpn_protocols(["http/1.1"])
    for bundle in trusted:
        try:
            _load(context, bundle)
        except ssl.SSLError:
            raise TrustError(f"{bundle.named_by}: {_shown(bundle)} holds no certificate in PEM") from None
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else str(error)
            raise TrustError(f"{bundle.named_by}: {_shown(bundle)} cannot be read: {why}") from None
    return context


def _versions(bundle: Bundle) -> tuple[object, ...]:
    """Return what differs once a file was replaced. A folder may change any time: it is not shared."""
    found: list[object] = []
    for path in (bundle.path, *bundle.path.split(":")):
        try:
            now = Path(path).stat()
        except (OSError, ValueError):  # whoever reads it says what is wrong
            found.append(None)
        else:
            is_file = stat.S_ISREG(now.st_mode)
            found.append((now.st_dev, now.st_ino, now.st_size, now.st_mtime_ns) if is_file else object())
    return tuple(found)


def _shown(bundle: Bundle) -> str:
    """Return a path as it stands in one line, whatever the environment holds."""
    return bundle.path if bundle.path.isprintable() else repr(bundle.path)


def _load(context: ssl.SSLContext, bundle: Bundle) -> None:
    if bundle.named_by == _FOLDERS:
        if not any(Path(folder).is_dir() for folder in bundle.path.split(":")):
            raise ValueError("no such folder")
        context.load_verify_locations(capath=bundle.path)
        return
    mode = Path(bundle.path).stat().st_mode
    if stat.S_ISDIR(mode):
        context.load_verify_locations(capath=bundle.path)
    elif stat.S_ISREG(mode):  # a pipe or a device may have no end
        context.load_verify_locations(cafile=bundle.path)
    else:
        raise ValueError("not a regular file")


def _named(environ: Mapping[str, str], variable: str) -> Bundle | None:
    path = environ.get(variable, "").strip()
    return Bundle(path=path, named_by=variable) if path else None


def _default() -> Bundle:
    return Bundle(path=certifi.where(), named_by="certifi")
