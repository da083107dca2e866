"""How a command finds its daemon: options, the daemon's own file, variables, the default; in this order."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from sidecar.cli.address import Address, Asked, EndpointAccess, UnusableFileError, find, parse
from tests.status.conftest import Served, free_port

from .conftest import run, sidecar
from .test_dispatch import HEAVY, MODULES


def written(folder: Path, status: str, *, rest: str = "s3: {bucket: lessons}\n") -> Path:
    """Write a configuration; return its path."""
    path = folder / "sidecar.yaml"
    path.write_text(f"{rest}status: {status}\n")
    return path


def test_an_option_goes_before_the_file_and_that_before_variables_and_default(tmp_path: Path) -> None:
    """The file is named by option or by variable; the daemon's own variables lie over it."""
    one, other = tmp_path / "one", tmp_path / "other"
    for folder in (one, other):
        folder.mkdir()
    given = written(one, "{listen: '127.0.0.1:1111'}")
    environ = {"SIDECAR_CONFIG": str(written(other, "{listen: '127.0.0.1:2222'}"))}
    assert find(Asked(url="http://127.0.0.1:3", config=given), environ).address.port == 3
    assert find(Asked(socket=Path("/run/s"), config=given), environ).address.socket == "/run/s"
    assert find(Asked(config=given), environ).address.port == 1111
    assert find(Asked(), environ).address.port == 2222
    assert find(Asked(), environ | {"SIDECAR_STATUS__LISTEN": "127.0.0.1:4"}).address.port == 4
    assert find(Asked(), {"SIDECAR_STATUS__LISTEN": "127.0.0.1:4"}).address.port == 4
    assert find(Asked(), {}).address == Address(host="127.0.0.1", port=9745)


def test_an_address_that_is_asked_for_needs_no_file_that_only_a_variable_names(tmp_path: Path) -> None:
    """A file of another container does not stand in the way of --url."""
    environ = {"SIDECAR_CONFIG": str(tmp_path / "none.yaml")}
    assert find(Asked(url="http://127.0.0.1:3"), environ).address.port == 3
    with pytest.raises(UnusableFileError, match=r"none\.yaml: cannot be read: No such file"):
        find(Asked(), environ)


ELSEWHERE = {
    "a variable that is not set": "s3: {bucket: '${NOBODY_SETS_THIS}'}\n",
    "no section that is required": "",
    "keys that nobody knows": "wacth: [{rot: 1}]\n",
    "aliases and tags": "a: &x 1\nb: *x\nc: !!binary x\n? {a: b}\n: [c, {d: e}]\n",
    "a secret that cannot be read": "s3: {secret_access_key_file: /nowhere/at/all}\n",
    "no YAML before it": "s3:\n\tbucket: x\n  - [}\n",
}


@pytest.mark.parametrize("rest", ELSEWHERE.values(), ids=ELSEWHERE.keys())
@pytest.mark.parametrize(
    "status", ["{listen: '127.0.0.1:${PORT}'}", "\n  # why\n# and\n  listen: 127.0.0.1:${PORT}"]
)
def test_a_mistake_elsewhere_does_not_matter(tmp_path: Path, rest: str, status: str) -> None:
    """Of the file the section status alone is read, with the variables in it."""
    path = written(tmp_path, status, rest=rest)
    path.write_text(path.read_text() + "logging: {level: '${NOR_THIS}', format: [\n")
    assert find(Asked(config=path), {"PORT": "77"}).address.port == 77


def test_what_comes_after_the_section_is_not_even_looked_at(tmp_path: Path) -> None:
    """A file without one means the default."""
    path = tmp_path / "sidecar.yaml"
    for text in ("", "s3: {bucket: x}\n", "- a\n", "plain", "s3: {a: b\n", "status:\n"):
        path.write_text(text)
        assert find(Asked(config=path), {}).address.port == 9745, text


MISTAKES = {
    "{listen: '${NOBODY_SETS_THIS}'}": r"sidecar\.yaml:2:18: status\.listen: .*NOBODY_SETS_THIS is not set",
    "plain": r"sidecar\.yaml:2:1: status: must hold keys",
    "{listen: [1]}": r"sidecar\.yaml:2:10: status\.listen: must be text",
    "{socket: [": r"this is no YAML",
}


