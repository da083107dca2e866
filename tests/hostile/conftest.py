"""A daemon for each test, as the end-to-end tests have it."""

from __future__ import annotations

import pytest

from tests.e2e.conftest import convex_server, system

__all__ = ["convex_server", "system"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--flood=full`` makes the floods as large as the promise says."""
    parser.addoption("--flood", choices=("small", "full"), default="small")
