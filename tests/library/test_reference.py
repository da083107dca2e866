"""The page about the library: its recipes run as they stand there, and its reference is the code's."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from PIL import Image

import sidecar
from sidecar.library.reference import PAGE, render
from sidecar.local.convex_server import ConvexServer


def test_the_reference_is_what_the_docstrings_say() -> None:
    """``python -m sidecar.library.reference`` writes it."""
    assert PAGE.read_text() == render()


def test_every_public_method_says_what_it_does() -> None:
    """A signature alone would send a stranger into the source."""
    text = PAGE.read_text()
    for name in set(sidecar.__all__) - {"Settings", "SettingsError"}:
        assert f"### {name}\n" in text
    assert re.search(r"^`[^`]+`\n\n\n", text, re.MULTILINE) is None


def test_the_recipes_run_one_after_the_other(
    settings: dict[str, Any], tmp_path: Path, convex: ConvexServer
) -> None:
    """In one process: each is a program of its own, as far as the library goes."""
    recipes = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(recipes) == 5
    (tmp_path / "sidecar.yaml").write_text(json.dumps(settings))
    Image.new("RGB", (8, 8)).save(tmp_path / "thumb.png")
    program = tmp_path / "recipes.py"
    program.write_text("\nprint('--')\n".join(recipes))
    done = subprocess.run(
        [sys.executable, str(program)], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    stored, urls, listed, task, cleaned = done.stdout.strip().split("--\n")
    assert stored.split()[1] == "1"
    assert "X-Amz-Signature=" in urls
    assert re.fullmatch(r"algebra/lesson-7/intro/thumbnail/thumb\.\w{26}\.png \d+ 1\n", listed)
    assert cleaned == "1 removed"
    assert [row["assetId"] for row in convex.table("renderSidecar/assets")] == [task.strip()]
