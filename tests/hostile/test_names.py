"""Whatever a file is called, and whatever a rule makes of it: headers stay headers, a line stays a line.

That keys are injective, stay below their prefix and within 1,024 bytes is proven in tests/core.
"""

from __future__ import annotations

import json
import sys
import unicodedata
from io import StringIO
from urllib.parse import unquote

import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sidecar import logs
from sidecar.core.model import Transfer
from sidecar.upload.metadata import object_spec
from tests.support.journals import open_journal, ready

NAMES = st.text(st.characters(), max_size=40) | st.binary(max_size=20).map(
    lambda raw: raw.decode("utf-8", "surrogateescape")
)
BIDI = set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


@pytest.fixture(scope="module")
def transfer(tmp_path_factory: pytest.TempPathFactory) -> Transfer:
    """Return some transfer."""
    journal = open_journal(tmp_path_factory.mktemp("journal"))
    found = ready(journal, "a")
    journal.close()
    return found


@given(one=TEXTS, other=TEXTS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_metadata_is_one_header_and_tells_values_apart(transfer: Transfer, one: str, other: str) -> None:
    """Nothing ends the header, the signature's trimming takes nothing, and the value can be read back."""
    spoken = []
    for value in (one, other):
        header = object_spec(transfer, sidecar_id=value).metadata["sidecar-id"]
        assert header == header.strip()
        assert all(" " <= char <= "~" for char in header)
        assert unquote(header) == value
        spoken.append(header)
    assert (spoken[0] == spoken[1]) == (one == other)


@pytest.mark.parametrize("log_format", ["json", "console"])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=NAMES)
def test_an_event_is_one_line_whatever_the_name(log_format: logs.LogFormat, name: str) -> None:
    """No name begins a line of its own, forges a field, or drives a terminal."""
    logs.configure(log_format=log_format, level="info")
    stdout, sys.stdout = sys.stdout, StringIO()
    try:
        structlog.get_logger().info("completed", path=name, state="ready")
        line = sys.stdout.getvalue()
    finally:
        sys.stdout = stdout
    assert line.endswith("\n")
    assert len((line + "x").splitlines()) == 2
    assert not [char for char in line[:-1] if unicodedata.category(char) in {"Cc", "Cs", "Zl", "Zp"}]
    assert not set(line) & BIDI
    line.encode()
    if log_format == "json":
        assert json.loads(line)["state"] == "ready"
