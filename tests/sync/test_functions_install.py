"""`sidecar convex install`: safe to run again, and again after an upgrade."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from sidecar.cli.convex import app
from sidecar.core.ops import CONTRACT_VERSION
from sidecar.sync import install_files
from sidecar.sync.install import Action, InstallError, describe, install, require_project
from sidecar.sync.install_files import FUNCTIONS, stamped


def fates(results: list[tuple[Path, Action]]) -> dict[str, Action]:
    """Return each file's fate by its place in the folder."""
    into = next(path.parent for path, _ in results if path.stem == "sidecarAccess")
    return {path.relative_to(into).as_posix(): action for path, action in results}


def test_a_first_install_writes_everything(tmp_path: Path) -> None:
    """The folder may not even exist; the variables are told, and that the schema stays as it is."""
    results = install(tmp_path / "app/convex")
    assert set(fates(results).values()) == {Action.WRITTEN}
    assert (tmp_path / "app/convex/renderSidecar/lib/apply.ts").is_file()
    told = "\n".join(describe(results))
    assert "Nothing is to be added to your schema" in told
    assert "app.use" not in told
    assert "SIDECAR_JWKS_DATA_URI" in told


def test_a_second_install_changes_nothing(tmp_path: Path) -> None:
    """Not even a time stamp."""
    install(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.ts")}
    assert set(fates(install(tmp_path)).values()) == {Action.UNCHANGED, Action.KEPT}
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.ts")} == before


def test_an_upgrade_replaces_untouched_files(tmp_path: Path) -> None:
    """A file of an older version, exactly as it was written, makes way; an obsolete one goes."""
    install(tmp_path)
    (tmp_path / "scenes.ts").write_text(stamped("export const old = 1;\n"))
    (tmp_path / "renderSidecar/lib/gone.ts").write_text(stamped("export const gone = 1;\n"))
    results = fates(install(tmp_path))
    assert (results["scenes.ts"], results["renderSidecar/lib/gone.ts"]) == (Action.UPDATED, Action.REMOVED)
    assert not (tmp_path / "renderSidecar/lib/gone.ts").exists()


def test_an_edited_file_is_never_lost_by_accident(tmp_path: Path) -> None:
    """Nothing at all is written, the file is named, and --force is the way: the file is ours."""
    install(tmp_path)
    scenes = tmp_path / "scenes.ts"
    scenes.write_text(scenes.read_text() + "// mine\n")
    (tmp_path / "assets.ts").unlink()
    with pytest.raises(InstallError, match=r"(?s)scenes\.ts.*--force"):
        install(tmp_path)
    assert not (tmp_path / "assets.ts").exists()
    results = fates(install(tmp_path, force=True))
    assert (results["scenes.ts"], results["assets.ts"]) == (Action.UPDATED, Action.WRITTEN)


def test_an_edited_file_that_is_no_longer_needed_is_named_and_goes_by_force(tmp_path: Path) -> None:
    """It would be deployed with the rest, and break its types; a file of the user's beside it stays."""
    install(tmp_path)
    gone, mine = tmp_path / "renderSidecar/lib/gone.ts", tmp_path / "renderSidecar/lib/mine.ts"
    gone.write_text(stamped("export const gone = 1;\n") + "// mine\n")
    mine.write_text("export const mine = 1;\n")
    with pytest.raises(InstallError, match=r"(?s)gone\.ts.*--force"):
        install(tmp_path)
    assert gone.exists()
    assert fates(install(tmp_path, force=True))["renderSidecar/lib/gone.ts"] is Action.REMOVED
    assert (gone.exists(), mine.exists()) == (False, True)


@pytest.mark.parametrize("force", [False, True], ids=["plainly", "with --force"])
@pytest.mark.parametrize(
    "name",
    [
        "sidecar.ts",
        "sidecar.js",
        "sidecar/scenes.tsx",
        "renderSidecar/lib/apply.ts",
        "renderSidecar/schema.mjs",
    ],
)
def test_a_file_that_is_not_ours_is_never_overwritten(tmp_path: Path, name: str, *, force: bool) -> None:
    """Nor is a module written beside one of the same name: nothing is written, and the file is named."""
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text("export const mine = 1;\n")
    with pytest.raises(InstallError, match=name.replace(".", r"\.")):
        install(tmp_path, force=force)
    assert (tmp_path / name).read_text() == "export const mine = 1;\n"
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [tmp_path / name]


@pytest.mark.parametrize("force", [False, True], ids=["plainly", "with --force"])
@pytest.mark.parametrize("kind", ["a folder", "a link to nowhere", "the library is a file"])
def test_whatever_else_is_in_a_files_place_stays(tmp_path: Path, kind: str, *, force: bool) -> None:
    """One sentence, not a traceback in the middle of an installation."""
    place = tmp_path / ("renderSidecar" if kind == "the library is a file" else "sidecar.ts")
    match kind:
        case "a folder":
            place.mkdir()
        case "a link to nowhere":
            place.symlink_to(tmp_path / "away.ts")
        case _:
            place.write_text("mine")
    with pytest.raises(InstallError, match=place.name):
        install(tmp_path, force=force)
    assert list(tmp_path.iterdir()) == [place]


@pytest.mark.parametrize("force", [False, True], ids=["plainly", "with --force"])
@pytest.mark.parametrize("name", ["scenes.ts", "scenes.js"])
def test_an_application_keeps_its_own_scenes(tmp_path: Path, name: str, *, force: bool) -> None:
    """The contract's names are only other names: it is said by which the sidecar's queries are called."""
    (tmp_path / name).write_text("export const mine = 1;\n")
    results = install(tmp_path, force=force)
    assert fates(results)[name] is Action.KEPT
    assert [path.name for path in tmp_path.glob("scenes.*")] == [name]
    assert (tmp_path / name).read_text() == "export const mine = 1;\n"
    assert (tmp_path / "sidecar/scenes.ts").is_file()
    told = "\n".join(describe(results))
    assert "`sidecar/scenes`" in told
    assert "`sidecar/assets`" not in told


@pytest.mark.parametrize("name", ["convex.config.ts", "convex.config.js"])
def test_a_convex_config_of_the_application_is_kept(tmp_path: Path, name: str) -> None:
    """The two lines to add are printed, until they are there."""
    config = tmp_path / name
    config.write_text("export default defineApp();\n")
    results = install(tmp_path, force=True)
    assert [path.name for path in tmp_path.glob("convex.config.*")] == [name]
    assert config.read_text() == "export default defineApp();\n"
    assert "    app.use(renderSidecar);" in describe(results)
    config.write_text("app.use(renderSidecar);")
    assert "    app.use(renderSidecar);" not in describe(install(tmp_path))


def test_what_convex_has_generated_in_the_component_stays(tmp_path: Path) -> None:
    """Its codegen writes these files at every push; our own make way for those of an upgrade."""
    install(tmp_path)
    api, server = (tmp_path / f"renderSidecar/_generated/{name}.ts" for name in ("api", "server"))
    api.write_text("// THIS CODE IS AUTOMATICALLY GENERATED.\n")
    server.write_text(stamped("export const old = 1;\n"))
    results = dict(install(tmp_path))
    assert (results[api], results[server]) == (Action.GENERATED, Action.UPDATED)
    assert api.read_text() == "// THIS CODE IS AUTOMATICALLY GENERATED.\n"


def test_the_wrappers_may_have_another_name(tmp_path: Path) -> None:
    """A file and a folder of the application called `sidecar` are not in the way; the setting is named."""
    (tmp_path / "sidecar.ts").write_text("export const mine = 1;\n")
    (tmp_path / "sidecar").mkdir()
    results = install(tmp_path, module="media")
    assert list((tmp_path / "sidecar").iterdir()) == []
    assert 'from "./media/component"' in (tmp_path / "media.ts").read_text()
    assert 'from "./media/scenes"' in (tmp_path / "scenes.ts").read_text()
    assert 'from "./media/rules"' in (tmp_path / "sidecarAccess.ts").read_text()
    assert "convex.module: media" in "\n".join(describe(results, module="media"))
    moved = fates(install(tmp_path, module="video"))
    assert (moved["media.ts"], moved["media/callers.ts"]) == (Action.REMOVED, Action.REMOVED)
    assert (tmp_path / "sidecar.ts").read_text() == "export const mine = 1;\n"


@pytest.mark.parametrize("name", ["renderSidecar", "scenes", "a/b", "", "1st", "sidecarAccess"])
def test_a_module_is_a_name_that_is_free(tmp_path: Path, name: str) -> None:
    """Nothing is written by any other."""
    with pytest.raises(InstallError, match="cannot be the module"):
        install(tmp_path, module=name)
    assert list(tmp_path.iterdir()) == []


def test_an_installation_of_the_version_before_is_left_alone(tmp_path: Path) -> None:
    """Its tables hold what was told; one sentence says that it goes on working."""
    (tmp_path / "sidecarTables.ts").write_text(stamped("export const sidecarTables = {};\n"))
    with pytest.raises(InstallError, match=r"sidecarTables\.ts.*goes on working"):
        install(tmp_path, force=True)
    assert [path.name for path in tmp_path.iterdir()] == ["sidecarTables.ts"]


@pytest.mark.parametrize(("version", "is_enough"), [("1.30.9", False), ("1.31.0", True), ("2.0.0", True)])
def test_a_convex_that_is_too_old_is_said_in_one_sentence(
    tmp_path: Path, version: str, *, is_enough: bool
) -> None:
    """The functions name tables to ctx.db, which older ones do not take."""
    package = tmp_path / "node_modules/convex/package.json"
    package.parent.mkdir(parents=True)
    package.write_text(f'{{"version": "{version}"}}')
    if is_enough:
        install(tmp_path / "convex")
        return
    with pytest.raises(InstallError, match=r"need convex 1\.31\.0 or newer, and your project has 1\.30\.9"):
        install(tmp_path / "convex")
    assert not (tmp_path / "convex").exists()


def test_a_file_whose_lines_end_otherwise_is_not_edited(tmp_path: Path) -> None:
    """Git on Windows rewrites the ends of lines."""
    install(tmp_path)
    scenes = tmp_path / "scenes.ts"
    scenes.write_bytes(scenes.read_bytes().replace(b"\n", b"\r\n"))
    install(tmp_path)


def test_files_of_a_newer_contract_are_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An old sidecar does not take functions back that newer sidecars need."""
    monkeypatch.setattr(install_files, "CONTRACT_VERSION", CONTRACT_VERSION + 1)
    install(tmp_path)
    monkeypatch.undo()
    with pytest.raises(InstallError, match="newer"):
        install(tmp_path)


@pytest.mark.parametrize("force", [False, True])
def test_what_belongs_to_the_user_is_never_touched(tmp_path: Path, *, force: bool) -> None:
    """Also with --force; a JavaScript auth.config counts; the provider to add is printed."""
    (tmp_path / "sidecarAccess.ts").write_text("// my rule\n")
    (tmp_path / "auth.config.js").write_text("// my providers\n")
    results = install(tmp_path, force=force)
    assert fates(results)["sidecarAccess.ts"] is Action.KEPT
    assert (tmp_path / "sidecarAccess.ts").read_text() == "// my rule\n"
    assert not (tmp_path / "auth.config.ts").exists()
    assert 'type: "customJwt"' in "\n".join(describe(results))


def test_rules_that_an_older_file_lacks_are_named(tmp_path: Path) -> None:
    """It is not touched; one that has them all is not spoken of."""
    (tmp_path / "sidecarAccess.ts").write_text("export const keysOf = 1; // canReadAsset is not mine\n")
    told = "\n".join(describe(install(tmp_path)))
    assert "does not have yet: ownsSession, roleOf, urlsOf." in told
    (tmp_path / "sidecarAccess.ts").write_text((FUNCTIONS / "sidecarAccess.ts").read_text())
    assert "does not have yet" not in "\n".join(describe(install(tmp_path)))


def test_a_provider_that_is_there_is_not_asked_for(tmp_path: Path) -> None:
    """Our own auth.config.ts needs no advice."""
    install(tmp_path)
    assert "customJwt" not in "\n".join(describe(install(tmp_path)))


def test_a_file_in_place_of_the_folder_is_one_sentence(tmp_path: Path) -> None:
    """Not a traceback."""
    (tmp_path / "convex").write_text("")
    with pytest.raises(InstallError, match="not a folder"):
        install(tmp_path / "convex")


def test_the_contract_is_one_number() -> None:
    """Python's and TypeScript's are the same."""
    shapes = (FUNCTIONS / "renderSidecar/lib/shapes.ts").read_text()
    assert f"CONTRACT_VERSION = {CONTRACT_VERSION};" in shapes


PROJECTS = {
    "schema.ts": "convex/schema.ts",
    "generated code": "convex/_generated/api.js",
    "convex.json": "convex.json",
    "package.json": "package.json",
}


@pytest.mark.parametrize("name", PROJECTS.values(), ids=PROJECTS.keys())
def test_a_convex_project_is_known_by_its_files(tmp_path: Path, name: str) -> None:
    """By what lies in the folder, or in the project around it, as with convex.json's own folders."""
    for into in (tmp_path / "convex", tmp_path / "src/convex"):
        with pytest.raises(InstallError, match="--create"):
            require_project(into)
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text('{"devDependencies": {"convex": "^1.39"}}')
    require_project(tmp_path / "convex")
    if "/" not in name:
        require_project(tmp_path / "src/convex")


@pytest.mark.parametrize(
    "text", ["", "[]", '{"dependencies": null}', '{"dependencies": {"convexity": "1"}}', "\xff"]
)
def test_another_package_is_no_convex_project(tmp_path: Path, text: str) -> None:
    """Whatever its package.json says, or fails to say; and nothing was written."""
    (tmp_path / "package.json").write_text(text, encoding="latin-1")
    result = CliRunner().invoke(app, ["install", "--into", str(tmp_path / "convex")])
    assert (result.exit_code, "belongs to no Convex project" in result.output) == (1, True)
    assert not (tmp_path / "convex").exists()
    made = CliRunner().invoke(app, ["install", "--into", str(tmp_path / "convex"), "--create"])
    assert (made.exit_code, (tmp_path / "convex/sidecar.ts").is_file()) == (0, True)