@pytest.mark.parametrize("status", MISTAKES)
def test_a_mistake_in_the_section_has_its_place(tmp_path: Path, status: str) -> None:
    """As from `config check`."""
    with pytest.raises(UnusableFileError, match=MISTAKES[status]):
        find(Asked(config=written(tmp_path, status)), {})


def test_a_socket_that_may_be_used_goes_before_the_port(tmp_path: Path) -> None:
    """Where it is not there, as in another container, the port does."""
    socket = tmp_path / "s"
    path = written(tmp_path, f"{{listen: '127.0.0.1:5', socket: {socket}}}")
    assert find(Asked(config=path), {}).address.port == 5
    socket.touch()
    assert find(Asked(config=path), {}) == EndpointAccess(address=Address(socket=str(socket)))
    assert find(Asked(), {"SIDECAR_STATUS__SOCKET": str(socket)}).address.socket == str(socket)


def test_the_token_comes_from_the_file_that_the_settings_name(tmp_path: Path) -> None:
    """It is not sent to an address that was asked for besides, and told of only if it is needed."""
    token = tmp_path / "token"
    path = written(tmp_path, f"{{listen: '0.0.0.0:5', token_file: {token}}}")
    assert "No such file" in (find(Asked(config=path), {}).lacks or "")
    token.write_text("hush\n")
    assert find(Asked(config=path), {}) == EndpointAccess(
        address=Address(host="127.0.0.1", port=5), token="hush"
    )
    assert find(Asked(url="http://elsewhere:1"), {"SIDECAR_CONFIG": str(path)}).token is None
    with pytest.raises(ValueError, match="cannot be read"):
        find(Asked(config=path, token_file=tmp_path / "none"), {})


def test_any_free_port_is_no_address() -> None:
    """The default would be somebody else's."""
    with pytest.raises(ValueError, match="any free port"):
        parse("127.0.0.1:0")


async def test_every_command_takes_the_file(served: Served, tmp_path: Path) -> None:
    """Reading by the port, deciding by the token; health loads no more than YAML for it."""
    status = f"{{listen: '127.0.0.1:{served.port}', token_file: {served.token_file}}}"
    config = written(tmp_path, status, rest="s3: {bucket: '${NOBODY_SETS_THIS}'}\n")
    commands = (
        ["status"], ["explain", "a"], ["wait", "--timeout", "5s"], ["dead-letters", "list"],
        ["removal", "list"], ["dead-letters", "requeue", "--all"], ["health"],
    )  # fmt: skip
    for command in commands:
        ran = await sidecar(*command, "--json", "-c", str(config))
        assert (ran.status, ran.err) == (0, ""), command
        json.loads(ran.out)
    assert (await sidecar("status", SIDECAR_CONFIG=str(config))).status == 0
    ran = await run([sys.executable, "-c", MODULES, "health", "-c", str(config)])
    assert {name.partition(".")[0] for name in ran.err.split()} & HEAVY == set()


async def test_a_file_that_cannot_be_used_is_a_sentence(tmp_path: Path) -> None:
    """Exit status 78 for commands, 1 for health."""
    for command, status in (["status"], 78), (["wait"], 78), (["health"], 1):
        ran = await sidecar(*command, "-c", str(tmp_path / "none.yaml"))
        assert (ran.status, "cannot be read: No such file" in ran.err) == (status, True)
        assert "Traceback" not in ran.err


async def test_a_token_that_cannot_be_read_is_named_where_it_is_needed(
    served: Served, tmp_path: Path
) -> None:
    """Reading on this machine needs none."""
    token = tmp_path / "none"
    config = written(tmp_path, f"{{listen: '127.0.0.1:{served.port}', token_file: {token}}}")
    assert (await sidecar("status", "-c", str(config))).status == 0
    ran = await sidecar("dead-letters", "requeue", "--all", "-c", str(config))
    assert (ran.status, f"hint: {token} cannot be read: No such file" in ran.err) == (1, True)


async def test_nobody_there_is_told_how_to_say_where(tmp_path: Path) -> None:
    """One sentence with a hint."""
    config = written(tmp_path, f"{{listen: '127.0.0.1:{free_port()}'}}")
    ran = await sidecar("status", "-c", str(config))
    assert (ran.status, "say where it is by -c FILE or --url" in ran.err) == (1, True)
