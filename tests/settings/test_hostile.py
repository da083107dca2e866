"""Whatever is in the file or the environment: settings, or sentences."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.settings import SettingsError, from_mapping, load
from sidecar.settings.known_keys import all_keys

KEYS = [key.rpartition(".")[2] for key in all_keys()] + ["other"]
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["{a}", "1s"])
)
TREES = st.recursive(
    LEAVES,
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.sampled_from(KEYS), below, max_size=6),
    max_leaves=20,
)
WORDS = [
    "watch:",
    "root: /r",
    "s3:",
    ": ",
    "- ",
    "{",
    "}",
    "[",
    "]",
    "'",
    '"',
    "${A}",
    "${",
    "&a ",
    "*a ",
    "!x ",
    "? ",
    "# c",
    "<<: ",
]
LINES = ["\n", "\n  ", "\t", "|\n", ">\n", "%TAG\n", "---\n", "...\n"]
YAML_PIECES = st.sampled_from(WORDS + LINES)


def attempt(raw: bytes, environ: dict[str, str]) -> None:
    """Load a file of these bytes; nothing but SettingsError may come out."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sidecar.yaml"
        path.write_bytes(raw)
        with contextlib.suppress(SettingsError):
            load(path, environ=environ)


@settings(max_examples=60)
@given(st.lists(YAML_PIECES | st.text(max_size=3), max_size=30).map("".join))
def test_no_text_makes_the_reader_fail(text: str) -> None:
    """Half YAML, odd characters, unclosed quotes."""
    attempt(text.encode("utf-8", "surrogatepass"), {"A": "x: [y"})


@settings(max_examples=60)
@given(TREES, st.dictionaries(st.sampled_from(KEYS), TREES, max_size=4))
def test_no_shape_makes_the_validation_fail(tree: object, sections: dict[str, object]) -> None:
    """Lists where mappings belong, numbers where text does, and so on."""
    known = {"watch": tree, "s3": tree, "convex": tree, "rules": [tree]}
    for values in ({**known, **sections}, sections):
        with contextlib.suppress(SettingsError):
            from_mapping(values)


@settings(max_examples=40)
@given(
    st.dictionaries(
        st.sampled_from(["S3", "WATCH", "0", "RULES", "KEY", "9" * 5000, "", "X"]), st.text(max_size=9)
    )
)
def test_no_variable_makes_the_overrides_fail(parts: dict[str, str]) -> None:
    """Deep, empty and huge names."""
    environ = {f"SIDECAR_{one}__{other}": value for one, value in parts.items() for other in parts}
    attempt(b"s3: {bucket: lessons}\n", environ)
