"""The files that run the sidecar elsewhere are valid and agree with one another."""

from __future__ import annotations

import configparser
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib import metadata, resources
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from ruamel.yaml import YAML

from sidecar.core.units import parse_duration
from sidecar.settings import Settings, load

ROOT = Path(__file__).resolve().parent.parent
UNIT = ROOT / "systemd" / "render-sidecar.service"
KEYS = "/etc/sidecar-keys"
KUBERNETES = ROOT / "config" / "kubernetes"
NATIVE_SIDECARS_SINCE = "1.29"


def _yaml(text: str) -> Any:
    return YAML(typ="safe").load(text)


def _service() -> configparser.SectionProxy:
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign] # the documented way to keep the case
    parser.read_string(UNIT.read_text())
    return parser["Service"]


def _pod(manifest: str) -> Any:
    return _yaml((KUBERNETES / manifest).read_text())["spec"]["template"]["spec"]


@pytest.fixture
def pod_settings(tmp_path: Path) -> Settings:
    """Load what the ConfigMap holds, as the pods do; the key is in its place."""
    (tmp_path / "convex.pem").touch(0o600)
    text = _yaml((KUBERNETES / "configmap.yaml").read_text())["data"]["sidecar.yaml"]
    file = tmp_path / "sidecar.yaml"
    file.write_text(text.replace(KEYS, str(tmp_path)))
    names = re.findall(r"\$\{(\w+)\}", text)
    return load(file, environ={name: "https://example.com" if "URL" in name else "x" for name in names})


def _pins(file: str) -> dict[str, str]:
    lines = re.findall(r"^([a-z0-9-]+)==(\S+)", (ROOT / file).read_text(), re.MULTILINE)
    return dict(lines)


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")
def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    """No unknown directive, no value that systemd would ignore; the program is one that is here."""
    copy = tmp_path / UNIT.name
    copy.write_text(UNIT.read_text().replace("/opt/render-sidecar/bin/sidecar", sys.executable))
    verify = ["systemd-analyze", "verify", "--man=no", str(copy)]
    result = subprocess.run(verify, capture_output=True, text=True, check=False)
    about_us = [line for line in result.stderr.splitlines() if UNIT.name in line]
    assert (result.returncode, about_us) == (0, [])


def test_the_unit_lets_the_drain_end_and_refused_settings_rest() -> None:
    """Stopping waits longer than the default grace; exit status 78 is not tried again."""
    service = _service()
    shutdown = Settings.model_fields["shutdown"].get_default(call_default_factory=True)
    assert service["Type"] == "notify"
    assert parse_duration(service["WatchdogSec"]) > 0
    assert parse_duration(service["TimeoutStopSec"]) > shutdown.grace
    assert service["RestartPreventExitStatus"] == "78"


def test_the_unit_has_the_one_capability_that_leases_need() -> None:
    """CAP_LEASE and nothing else, both ambient and bounding."""
    assert _service()["AmbientCapabilities"] == _service()["CapabilityBoundingSet"] == "CAP_LEASE"


@pytest.mark.parametrize("version", [NATIVE_SIDECARS_SINCE, kubernetes_validate.latest_version()])
@pytest.mark.parametrize("manifest", ["configmap.yaml", "job.yaml", "deployment.yaml"])
def test_kubernetes_accepts_the_manifests(manifest: str, version: str) -> None:
    """Strictly by the published schemas, from the first version with native sidecars to the newest."""
    kubernetes_validate.validate(_yaml((KUBERNETES / manifest).read_text()), version, strict=True)


@pytest.mark.parametrize("manifest", ["job.yaml", "deployment.yaml"])
def test_pods_agree_with_the_settings_that_they_mount(manifest: str, pod_settings: Settings) -> None:
    """Probed where it listens, given longer than its own grace, writing where volumes are."""
    pod = _pod(manifest)
    (sidecar,) = pod["initContainers"]
    mounts = {mount["mountPath"] for mount in sidecar["volumeMounts"]}
    assert sidecar["restartPolicy"] == "Always"
    assert str(pod_settings.status.public_listen).endswith(f":{sidecar['ports'][0]['containerPort']}")
    assert pod_settings.shutdown.grace < pod["terminationGracePeriodSeconds"]
    assert str(pod_settings.watch[0].root) in mounts
    assert str(Path(pod_settings.journal.path).parent) in mounts
    assert KEYS in mounts


