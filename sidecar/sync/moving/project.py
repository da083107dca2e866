"""What a migration writes into an application's ``convex`` folder: three sets of files, each deployed once.

Before, the functions write tables of the application. While rows are moved, the functions that front ends
read are as they were, and every call of a sidecar is refused. Afterwards the functions write the component.
While a set is written, the module that refuses sidecars stays to the last: whoever died goes on from it.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from sidecar.sync import install_files
from sidecar.sync.install_files import COMPONENT, Kind, Wanted, stamped

from . import kept
from .refusing import HELD, refusing_sidecars, refusing_writes

BACKUP = "sidecarBefore.json"  # Convex deploys no JSON
STEPS = "sidecarMigration.ts"
_FORMER_MODULE = "sidecar"
_FORMER_WRITERS = Path("sidecarLib/apply.ts")
_CONFIG = "convex.config.ts"
# What an application writes by, of before and in the folder of the wrappers.
_FORMER_OWN = ("sidecarLib/deletion.ts",)
_OWN = ("application.ts", "scenes.ts", "sessions.ts")


class Home(StrEnum):
    """Where the rows are."""

    APPLICATION = "application"
    COMPONENT = "component"


class MigrationError(Exception):
    """It did not go on; the text says why and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """An application's ``convex`` folder; ``module`` is where the component's wrappers are to be."""

    into: Path
    module: str = install_files.MODULE

    @property
    def home(self) -> Home:
        """Where the functions of this folder have their rows. Raises MigrationError where there are none."""
        if install_files.is_stamped(self.into / _FORMER_WRITERS):
            return Home.APPLICATION
        if (self.into / COMPONENT / "schema.ts").exists():
            return Home.COMPONENT
        raise MigrationError(
            f"{self.into} has no functions of the sidecar: `sidecar convex install` writes them"
        )

    @property
    def called(self) -> str:
        """The module that sidecars call: while one refuses them it, whatever else is there already."""
        if (held := self._held_file()) is not None:
            return held.stem
        return _FORMER_MODULE if self.home is Home.APPLICATION else self.module

    @property
    def is_held(self) -> bool:
        """Tell whether its functions refuse every sidecar."""
        return self._held_file() is not None

    def _held_file(self) -> Path | None:
        ours = (path for path in sorted(self.into.glob("*.ts")) if path.name != STEPS)
        held = (path for path in ours if HELD in path.read_text(encoding="utf-8", errors="replace"))
        return next(filter(install_files.is_stamped, held), None)

    @property
    def has_steps(self) -> bool:
        """Tell whether the functions that move rows are there."""
        return (self.into / STEPS).exists()

    def hold(self) -> None:
        """Write the functions that refuse sidecars, and those that move rows.

        Raises MigrationError, before anything is written, for what is in the way.
        """
        home, module = self.home, self.into / f"{self.called}.ts"
        if not install_files.is_stamped(module):
            raise MigrationError(
                f"{module} is not there: name the module of the sidecar's functions (--module)"
            )
        steps = self._steps()
        wanted = install_files.wanted(self.into, self.module) if home is Home.APPLICATION else []
        self._require_room([steps, *wanted])
        if home is Home.APPLICATION and not self.is_held:
            self._require_untouched()
            self._require_replaceable()
            self._back_up()
        elif home is Home.COMPONENT:
            self._require_restorable()
        else:
            self._backup()
        for one in [steps, *filter(self._is_components, wanted)]:
            _write_wanted(one)
        _write(module, stamped(refusing_sidecars(module.read_text(encoding="utf-8"))))
        self._hold_own(home)

    def _hold_own(self, home: Home) -> None:
        """What the application writes would be lost, too; from the texts as they were, however often."""
        if home is Home.APPLICATION:
            former = self._backup()
            names = [name for name in _FORMER_OWN if name in former]
            texts = {self.into / name: former[name].split("\n", 1)[1] for name in names}
        else:
            own = {self.into / self.module / name for name in _OWN}
            wanted = install_files.wanted(self.into, self.module)
            texts = {one.target: one.text for one in wanted if one.target in own}
        for path, text in texts.items():
            if path.exists():
                _write(path, stamped(refusing_writes(text)))

    def switch(self, to: Home) -> None:
        """Write the functions of one side, the file that sidecars call last."""
        if to is Home.COMPONENT:
            self._install()
        else:
            self._restore()

    def finish(self) -> None:
        """Forget what only a way back needed, once it was taken."""
        for name in (STEPS, BACKUP):
            (self.into / name).unlink(missing_ok=True)

    # -- the component -----------------------------------------------------------------------------
    def _is_components(self, one: Wanted) -> bool:
        return one.target.relative_to(self.into).parts[0] in (COMPONENT, _CONFIG)

    def _steps(self) -> Wanted:
        text = (Path(__file__).parent / STEPS).read_text(encoding="utf-8")
        return Wanted(target=self.into / STEPS, text=text, kind=Kind.OURS)

    def _require_room(self, wanted: list[Wanted]) -> None:
        config = self.into / _CONFIG
        if config.exists() and COMPONENT not in config.read_text(encoding="utf-8", errors="replace"):
            raise MigrationError(
                f"{config} is yours and does not use the component yet: add\n"
                f'    import {COMPONENT} from "./{COMPONENT}/convex.config";\n    app.use({COMPONENT});'
            )
        ours = (one for one in wanted if one.kind is Kind.OURS)
        if taken := [path for one in ours for path in install_files.foreign(one.target)]:
            raise MigrationError(
                f"{taken[0]} is not the sidecar's, which never overwrites it: give it another name"
            )

    def _install(self) -> None:
        held = self._held_file()
        self._keep()
        wanted = install_files.wanted(self.into, self.module)
        targets = {one.target for one in wanted}
        for path in install_files.obsolete(self.into, {*targets, self.into / STEPS, held or self.into}):
            path.unlink()
        last = self.into / f"{self.module}.ts"
        for one in sorted(wanted, key=lambda one: one.target == last):
            _write_wanted(one)
        if held is not None and held not in targets:
            held.unlink()

    def _keep(self) -> None:
        """The application's schema goes on with the tables, and its files with names, as files of its own."""
        former = self._backup()
        stand_ins = kept.bridges(former, self.module)
        needed = {one.name for one in kept.users_imports(self.into)}
        texts = {name: text for name, text in stand_ins.items() if name in needed} | kept.tables(former)
        for name, text in texts.items():
            _write(self.into / name, text)

    def _require_replaceable(self) -> None:
        """No file of the user's may need what goes."""
        former = self._texts()
        goes = set(former) - set(kept.bridges(former, self.module)) - set(kept.tables(former))
        goes -= {self._name(one.target) for one in install_files.wanted(self.into, self.module)}
        for one in kept.users_imports(self.into):
            if one.name in goes:
                raise MigrationError(
                    f"{one.by} imports {one.name}, which goes with the migration: take that out first"
                    f" (afterwards {self.module}/application.ts has ensureSession, ensureScene, deleteScene)"
                )

    # -- the way back ------------------------------------------------------------------------------
    def _former_files(self) -> list[Path]:
        paths = [*self.into.glob("*.ts"), *(self.into / "sidecarLib").rglob("*.ts")]
        return [path for path in sorted(paths) if install_files.is_stamped(path) and path.name != STEPS]

    def _require_untouched(self) -> None:
        ours = install_files.obsolete(self.into, {self.into / STEPS})
        for path in ours:
            if path.relative_to(self.into).parts[0] != COMPONENT and install_files.is_changed(path):
                raise MigrationError(f"{path} was edited, and would be replaced: move your changes elsewhere")

    def _require_restorable(self) -> None:
        """The files of before must find their places as the migration left them."""
        former = self._backup()
        if not self.is_held:
            self._require_untouched()
        left = kept.bridges(former, self.module) | kept.tables(former)
        for name in former:
            for path in install_files.foreign(self.into / name):
                if self._name(path) != name or path.read_text(encoding="utf-8") != left.get(name):
                    raise MigrationError(
                        f"{path} is yours now, and {name} of before goes there: move it away first"
                    )

    def _name(self, path: Path) -> str:
        return path.relative_to(self.into).as_posix()

    def _texts(self) -> dict[str, str]:
        return {self._name(path): path.read_text(encoding="utf-8") for path in self._former_files()}

    def _back_up(self) -> None:
        _write(self.into / BACKUP, json.dumps(self._texts(), indent=1))

    def _backup(self) -> dict[str, str]:
        """Return the files of before by name. Raises MigrationError."""
        path = self.into / BACKUP
        if not path.exists():
            raise MigrationError(f"there is no way back: {path} is not there")
        texts: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
        return texts

    def _restore(self) -> None:
        held = self._held_file()
        texts = {self.into / name: text for name, text in self._backup().items()}
        last = self.into / f"{_FORMER_MODULE}.ts"
        for path in texts.keys() - {last}:
            _write(path, texts[path])
        self._remove_wrappers({*texts, held or last})
        _write(last, texts[last])
        if held is not None and held != last:
            held.unlink()

    def _remove_wrappers(self, kept: set[Path]) -> None:
        """All but the component itself, which keeps its rows."""
        for path in install_files.obsolete(self.into, kept | {self.into / STEPS}):
            if path.relative_to(self.into).parts[0] != COMPONENT:
                path.unlink()


def _write_wanted(one: Wanted) -> None:
    taken = next(install_files.foreign(one.target), None) is not None
    if one.kind is Kind.USERS and (one.target.exists() or one.target.with_suffix(".js").exists()):
        return
    if one.kind in (Kind.ALIAS, Kind.GENERATED) and taken:
        return
    _write(one.target, one.text if one.kind is Kind.USERS else stamped(one.text))


def _write(path: Path, text: str) -> None:
    """Whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.part")
    beside.write_text(text, encoding="utf-8")
    os.replace(beside, path)  # noqa: PTH105 - as everywhere in this code
