"""A daemon for each test, as the end-to-end tests have it."""

from __future__ import annotations

from tests.e2e.conftest import convex_server, system

__all__ = ["convex_server", "system"]
