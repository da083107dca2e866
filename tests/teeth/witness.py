"""A pytest plugin that writes down what became of each test, and of what kind each failure was."""

from __future__ import annotations

import json
import os
from collections.abc import Generator
from pathlib import Path

import pytest

import sidecar

REPORT = "TEETH_REPORT"


def pytest_configure(config: pytest.Config) -> None:
    """Make sure that the copy is judged, not what is installed."""
    under_test = Path(sidecar.__file__).resolve().parent.parent
    if under_test != config.rootpath.resolve():
        raise pytest.UsageError(f"the tests are of {config.rootpath}, the product is of {under_test}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Write one line for each test that was called, and for each that was not because its setup failed."""
    report = yield
    if report.when == "call" or report.outcome != "passed":
        told = {
            "test": item.nodeid,
            "when": report.when,
            "outcome": report.outcome,
            "errors": _kinds(call.excinfo.value) if call.excinfo else [],
            "text": str(call.excinfo.value) if call.excinfo else "",
        }
        with Path(os.environ[REPORT]).open("a") as file:
            file.write(f"{json.dumps(told)}\n")
    return report


def _kinds(error: BaseException) -> list[str]:
    """Return the names of an error's classes, of the members where it is a group."""
    if isinstance(error, BaseExceptionGroup):
        return [kind for inner in error.exceptions for kind in _kinds(inner)]
    return [type(error).__name__]
