"""CONTRACT.md and the code name the same things, and the tests that it names are there."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.main import get_command

from sidecar.cli import INTERRUPTED, common
from sidecar.cli.app import app
from sidecar.core.errors import ErrorKind
from sidecar.core.model import State
from sidecar.metrics import Metrics, Mirror
from sidecar.settings.known_keys import all_keys, known_keys
from sidecar.settings.unsupported import REFUSED
from sidecar.status.guard import Need
from sidecar.status.models import Status
from sidecar.status.operations import OPERATIONS
from sidecar.sync.install_files import ALIASES

ROOT = Path(__file__).resolve().parent.parent
CONTRACT = (ROOT / "sidecar" / "CONTRACT.md").read_text()
FUNCTIONS = ROOT / "sidecar" / "sync" / "functions"
NAMED_TESTS = sorted(set(re.findall(r"(tests/[\w/]+\.py)::(\w+)", CONTRACT)))


def section(heading: str) -> str:
    """Return what stands below a heading, up to the next one of its level or above."""
    marks, _, _ = heading.partition(" ")
    _, _, below = CONTRACT.partition(f"\n{heading}\n")
    assert below, f"CONTRACT.md has no heading {heading!r}"
    return re.split(rf"^#{{1,{len(marks)}}} ", below, maxsplit=1, flags=re.MULTILINE)[0]


def rows(heading: str, column: str) -> list[list[str]]:
    """Return the cells of the table whose first column is called so."""
    _, _, table = section(heading).partition(f"| {column} |")
    lines = table.partition("\n\n")[0].splitlines()[2:]  # without the rest of the head and its rule
    return [[cell.strip().strip("`") for cell in line.strip("| ").split(" | ")] for line in lines]


def names(heading: str, column: str) -> list[str]:
    """Return the first cells of a table."""
    return [cells[0] for cells in rows(heading, column)]


@pytest.mark.parametrize(("path", "name"), NAMED_TESTS)
def test_a_named_test_is_there(path: str, name: str) -> None:
    """A reader may run it as it is written."""
    assert re.search(rf"^(?:async )?def {name}\(", (ROOT / path).read_text(), re.MULTILINE)


def test_every_guarantee_names_tests_that_hold_it() -> None:
    """I1 to I12, in order."""
    headings = re.findall(r"^(### (I\d+) .+)$", section("## Guarantees"), re.MULTILINE)
    assert [number for _, number in headings] == [f"I{n}" for n in range(1, 13)]
    assert [heading for heading, _ in headings if "::test_" not in section(heading)] == []


def test_whoever_cites_the_contract_names_a_heading() -> None:
    """Headings stay findable when sections move."""
    headings = set(re.findall(r"^#+ (.+)$", CONTRACT, re.MULTILINE))
    cited = {
        " ".join(heading.split())
        for folder in ("sidecar", "tests")
        for path in (ROOT / folder).rglob("*.py")
        for heading in re.findall(r'CONTRACT\.md,\s+"([^"\\]+)"', path.read_text())
    }
    assert cited
    assert cited <= headings


def test_every_section_and_key_of_the_settings_is_described() -> None:
    """And no other."""
    told = {cells[0]: set(re.findall(r"\w+", cells[1])) for cells in rows("## Configuration", "section")}
    assert told == {name: set(known_keys((name,))) for name in known_keys(())}


def test_every_key_that_is_mentioned_exists() -> None:
    """Wherever it is named, as ``watch[].settle`` or ``convex.sync: off``."""
    spans = re.findall(r"`([a-z0-9_]+(?:\[\])?(?:\.[a-z0-9_]+)+)(?:: [\w-]+)?`", CONTRACT)
    mentioned = {span.replace("[]", "") for span in spans}
    keys = {key for key in mentioned if key.partition(".")[0] in known_keys(())}
    assert "watch.settle" in keys
    assert keys <= set(all_keys())


def test_what_a_later_version_brings_is_said() -> None:
    """Each value that this one refuses."""
    told = section("## Not yet")
    assert [key for key in (*REFUSED, "watch[].chunks") if f"`{key}: " not in told] == []


def test_every_command_is_described() -> None:
    """And no other."""
    assert sorted(names("## The command line", "command")) == sorted(_commands(get_command(app), "sidecar"))


def _commands(command: object, name: str) -> Iterator[str]:
    below = getattr(command, "commands", None)
    if below is None:
        yield name
        return
    for word, one in below.items():
        yield from _commands(one, f"{name} {word}")


def test_every_exit_status_is_described() -> None:
    """Those of commands, and those with which the daemon gives up."""
    given = {
        keyword.value.value
        for path in (ROOT / "sidecar").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        for keyword in node.keywords
        if keyword.arg == "exit_status" and isinstance(keyword.value, ast.Constant)
    }
    fixed = {0, common.FAILED, common.USAGE, common.TRY_LATER, common.BAD_CONFIGURATION, INTERRUPTED}
    assert given
    assert set(map(int, names("## Exit statuses", "status"))) == fixed | given


def test_states_and_kinds_of_errors_are_described() -> None:
    """In the order of the code."""
    assert names("## The life of a file", "state") == list(State)
    assert names("## Errors", "kind") == list(ErrorKind)


def test_every_route_is_described_with_who_may_take_it() -> None:
    """And no other."""
    told = {cells[0]: cells[1] for cells in rows("## The local endpoint", "route")}
    assert told == {f"{one.method} {one.path}": _who_may(one.need) for one in OPERATIONS}


def _who_may(need: Need) -> str:
    return "token" if need.changes else "public" if need.public else "reader"


def test_every_field_of_status_is_described() -> None:
    """In the order of the reply."""
    assert names("## The local endpoint", "field") == list(Status.model_fields)


def test_every_metric_is_described() -> None:
    """And no other."""
    text = Metrics().expose(Mirror(version="1")).decode()
    exposed = {name for name in re.findall(r"^# TYPE (\w+)", text, re.MULTILINE) if "_created" not in name}
    assert set(names("## The local endpoint", "metric")) == exposed


def test_every_function_of_convex_is_described_with_its_kind() -> None:
    """But for the twins that a deploy key calls; these are all there."""
    exported = {
        f"{path.stem}:{name}": re.sub("^internal", "internal ", kind).lower()
        for path in (FUNCTIONS / "sidecar.ts", *(FUNCTIONS / "sidecar" / name for name in ALIASES))
        for name, kind in re.findall(
            r"export const (\w+) = (\w*(?:[qQ]uery|[mM]utation|[aA]ction))\(", path.read_text()
        )
    }
    twins = {name for name in exported if name.endswith("Internal")}
    told = {cells[0]: cells[1] for cells in rows("## Convex", "function")}
    assert told == {name: kind for name, kind in exported.items() if name not in twins}
    assert twins == {f"{name}Internal" for name in told if name.startswith("sidecar:")}


def test_every_reason_for_which_a_call_throws_is_named() -> None:
    """The codes by which a sidecar decides."""
    codes = re.findall(r'\| "(\w+)"', (FUNCTIONS / "renderSidecar" / "lib" / "errors.ts").read_text())
    assert codes
    assert [code for code in codes if f"`{code}`" not in section("## Convex")] == []
