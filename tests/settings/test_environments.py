"""What ``environment`` sets, and that whatever is written wins."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from sidecar.core.errors import FatalError
from sidecar.library.reading import Reading
from sidecar.settings import SettingsError, from_mapping, load, masked
from sidecar.settings.environments import PRESETS
from sidecar.upload.s3.endpoint import S3Config, require_https

BARE: dict[str, Any] = {
    "watch": [{"root": "/renders"}],
    "s3": {"bucket": "lessons"},
    "convex": {"sync": "off"},
}
CONTRACT = Path(__file__).parent.parent.parent / "sidecar" / "CONTRACT.md"
HTTP = "http://minio.local:9000"


def effective(name: str | None, **changes: Any) -> dict[str, Any]:
    """Return what is in effect, by dotted keys of at most two parts."""
    shown = masked(from_mapping({**BARE, **({"environment": name} if name else {}), **changes}))
    flat = {key: value for key, value in shown.items() if not isinstance(value, dict)}
    return flat | {
        f"{section}.{key}": value
        for section, values in shown.items()
        if isinstance(values, dict)
        for key, value in values.items()
    }


def test_each_environment_sets_what_the_contract_says() -> None:
    """The table of CONTRACT.md, and no key besides."""
    table = CONTRACT.read_text().partition("\n**Environments.**")[2].partition("\n\n**")[0]
    rows = re.findall(r"^\| `([\w.]+)` \| (\w+) \| (\w+) \| (\w+) \| (\w+) \|$", table, re.MULTILINE)
    told = {key: values for key, *values in rows}
    found = [effective(name) for name in (*PRESETS, None)]
    differing = {key for key in found[0] if len({str(one[key]) for one in found}) > 1} - {"environment"}
    assert differing == set(told)
    assert {key: [str(one[key]).lower() for one in found] for key in told} == {
        key: [value.replace("60s", "1m") for value in values] for key, values in told.items()
    }


def test_what_is_written_wins() -> None:
    """Key by key: the rest of its section stays as the environment says."""
    found = effective("development", logging={"level": "warning"}, shutdown={"grace": "1m"})
    assert (found["logging.level"], found["logging.format"]) == ("warning", "console")
    assert found["shutdown.grace"] == "1m"


def test_a_variable_wins_as_well(tmp_path: Path) -> None:
    """And may name the environment."""
    file = tmp_path / "sidecar.yaml"
    file.write_text("watch: [{root: /renders}]\ns3: {bucket: lessons}\nconvex: {sync: 'off'}\n")
    environ = {"SIDECAR_ENVIRONMENT": "production", "SIDECAR_LOGGING__LEVEL": "error"}
    settings = load(file, environ=environ)
    assert settings.https_only
    assert (settings.logging.level, settings.logging.format) == ("error", "json")


@pytest.mark.parametrize(
    ("sections", "key"),
    [
        ({"s3": {"bucket": "lessons", "endpoint_url": HTTP}}, "s3.endpoint_url"),
        ({"s3": {"bucket": "lessons", "public_base_url": "http://cdn.example.com"}}, "s3.public_base_url"),
        ({"convex": {"url": "http://convex.example.com"}}, "convex.url"),
    ],
)
def test_https_only_refuses_every_other_address(sections: dict[str, Any], key: str) -> None:
    """At the key, unless somebody says that http is fine."""
    with pytest.raises(SettingsError, match=f"{key}: is not https, as environment: production says"):
        from_mapping({**BARE, "environment": "production", **sections})
    other = {**BARE, "environment": "production", "https_only": False, **sections}
    try:
        from_mapping(other)
    except SettingsError as error:
        assert "https_only" not in str(error)  # noqa: PT017 - other mistakes may be there


def test_an_address_of_the_environment_is_refused_as_well() -> None:
    """AWS_ENDPOINT_URL is read when the daemon starts."""
    require_https(S3Config(bucket="lessons", region="us-east-1"))
    with pytest.raises(FatalError, match="not https") as refused:
        require_https(S3Config(bucket="lessons", region="us-east-1", endpoint_url=HTTP))
    assert refused.value.exit_status == 78


def test_another_word_is_a_mistake() -> None:
    """Said at its key."""
    with pytest.raises(SettingsError, match=r"\benvironment: "):
        from_mapping({**BARE, "environment": "prod"})


async def test_a_program_asks_no_store_over_http_either(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library reads AWS's variables as the daemon does."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", HTTP)
    reading = Reading(from_mapping({**BARE, "https_only": True}))
    with pytest.raises(FatalError, match="not https"):
        await reading.config()
