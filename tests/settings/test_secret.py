"""Secrets from files."""

from __future__ import annotations

from pathlib import Path

import pytest

from sidecar.core.errors import ErrorKind, SidecarError
from sidecar.settings import Secret


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    """Rotation needs no restart: by rename or in place."""
    path = tmp_path / "token"
    path.write_text("one\n")
    secret = Secret(path=path)
    assert secret.get() == "one"
    (tmp_path / "next").write_text("two")
    (tmp_path / "next").replace(path)
    assert secret.get() == "two"
    path.write_text("three")
    assert secret.get() == "three"


@pytest.mark.parametrize(
    ("content", "words"), [(None, "No such file"), (b" \n", "is empty"), (b"x" * 70_000, "larger")]
)
def test_an_unusable_file_is_named(tmp_path: Path, content: bytes | None, words: str) -> None:
    """The remote's queue stops with a sentence, and goes on once the file is there."""
    path = tmp_path / "token"
    if content is not None:
        path.write_bytes(content)
    secret = Secret(path=path)
    with pytest.raises(SidecarError, match=words) as raised:
        secret.get()
    assert raised.value.kind is ErrorKind.UNAUTHORIZED
    assert raised.value.target == str(path)
    path.write_text("now")
    assert secret.get() == "now"


def test_a_secret_shows_where_it_comes_from_only() -> None:
    """In logs and tracebacks."""
    assert repr(Secret("hush")) == "Secret('********')"
    assert repr(Secret(path=Path("/run/x"))) == "Secret(path='/run/x')"
