from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture
def environ(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """An environment that says nothing of proxies, certificates or AWS, and has no instance to ask."""
    for name in list(os.environ):
        if (
            name.lower().endswith("_proxy")
            or name.startswith(("AWS_", "SSL_CERT_"))
            or name.endswith("_CA_BUNDLE")
        ):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return monkeypatch