@pytest.mark.parametrize("manifest", ["job.yaml", "deployment.yaml"])
def test_pods_define_every_variable_of_the_settings(manifest: str) -> None:
    """A ``${NAME}`` without a value would stop the sidecar with exit status 78."""
    text = _yaml((KUBERNETES / "configmap.yaml").read_text())["data"]["sidecar.yaml"]
    given = {variable["name"] for variable in _pod(manifest)["initContainers"][0]["env"]}
    assert set(re.findall(r"\$\{(\w+)\}", text)) <= given


def test_the_renderer_and_its_sidecar_share_uid_and_folder() -> None:
    """The same uid makes leases exact without any capability."""
    for manifest in ("job.yaml", "deployment.yaml"):
        pod = _pod(manifest)
        users = {
            c.get("securityContext", {}).get("runAsUser") for c in pod["containers"] + pod["initContainers"]
        }
        assert users == {None}
        assert pod["securityContext"]["runAsUser"] == 10001


@pytest.mark.parametrize(
    ("file", "schema"),
    [
        ("config/compose.yaml", "compose-spec"),
        (".github/workflows/tests.yml", "github-workflows"),
        (".github/ISSUE_TEMPLATE/config.yml", "github-issue-config"),
        (".github/ISSUE_TEMPLATE/bug.yml", "github-issue-forms"),
        (".github/ISSUE_TEMPLATE/proposal.yml", "github-issue-forms"),
    ],
)
def test_files_for_other_programs_are_as_their_schemas_say(file: str, schema: str) -> None:
    """By those that are published for Compose and GitHub."""
    vendored = resources.files("check_jsonschema").joinpath(f"builtin_schemas/vendor/{schema}.json")
    jsonschema.validate(_yaml((ROOT / file).read_text()), json.loads(vendored.read_text()))


def test_the_inner_loop_runs_what_exists() -> None:
    """The suite does not run it: folders that were moved would be missed by nobody."""
    for script in (ROOT / ".ci").iterdir():
        assert os.access(script, os.X_OK), script
        named = re.findall(r"tests/[\w/*.]*\w", script.read_text())
        assert named
        assert [name for name in named if not list(ROOT.glob(name))] == []
    workflow = _yaml((ROOT / ".github/workflows/tests.yml").read_text())
    assert {"run": ".ci/run"} in workflow["jobs"]["tests"]["steps"]


def test_the_image_runs_without_root_and_knows_its_health() -> None:
    """A numeric user (Kubernetes can check it), a health check that needs no shell, pinned packages."""
    text = (ROOT / "Dockerfile").read_text()
    assert re.search(r"^USER \d+:\d+$", text, re.MULTILINE)
    assert re.search(r'^HEALTHCHECK .*CMD \["sidecar", "health"\]$', text, re.MULTILINE)
    assert "--require-hashes -r /build/requirements.txt" in text


@pytest.mark.parametrize("file", ["config/requirements.txt", "tests/requirements.txt"])
def test_every_pin_has_a_hash_and_no_index(file: str) -> None:
    """Any mirror serves the same bytes, so none is named."""
    text = (ROOT / file).read_text()
    requirements = text.replace("\\\n", " ").splitlines()
    pinned = [line for line in requirements if line.strip() and not line.startswith("#")]
    assert pinned
    assert all("==" in line and "--hash=sha256:" in line for line in pinned)
    assert "://" not in text


@pytest.mark.parametrize(
    ("file", "extras"), [("config/requirements.txt", ()), ("tests/requirements.txt", ("demo", "dev"))]
)
def test_the_pins_satisfy_the_bounds(file: str, extras: tuple[str, ...]) -> None:
    """A changed bound in pyproject.toml asks for new pins."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = project["dependencies"] + [
        r for extra in extras for r in project["optional-dependencies"][extra]
    ]
    requirements = [Requirement(text) for text in wanted if not text.startswith(project["name"])]
    pins = _pins(file)
    wrong = [
        str(r) for r in requirements if not r.specifier.contains(pins.get(canonicalize_name(r.name), "0"))
    ]
    assert wrong == []


def test_every_dependency_is_imported() -> None:
    """Whoever installs the daemon pays for each; tools of the tests may need what they do not name."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    code = "".join(file.read_text() for file in (ROOT / "sidecar").rglob("*.py"))
    imported = set(re.findall(r"^ *(?:from|import) (\w+)", code, re.MULTILINE))
    owners = metadata.packages_distributions()
    known = {canonicalize_name(owner) for name in imported for owner in owners.get(name, ())}
    assert {canonicalize_name(Requirement(text).name) for text in project["dependencies"]} - known == set()
