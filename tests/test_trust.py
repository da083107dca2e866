"""Authorities are read once for all who trust them, and again when they were replaced."""

from __future__ import annotations

import ssl
from pathlib import Path

import certifi
import pytest

from sidecar.trust import Bundle, TrustError, bundles, tls_context

END = "-----END CERTIFICATE-----\n"


def authorities(path: Path, count: int) -> Bundle:
    """Write the first few of certifi's into a file."""
    found = certifi.contents().split(END)[:count]
    path.write_text("".join(one + END for one in found))
    return Bundle(path=str(path), named_by="s3.ca_bundle")


def known(context: ssl.SSLContext) -> int:
    """Count."""
    return context.cert_store_stats()["x509_ca"]


def test_whoever_trusts_the_same_shares_what_was_read(tmp_path: Path) -> None:
    """Such as S3 and Convex by default; others have their own."""
    assert tls_context(bundles({})) is tls_context(bundles({}))
    few = authorities(tmp_path / "few.pem", 2)
    assert tls_context([few]) is not tls_context(bundles({}))
    assert known(tls_context([few])) == 2
    both = tls_context([few, authorities(tmp_path / "one.pem", 3)])
    assert known(both) == 3
    assert both is not tls_context([few])


def test_a_file_that_was_replaced_is_read_again(tmp_path: Path) -> None:
    """As a reload of the settings has it; what was handed out stays as it was."""
    before = tls_context([authorities(tmp_path / "ca.pem", 1)])
    assert known(tls_context([authorities(tmp_path / "ca.pem", 3)])) == 3
    assert known(before) == 1


def test_folders_are_looked_at_again(tmp_path: Path) -> None:
    """A file in one may be rewritten in place, and OpenSSL remembers what it has read."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    for path in (str(tmp_path / "a"), f"{tmp_path / 'a'}:{tmp_path / 'b'}"):
        folders = Bundle(path=path, named_by="SSL_CERT_DIR")
        assert tls_context([folders]) is not tls_context([folders])


def test_what_cannot_be_read_is_tried_again(tmp_path: Path) -> None:
    """A refusal is remembered by nobody."""
    missing = Bundle(path=str(tmp_path / "ca.pem"), named_by="s3.ca_bundle")
    for _ in range(2):
        with pytest.raises(TrustError, match=r"s3\.ca_bundle"):
            tls_context([missing])
    assert known(tls_context([authorities(tmp_path / "ca.pem", 1)])) == 1
