"""``sidecar convex keys``: keys that only their owner can read, and their public halves."""

from __future__ import annotations

import base64
import json
import stat
from pathlib import Path

import jwt
from typer.testing import CliRunner

from sidecar.cli.convex import app
from sidecar.sync import signing_keys


def test_a_new_key_is_private_and_its_token_verifies_with_the_published_key(tmp_path: Path) -> None:
    """Mode 0600, and what Convex is given checks what the sidecar signs."""
    out = tmp_path / "key.pem"
    result = CliRunner().invoke(app, ["keys", "new", "--out", str(out), "--json"])
    assert result.exit_code == 0, result.output
    told = json.loads(result.output)
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    published = json.loads(base64.b64decode(told["jwks_data_uri"].split(",")[1]))["keys"][0]
    assert published["kid"] == told["kid"]
    assert "d" not in published
    token = jwt.encode({"sub": "s"}, signing_keys.read(out), algorithm="ES256")
    assert jwt.decode(token, jwt.PyJWK(published), algorithms=["ES256"]) == {"sub": "s"}


def test_a_key_in_use_is_never_overwritten(tmp_path: Path) -> None:
    """The second run fails with a sentence and leaves the first key."""
    out = tmp_path / "key.pem"
    assert CliRunner().invoke(app, ["keys", "new", "--out", str(out)]).exit_code == 0
    before = out.read_bytes()
    result = CliRunner().invoke(app, ["keys", "new", "--out", str(out)])
    assert result.exit_code == 1
    assert "exists already" in result.output
    assert out.read_bytes() == before


def test_during_a_rotation_both_keys_are_published(tmp_path: Path) -> None:
    """Several files, one key set, no private half in it."""
    files = [tmp_path / "old.pem", tmp_path / "new.pem"]
    kids = [signing_keys.create(path) for path in files]
    result = CliRunner().invoke(app, ["keys", "jwks", *map(str, files), "--json"])
    published = json.loads(result.output)["jwks"]["keys"]
    assert [key["kid"] for key in published] == kids
    plain = CliRunner().invoke(app, ["keys", "jwks", *map(str, files)])
    assert json.loads(plain.stdout)["keys"] == published, "what to do with it does not mix with it"
    assert "SIDECAR_JWKS_DATA_URI" in plain.stderr


def test_a_file_that_is_no_key_is_named_in_one_sentence(tmp_path: Path) -> None:
    """No traceback for a wrong file, an RSA key or a missing one."""
    wrong = tmp_path / "wrong.pem"
    wrong.write_text("hello")
    for path in (wrong, tmp_path / "missing.pem"):
        result = CliRunner().invoke(app, ["keys", "jwks", str(path)])
        assert result.exit_code == 1
        assert str(path) in result.output
        assert "Traceback" not in result.output
