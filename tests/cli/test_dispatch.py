"""What each command loads, and how it fails."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from tests.status.conftest import Served, free_port

from .conftest import run, sidecar

HEAVY = {"typer", "click", "rich", "pydantic", "structlog", "aiohttp", "httpx", "sqlite_utils", "aioboto3"}
MODULES_MAX, COMPILED_MAX = 868, 62  # of a start
MODULES = """
import sys
from sidecar.cli import main
status = main(sys.argv[1:])
print(*sorted(name for name, module in sys.modules.items() if module), file=sys.stderr)
raise SystemExit(status)
"""

STARTED = """
import dataclasses, sys
from collections import Counter
compiled, own = Counter(), getattr(dataclasses, "_create_fn", None)  # 3.13 has none
def counted(name, *arguments, **named):
    compiled[name] += 1
    return own(name, *arguments, **named)
if own: dataclasses._create_fn = counted
from sidecar.cli import main
sys.argv = ["sidecar", "run", "--config", "/nothing/there"]
assert main() == 78
loaded = {name for name, module in sys.modules.items() if module}
print(len(loaded), sum(compiled.values()), *sorted({name.partition(".")[0] for name in loaded}))
"""

AUTHORITIES = """
import ssl
own = ssl.create_default_context().cert_store_stats()["x509_ca"]
from sidecar.cli import main
assert main(["run", "--config", "/nothing/there"]) == 78
import aiohttp, gc
contexts = [one for one in gc.get_objects() if type(one) is ssl.SSLContext]
found = str([one.cert_store_stats()["x509_ca"] for one in contexts]).replace(" ", "")
print(found, ssl.create_default_context().cert_store_stats()["x509_ca"], own)
"""

PLUGINS = """
import importlib.metadata
read = []
importlib.metadata.distributions = lambda: read.append("all") or ()
from sidecar.cli import main
main()
from pydantic.plugin._loader import get_plugins
print(list(get_plugins() or ()), read)
"""
DESCRIPTIONS = """
from sidecar.settings import Settings, json_schema
print(Settings.model_fields["preset"].description)
print(len(json_schema()["properties"]["preset"]["description"]) > 10)
"""

REPLIES = """
import sidecar.status.server
from sidecar.status.models import Model
built = [model for model in Model.__subclasses__() if model.__pydantic_complete__]
print(len(built), len(Model.__subclasses__()) > 10)
"""


async def test_health_loads_the_standard_library_alone(served: Served) -> None:
    """And answers by the daemon's own variable."""
    ran = await run(
        [sys.executable, "-c", MODULES, "health"], SIDECAR_STATUS__LISTEN=f"0.0.0.0:{served.port}"
    )
    assert (ran.status, ran.out) == (0, "ok\n")
    assert {name.partition(".")[0] for name in ran.err.split()} & HEAVY == set()
    ours = {name for name in ran.err.split() if name.startswith("sidecar")}
    assert ours == {
        "sidecar",
        "sidecar.cli",
        "sidecar.cli.health",
        "sidecar.cli.address",
        "sidecar.cli.client",
        "sidecar.streams",
    }


async def test_help_loads_nothing_that_commands_need_later() -> None:
    """That is what makes it quick; tests/bench times it."""
    ran = await run([sys.executable, "-c", MODULES, "--help"])
    assert ran.status == 0
    loaded = {name.partition(".")[0] for name in ran.err.split()}
    assert loaded & (HEAVY - {"typer", "click", "rich"}) == set()


async def test_health_fails_for_a_wedge_and_for_nobody(served: Served) -> None:
    """Exit status 1 and one sentence; other paths can be asked, too."""
    served.source.beats["loop"] = 99.0
    wedged = await sidecar("health", "--url", served.url)
    assert (wedged.status, wedged.out) == (1, "")
    assert "not healthy" in wedged.err
    ready = await sidecar("health", "--url", f"{served.url}/readyz", "--json")
    assert (ready.status, ready.json()) == (0, {"ready": True, "waiting_for": []})
    nobody = await sidecar("health", "--url", f"http://127.0.0.1:{free_port()}")
    assert nobody.status == 1
    assert "no sidecar answers" in nobody.err
    assert "Traceback" not in nobody.err


@pytest.mark.parametrize("url", ["https://x", "http://[", "127.0.0.1:notaport"])
async def test_an_address_that_cannot_be_is_a_sentence(url: str) -> None:
    """In every command that talks to the endpoint."""
    for command in ("health", "status"):
        ran = await sidecar(command, "--url", url)
        assert ran.status == 1
        assert "is no address" in ran.err
        assert "Traceback" not in ran.err


