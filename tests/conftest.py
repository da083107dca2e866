from __future__ import annotations

import gc
import logging
import os
import secrets
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
import structlog
from botocore.loaders import JSONFileLoader
from hypothesis import settings

from sidecar.local.seaweed import SeaweedServer

from .support import authorities, spread


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let exhaustive runs be asked for; the default run takes seeded samples."""
    parser.addoption("--faults", choices=("sample", "all"), default="sample", help="network faults to inject")
    parser.addoption("--lines", choices=("one", "all"), default="one", help="thin lines to the store")
    parser.addoption("--crash", choices=("sample", "all"), default="sample", help="crash points to take")
    parser.addoption("--kills", type=int, default=60, help="how many kills of the real daemon to sample")
    parser.addoption("--library-assets", type=int, default=0, help="assets of killed programs")
    parser.addoption("--browser", action="store_true", help="play in Debian's Chromium, too")
    parser.addoption(
        "--celery", action="store_true", help="a Celery worker that is killed, with a Redis broker"
    )
    parser.addoption("--s3", help="S3 server instead of moto: URL,KEY,SECRET or rgw")
    parser.addoption("--seed", type=int, default=1, help="of what is sampled")


def pytest_configure() -> None:
    """Let processes that tests start keep what they compile, whatever the environment says.

    Hundreds of daemons are started; each would compile everything again, which doubles what a start costs.
    """
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ.setdefault("GOMAXPROCS", "1")  # each worker's SeaweedFS: a sixth less CPU than with two,
    os.environ.setdefault("GOGC", "400")  # and a sixth less again where it collects its garbage less often
    os.environ.setdefault("GOMEMLIMIT", "1GiB")  # while it is small
    # Reading what botocore knows of S3 costs 0.1 s, and hundreds of clients are made: read it once.
    read = cache(JSONFileLoader().load_file)
    JSONFileLoader.load_file = lambda _, path: read(path)
    authorities.trust_one()
    settings.register_profile("untimed", deadline=None)  # a busy machine is no bug
    settings.load_profile("untimed")


def pytest_collection_finish() -> None:
    """Set aside what was collected: it stays to the end, and each full collection would walk it again."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> spread.Spread | None:
    """Spread what is dear over the workers, where nothing else was asked for."""
    return spread.Spread(config, log) if config.getoption("dist") == "loadfile" else None


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what took long, where that is asked for."""
    most = terminalreporter.config.getoption("durations")
    reports = [one for some in terminalreporter.stats.values() for one in some]
    if most is not None and reports:
        terminalreporter.write_sep("=", "seconds of files and workers")
        known = [one for one in reports if isinstance(one, pytest.TestReport)]
        terminalreporter.write_line("\n".join(spread.told(known, most=most)))


@pytest.fixture(scope="session")
def seaweed() -> Iterator[SeaweedServer]:
    """Start one real S3 server for the whole run; tests take buckets of their own."""
    with SeaweedServer() as server:
        yield server


@pytest.fixture
def bucket(seaweed: SeaweedServer) -> str:
    """Make a bucket of the test's own."""
    name = f"test-{secrets.token_hex(6)}"
    seaweed.client().create_bucket(Bucket=name)
    return name


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    """Undo what a test that runs the daemon in this process did to logging: the next one may count lines."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)
