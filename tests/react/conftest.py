"""A project with the functions, the React package as a front end has it, and the compilers of both."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from sidecar.local.convex_modules import Node, find_node, modules_folder
from sidecar.local.convex_server import assemble
from sidecar.sync.install import REACT, install_react

HERE = Path(__file__).parent


class Project:
    """A folder with `convex`, `react` and `tests`, and the programs that work on it."""

    def __init__(self, folder: Path, node: Node) -> None:
        """Use what is there."""
        self.folder, self._node = folder, node

    def run(self, program: str, *arguments: str) -> str:
        """Run a program of node_modules, offline; return what it printed. It must succeed."""
        binary = self.folder / "node_modules" / program
        command = [self._node.binary, str(binary), *arguments]
        return self._output(command)

    def run_node(self, *arguments: str) -> str:
        """Run Node itself."""
        return self._output([self._node.binary, *arguments])

    def bundle(self, entry: str, *, platform: str = "browser") -> Path:
        """Bundle a module and what it imports; return the file."""
        target = self.folder / "out" / f"{Path(entry).name}.mjs"
        flags = ["--bundle", "--format=esm", "--log-level=warning", "--jsx=automatic", f"--outfile={target}"]
        self.run("esbuild/bin/esbuild", entry, f"--platform={platform}", *flags)
        return target

    def _output(self, command: list[str]) -> str:
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Installed as a user installs it."""
    folder, node = tmp_path_factory.mktemp("front-end"), find_node()
    assemble(folder, modules_folder(node=node, with_development=True))
    install_react(folder / "react")
    for name in ("src", "convex"):
        shutil.copytree(REACT / "example" / name, folder / "example" / name)
    install_react(folder / "example" / "src" / "sidecar")
    (folder / "tests").mkdir()
    for path in HERE.glob("*.ts*"):
        shutil.copy(path, folder / "tests")
    config = json.loads((HERE.parents[1] / "sidecar" / "react" / "tsconfig.json").read_text())
    config["include"] = ["react/**/*", "example/**/*", "tests/types.test-d.ts", "tests/*.tsx"]
    (folder / "tsconfig.json").write_text(json.dumps(config))
    return Project(folder, node)