async def test_run_says_what_is_wrong_with_the_configuration(tmp_path: Path) -> None:
    """Exit status 78, every mistake, no traceback, and neither typer nor rich in the daemon."""
    config = tmp_path / "sidecar.yaml"
    config.write_text("watch: [{root: /renders}]\nbogus: 1\ns3: {bucket: 3}\n")
    ran = await run([sys.executable, "-c", MODULES, "run", "--config", str(config)])
    assert ran.status == 78
    assert "bogus" in ran.err
    assert "Traceback" not in ran.err
    loaded = {name.partition(".")[0] for name in ran.err.splitlines()[-1].split()}
    assert loaded & {"typer", "rich"} == set()


async def test_a_start_loads_few_modules_and_compiles_little() -> None:
    """What is one more here is paid at each start: a module some 0.5 ms of CPU, a method 0.2 ms."""
    ran = await run([sys.executable, "-c", STARTED])
    assert ran.status == 0, ran.err
    modules, compiled, *packages = ran.out.split()
    assert int(modules) <= MODULES_MAX
    assert int(compiled) <= COMPILED_MAX
    unneeded = {"click", "pygments", "rich", "sqlite_utils", "moto", "pytest"}
    unneeded |= {"aioboto3", "aiobotocore", "boto3", "jmespath", "s3transfer", "urllib3"}
    assert unneeded & set(packages) == set()


async def test_run_reads_no_authorities_that_nobody_asks() -> None:
    """aiohttp's own two contexts have none; a context that is made later has those of the system."""
    ran = await run([sys.executable, "-c", AUTHORITIES])
    assert ran.status == 0, ran.err
    defaults, later, own = ran.out.split()
    assert defaults == "[0,0]"
    assert later == own


async def test_no_plugins_are_looked_for_among_all_that_is_installed() -> None:
    """pydantic would read the metadata of every package at each start."""
    ran = await run([sys.executable, "-c", PLUGINS, "version"])
    assert (ran.status, ran.out.splitlines()[-1]) == (0, "[] []")


async def test_descriptions_of_keys_are_read_once_somebody_asks() -> None:
    """Reading and parsing our own sources at each start would take a tenth of it."""
    ran = await run([sys.executable, "-c", DESCRIPTIONS])
    assert ran.out.splitlines() == ["None", "True"], ran.err


async def test_replies_that_nobody_asks_for_are_not_built() -> None:
    """Each of the endpoint's models is built by its first use: a short job asks for one or two."""
    ran = await run([sys.executable, "-c", REPLIES])
    assert ran.out.split() == ["0", "True"], ran.err


async def test_commands_without_a_daemon_say_so() -> None:
    """One sentence with a hint, exit status 1."""
    listen = f"127.0.0.1:{free_port()}"
    commands = (["status"], ["explain", "a"], ["wait", "--timeout", "1s"], ["dead-letters", "list"])
    for command in commands:
        ran = await sidecar(*command, SIDECAR_STATUS__LISTEN=listen)
        assert (ran.status, ran.out) == (1, "")
        assert ran.err.startswith(f"sidecar: no sidecar answers at {listen}")
        assert "hint: start it with `sidecar run" in ran.err


async def test_something_else_on_the_port_is_not_taken_for_a_sidecar() -> None:
    """It answers HTML, garbage, or hangs up."""
    answers = [b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n<p/>", b"SSH-2.0-x\r\n", b""]

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answers.pop())
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        while answers:
            ran = await sidecar("status", "--url", url)
            assert ran.status == 1
            assert ran.err.startswith("sidecar: ")
            assert "Traceback" not in ran.err


async def test_usage_is_2_and_the_version_is_told() -> None:
    """A wrong command or option is neither a failure nor done."""
    for arguments in ([], ["nosuch"], ["status", "--nosuch"], ["run", "--nosuch"], ["health", "x"]):
        assert (await sidecar(*arguments)).status == 2
    assert (await sidecar("--version")).out == (await sidecar("version")).out
    assert set((await sidecar("version", "--json")).json()) == {"version"}
    listed = (await sidecar("--help")).out
    for command in (
        "run",
        "dev",
        "demo",
        "wait",
        "status",
        "explain",
        "dead-letters",
        "config",
        "convex",
        "health",
    ):
        assert f"  {command} " in listed
