"""Give names that the field knows: rename.py TREE [--keep-types] [--no-patches]

TREE is a checkout with ``.venv`` (mypy, ruff). Reads ``names.txt`` (identifiers and modules, by meaning) and ``texts.txt``
(what people read) beside this script. Changes the tree in place: sidecar/**.py, tests/**.py, the documents, tests/teeth/*.patch.
"""

from __future__ import annotations

import ast
import difflib
import json
import re
import shutil
import subprocess
import sys
import tempfile
import tokenize
import io
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import fstrings  # noqa: E402
from engine import File, Map, Module, Project, apply, bound_names, FUNCTIONS, WORD  # noqa: E402

DOCUMENTS = ("sidecar/ARCHITECTURE.md", ".github/CONTRIBUTING.md", "tests/README.md", "sidecar/CONTRACT.md")
OTHER = ("pyproject.toml", "README.md", "CHANGELOG.md")
DOTTED = re.compile(rf"{WORD}(?:\.{WORD})*")
PY = re.compile(r"(?<![\w.])(?:[\w.-]+/)*\w+\.py\b")


def sources(tree: Path) -> list[str]:
    done = subprocess.run(["git", "ls-files", "sidecar/**.py", "tests/**.py", "sidecar/*.py", "tests/*.py"], cwd=tree, capture_output=True, text=True, check=True)
    return sorted({p for p in done.stdout.split() if (tree / p).exists()})


def resolve_types(tree: Path, keep: bool) -> dict:
    out = HERE / f"types-{tree.name}.json"
    if not (keep and out.exists()):
        cache = HERE / "cache"
        cache.mkdir(exist_ok=True)
        python = tree / ".venv/bin/python"
        subprocess.run([python, HERE / "types_of.py", tree, out, cache], check=True)
    return json.loads(out.read_text())


def position(node: ast.AST) -> str:
    was = getattr(node, "was", None) or (node.lineno, node.col_offset, node.end_lineno, node.end_col_offset)
    return ":".join(map(str, was))


class Texts:
    """``texts.txt``: blocks of ``@ file pattern``, then ``old => new`` lines, exact text."""

    def __init__(self, path: Path) -> None:
        self.rules: list[tuple[str, str, str]] = []
        self.used: set[int] = set()
        self.words: list[tuple[re.Pattern[str], str]] = []
        where = ""
        for line in path.read_text().split("\n") if path.exists() else ():
            if line.startswith("@ "):
                where = line[2:].strip()
            elif line.startswith("~ "):
                old, _, new = line[2:].partition(" => ")
                self.words.append((re.compile(rf"(?<![\w`]){re.escape(old)}(?![\w`])"), new))
            elif " => " in line and not line.startswith("#"):
                old, _, new = line.partition(" => ")
                self.rules.append((where, old.replace("\\n", "\n"), new.replace("\\n", "\n")))

    def apply(self, path: str, text: str) -> str:
        import fnmatch

        for index, (where, old, new) in enumerate(self.rules):
            if any(fnmatch.fnmatchcase(path, one) for one in where.split()):
                if old.startswith("re:"):
                    changed = re.sub(old[3:], new, text)
                else:
                    changed = text.replace(old, new)
                if changed != text:
                    self.used.add(index)
                text = changed
        return text


LIST = re.compile(r"^(\s*(?:[-*] |\d+\. )?)")


def wrapped(old: str, new: str, width: int) -> str:
    """Wrap again the paragraphs of a document of which a line became too long."""
    import textwrap

    before = set(old.split("\n"))
    out: list[str] = []
    lines = new.split("\n")
    at, fenced = 0, False
    while at < len(lines):
        line = lines[at]
        fenced ^= line.startswith("```")
        if fenced or not line.strip() or line.lstrip().startswith(("|", "#", "```")) or line.startswith("    ") and not LIST.match(line)[1].strip():
            out.append(line)
            at += 1
            continue
        end = at + 1  # a paragraph: up to an empty line, a list's next item, a table
        while end < len(lines) and lines[end].strip() and not re.match(r"\s*([-*] |\d+\. |\||#|```)", lines[end]):
            end += 1
        paragraph = lines[at:end]
        if any(len(one) > width and one not in before for one in paragraph):
            first = LIST.match(line)[1]
            rest = LIST.match(paragraph[1])[1] if len(paragraph) > 1 else " " * len(first)
            text = " ".join(one.strip() for one in paragraph)[len(first.strip()) :].strip()
            paragraph = textwrap.wrap(text, width, initial_indent=first, subsequent_indent=rest, break_long_words=False, break_on_hyphens=False)
        out += paragraph
        at = end
    return "\n".join(out)


def wrapped_docstrings(text: str, width: int = 110) -> str:
    """Wrap again what became too long in docstrings and comments of a Python file."""
    import textwrap

    lines = text.split("\n")
    if all(len(line) <= width for line in lines):
        return text
    spans: list[tuple[int, int]] = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.Module, ast.ClassDef, *FUNCTIONS)) and node.body:
            first = node.body[0]
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
                spans.append((first.lineno - 1, first.end_lineno))
    for begin, end in sorted(spans, reverse=True):
        block = lines[begin:end]
        if all(len(line) <= width for line in block):
            continue
        indent = " " * (len(block[0]) - len(block[0].lstrip()))
        paragraphs = "\n".join(block).strip().removeprefix('"""').removesuffix('"""').split("\n\n")
        if len(paragraphs) == 1 and "\n" not in paragraphs[0].strip():
            text_ = paragraphs[0].strip()
            halves = re.split(r"(?<=[.:;]) ", text_, maxsplit=1)
            head = halves[0] if len(halves) > 1 and len(halves[0]) < width - 8 else None
            if head is None:
                continue  # one sentence that is too long: a rule of texts.txt shortens it
            head = head.rstrip(":;")
            head += "" if head.endswith(".") else "."
            body = textwrap.wrap(halves[1][:1].upper() + halves[1][1:], width, initial_indent=indent, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
            lines[begin:end] = [f'{indent}"""{head}', "", *body, f'{indent}"""']
            continue
        made: list[str] = []
        for number, paragraph in enumerate(paragraphs):
            rows = paragraph.split("\n")
            if any(len(row) + (len(indent) + 3 if number == 0 and row is rows[0] else 0) > width for row in rows):
                rows = textwrap.wrap(" ".join(row.strip() for row in rows), width, initial_indent=indent if number else indent + '"""', subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
            elif number == 0:
                rows[0] = indent + '"""' + rows[0].strip()
            made += [*([""] if number else []), *[row.rstrip() for row in rows]]
        while made and not made[-1].strip():
            made.pop()
        if block[-1].strip() == '"""' or len(made) > 1:
            made.append(f'{indent}"""')
        else:
            made[-1] += '"""'
        lines[begin:end] = made
    return "\n".join(lines)


class Prose:
    """Names in comments, docstrings and documents."""

    def __init__(self, project: Project, words: list[tuple[re.Pattern[str], str]]) -> None:
        self.p, self.words = project, words
        self.classes: dict[str, set[str | None]] = defaultdict(set)
        self.names: dict[str, set[str | None]] = defaultdict(set)
        self.class_of: dict[str, list[str]] = defaultdict(list)
        for module in project.modules.values():
            for name in module.classes:
                full = f"{module.name}.{name}"
                new = project.new_symbol(full)
                self.classes[name].add(new)
                self.names[name].add(new)
                self.class_of[name].append(full)
                for attribute in project.attributes[full]:
                    self.names[attribute].add(project.member(f"{full}.{attribute}"))
            for name in module.functions:
                if "." not in name:
                    self.names[name].add(project.new_symbol(f"{module.name}.{name}"))
        self.tails: dict[str, list[str]] = defaultdict(list)
        for path in project.paths:
            parts = path.split("/")
            for index in range(len(parts)):
                self.tails["/".join(parts[index:])].append(path)

    def path(self, found: str, at: str) -> str:
        old = found if found in self.p.paths else None
        if old is None:
            near = [p for p in self.tails.get(found, ()) if p == f"{at.rpartition('/')[0]}/{found}"]
            shipped = [p for p in self.tails.get(found, ()) if p == f"sidecar/{found}"]
            everywhere = self.tails.get(found, [])
            old = (near or shipped or (everywhere if len(everywhere) == 1 else [None]))[0]
        if old is None:
            return found
        new = self.p.new_path(old)
        return new[len(old) - len(found) :] if new != old else found

    def dotted(self, text: str, module: Module | None, scopes: list, *, loose: bool) -> str:
        parts = text.split(".")
        head = parts[0]
        new_head, cls = None, None
        known = False
        if module is not None:
            for kind, qualified, bound, _ in reversed(scopes):
                if kind == "function" and head in bound:
                    new_head, known = self.p.rename(f"{qualified}:{head}"), True
                    break
                if kind == "class":
                    owner = self.p.owner(qualified, head)
                    if owner:
                        new_head, known = self.p.member(owner), True
                        break
            if not known and head in module.bound:
                full = self.p.follow(module.bound[head])
                if full.rpartition(".")[2] == head:
                    new_head, known = self.p.new_symbol(full), True
                    cls = full if self.p.class_of(full) else None
        if not known and (loose or len(parts) > 1):
            if len(self.class_of.get(head, ())) == 1:
                cls = self.class_of[head][0]
                new_head, known = self.p.new_symbol(cls), True
            elif len(parts) == 1 and len(self.names.get(head, ())) == 1 and ("_" in head or head[:1].isupper()):
                new_head, known = next(iter(self.names[head])), True
        if cls is None and len(parts) > 1 and len(self.class_of.get(head, ())) == 1:
            cls = self.class_of[head][0]
        out = [new_head or head]
        if len(parts) > 1:
            second = None
            if cls:
                owner = self.p.owner(cls, parts[1])
                second = self.p.member(owner) if owner else None
            out.append(second or parts[1])
            out += parts[2:]
        if head in ("sidecar", "tests"):
            return File(self.p, module, None, None).new_dotted(text) if module else text
        return ".".join(out)

    def line(self, text: str, tick: str, at: str, module: Module | None, scopes: list) -> str:
        text = PY.sub(lambda m: self.path(m[0], at), text)
        pieces = re.split(rf"({tick}[^`]+{tick})", text)
        for index, piece in enumerate(pieces):
            if piece.startswith(tick) and piece.endswith(tick) and len(piece) > 2 * len(tick):
                inner = piece.strip("`")
                if ".py" in piece or "/" in piece or "=" in piece and module is None or (" " in inner and "(" not in inner):
                    continue  # a path, a key, a command
                pieces[index] = DOTTED.sub(lambda m: self.dotted(m[0], module, scopes, loose=True), piece)
            else:
                piece = re.sub(rf"\b[A-Z]\w+\.{WORD}", lambda m: self.dotted(m[0], module, scopes, loose=False), piece)
                piece = re.sub(r"\b(?:[A-Z][a-z0-9]+){2,}\b", lambda m: self.camel(m[0]), piece)
                piece = re.sub(r"\b(?:sidecar|tests)(?:\.\w+)+", lambda m: self.module_path(m[0]), piece)
                for word, new in self.words:
                    piece = word.sub(new, piece)
                pieces[index] = piece
        return "".join(pieces)

    def module_path(self, text: str) -> str:
        return File(self.p, next(iter(self.p.modules.values())), None, None).new_dotted(text)

    def camel(self, word: str) -> str:
        news = self.classes.get(word, set())
        return next(iter(news)) or word if len(news) == 1 else word


def scopes_at(file: File, line: int) -> list:
    found, size = [], 1 << 30
    for begin, end, scopes in file.spans:
        if begin <= line <= end and end - begin <= size:
            found, size = scopes, end - begin
    return found


def prose_edits(file: File, prose: Prose) -> None:
    """Comments and docstrings of a Python file."""
    text = file.m.text
    spots: list[tuple[int, int, int]] = []  # line, from, to (characters)
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT and "noqa" not in token.string.split(" - ")[0][:8]:
            spots.append((token.start[0], token.start[1], token.end[1]))
    lines = text.split("\n")
    for node in ast.walk(file.m.tree):
        if isinstance(node, (ast.Module, ast.ClassDef, *FUNCTIONS)) and node.body:
            first = node.body[0]
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
                for line in range(first.lineno, first.end_lineno + 1):
                    spots.append((line, 0, len(lines[line - 1])))
    for line, begin, end in spots:
        piece = lines[line - 1][begin:end]
        scopes = scopes_at(file, line)
        # a function's docstring begins inside its span; a class's own members count for it
        new = prose.line(piece, "``", file.m.path, file.m, scopes)
        if new != piece:
            column = len(lines[line - 1][:begin].encode())
            file.edits[line, column] = (piece, new)


class Transformer:
    def __init__(self, tree: Path, types: dict, rename: Map) -> None:
        self.tree = tree
        files = sources(tree)
        self.p = Project(tree, files, types, rename)
        for module in self.p.modules.values():
            for problem in fstrings.mend(module.tree, module.lines):
                print("f-string", module.path, problem)
        self.texts = Texts(HERE / "texts.txt")
        self.prose = Prose(self.p, self.texts.words)
        self.members, self.first = types["members"], types["first"]
        self.problems: list[str] = []
        self._by_text: dict[str, dict[str, set]] = {}
        self.owners: dict[str, set[str]] = defaultdict(set)
        for cls, names in self.p.attributes.items():
            for name in names:
                self.owners[name].add(f"{cls}.{name}")

    def python(self, path: str) -> str:
        module = self.p.paths[path]
        known, first = self.members.get(path, {}), self.first.get(path, {})
        file = File(self.p, module, lambda n: known.get(position(n), []), lambda n: first.get(position(n), []))
        return self.finish(file, path)

    def finish(self, file: File, path: str) -> str:
        file.run()
        prose_edits(file, self.prose)
        self.problems += file.problems
        text = apply(file.m.lines, file.edits)
        return wrapped_docstrings(self.texts.apply(path, text))

    def by_text(self, path: str) -> dict[str, set]:
        """What each attribute expression of a file means, by its source."""
        if path not in self._by_text:
            known = self.members.get(path, {})
            table: dict[str, set] = defaultdict(set)
            for node in ast.walk(self.p.paths[path].tree):
                if isinstance(node, ast.Attribute):
                    table[ast.unparse(node)].add(tuple(known.get(position(node), ())))
            self._by_text[path] = table
        return self._by_text[path]

    def patched(self, path: str, text: str, label: str) -> str:
        """The same for a file with a seeded bug in it."""
        base = self.p.paths[path]
        module = Module(base.name, path, text)
        fstrings.mend(module.tree, module.lines)
        lines: dict[int, int] = {}
        old, new = base.text.split("\n"), text.split("\n")
        for tag, i1, i2, j1, _ in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
            if tag == "equal":
                for k in range(i2 - i1):
                    lines[j1 + k + 1] = i1 + k + 1
        known, first, table = self.members.get(path, {}), self.first.get(path, {}), self.by_text(path)

        def moved(node):
            was = getattr(node, "was", None) or (node.lineno, node.col_offset, node.end_lineno, node.end_col_offset)
            if was[0] in lines and was[2] in lines:
                return f"{lines[was[0]]}:{was[1]}:{lines[was[2]]}:{was[3]}"
            return None

        def members(node):
            key = moved(node)
            if key in known:
                return known[key]
            if key is not None:
                return []
            found = table.get(ast.unparse(node))
            if found and len(found) == 1:
                return list(next(iter(found)))
            symbols = self.owners.get(node.attr, set())
            news = {self.p.member(one) for one in symbols}
            if len(news) == 1:
                return sorted(symbols)[:1]
            if news:
                self.problems.append(f"{label}: {path}: {ast.unparse(node)} may be {news}")
            return []

        file = File(self.p, module, members, lambda n: first.get(moved(n) or "", []))
        return self.finish(file, path)

    def document(self, path: str, text: str) -> str:
        if path.endswith(".md"):
            out = "\n".join(self.prose.line(line, "`", path, None, []) for line in text.split("\n"))
            return wrapped(text, self.texts.apply(path, out), 120)
        return self.texts.apply(path, text)


def ruff(tree: Path, text: str, path: str) -> str:
    """Format as the tree is formatted."""
    tool = tree / ".venv/bin/ruff"
    sorted_ = subprocess.run([tool, "check", "--fix", "--quiet", "--select", "I001,RUF022", "--exit-zero", "--stdin-filename", path, "-"], cwd=tree, input=text, capture_output=True, text=True, check=True).stdout
    return subprocess.run([tool, "format", "--quiet", "--stdin-filename", path, "-"], cwd=tree, input=sorted_, capture_output=True, text=True, check=True).stdout


HEAD = re.compile(r"^(?:diff |--- )", re.M)


def merged(folder: Path, formatted: str, plain: str, patched: str) -> str | None:
    """The formatted file with what the bug changes, line by line; None where the formatter laid those lines out anew."""
    names = []
    for name, text in (("ours", formatted), ("base", plain), ("theirs", patched)):
        (folder / name).write_text(text)
        names.append(str(folder / name))
    done = subprocess.run(["git", "merge-file", "-p", "-q", *names], capture_output=True, text=True, check=False)
    return done.stdout if done.returncode == 0 else None


def carry(job: Transformer, tree: Path, final: dict[str, str], plain: dict[str, str], patch: Path) -> tuple[Path, str, list[str]]:
    text = patch.read_text()
    preamble, body = text[: HEAD.search(text).start()], text[HEAD.search(text).start() :]
    files = re.findall(r"^\+\+\+ b/(\S+)", text, re.M)
    notes: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        d = Path(folder)
        for f in files:
            (d / "w" / f).parent.mkdir(parents=True, exist_ok=True)
            (d / "w" / f).write_text(job.p.paths[f].text if f in job.p.paths else (tree / f).read_text())
        done = subprocess.run(["git", "apply", "--whitespace=nowarn", str(patch.resolve())], cwd=d / "w", capture_output=True, text=True, check=False)
        if done.returncode:
            return patch, "", [f"{patch.name}: does not apply: {done.stderr.strip()[:200]}"]
        for f in files:
            to = job.p.new_path(f) if f in job.p.paths else f
            for side in "ab":
                (d / side / to).parent.mkdir(parents=True, exist_ok=True)
            changed = (d / "w" / f).read_text()
            if f in job.p.paths:
                (d / "a" / to).write_text(final[to])
                new = job.patched(f, changed, patch.name)
                (d / "b" / to).write_text(merged(d, final[to], plain[f], new) or ruff(tree, new, to))
            else:
                (d / "a" / to).write_text(job.texts.apply(f, (tree / f).read_text()) if False else changed_base(tree, f))
                (d / "b" / to).write_text(changed)
        diff = subprocess.run(["git", "diff", "--no-index", "-U2", "--no-prefix", "a", "b"], cwd=d, capture_output=True, text=True, check=False).stdout
        if not re.search(r"^index ", body, re.M):
            diff = re.sub(r"^index .*\n", "", diff, flags=re.M)
        if not re.search(r"^@@ [^@]* @@ \S", body, re.M):
            diff = re.sub(r"^(@@ [^@]* @@).*$", r"\1", diff, flags=re.M)
        before, after = counts(body), counts(diff)
        if before != after:
            notes.append(f"{patch.name}: {before} changed lines became {after}")
        new_text = job.texts.apply(f"tests/teeth/{patch.name}", "\n".join(job.prose.line(line, "`", "", None, []) for line in preamble.split("\n"))) + diff
        check = d / "check.patch"
        check.write_text(new_text)
        done = subprocess.run(["git", "apply", "--check", "-p1", str(check)], cwd=d / "a", capture_output=True, text=True, check=False)
        if done.returncode:
            notes.append(f"{patch.name}: carried, and does not apply: {done.stderr.strip()[:200]}")
        return patch, new_text, notes


def changed_base(tree: Path, f: str) -> str:
    return (tree / f).read_text()


def counts(diff: str) -> tuple[int, int]:
    lines = diff.split("\n")
    return (
        sum(line.startswith("-") and not line.startswith("---") for line in lines),
        sum(line.startswith("+") and not line.startswith("+++") for line in lines),
    )


def clashes(project: Project) -> list[str]:
    """New names that stand for something else already."""
    found = []
    for module in project.modules.values():
        news = {name: project.new_symbol(project.follow(full)) if project.follow(full).rpartition(".")[2] == name else None for name, full in module.bound.items()}
        after = [new or name for name, new in news.items()]
        for name, new in news.items():
            if new and new != name and after.count(new) > 1:
                found.append(f"{module.path}: global {name} -> {new}, which is there")
    for cls, names in project.attributes.items():
        everything = {n for one in project.mro(cls) for n in project.attributes.get(one, ())}
        news = {n: project.member(project.owner(cls, n)) for n in everything}
        after = [new or name for name, new in news.items()]
        for name in names:
            if news.get(name) and news[name] != name and after.count(news[name]) > 1:
                found.append(f"{cls}: member {name} -> {news[name]}, which is there")
    return found


def main() -> None:
    arguments = [a for a in sys.argv[1:] if not a.startswith("--")]
    flags = {a for a in sys.argv[1:] if a.startswith("--")}
    tree = Path(arguments[0]).resolve()
    rename = Map(HERE / "names.txt")
    job = Transformer(tree, resolve_types(tree, "--keep-types" in flags), rename)
    new = {path: job.python(path) for path in job.p.paths}
    job.problems += clashes(job.p)
    places = [job.p.new_path(path) for path in new]
    assert len(set(places)) == len(places), [p for p in places if places.count(p) > 1]
    documents = {p: job.document(p, (tree / p).read_text()) for p in (*DOCUMENTS, *OTHER) if (tree / p).exists()}
    patches = sorted((tree / "tests/teeth").glob("*.patch"))
    if "--dry" not in flags:
        for path, text in new.items():
            to = job.p.new_path(path)
            if to != path:
                subprocess.run(["git", "mv", path, to], cwd=tree, check=True)
            (tree / to).write_text(text)
        for path, text in documents.items():
            (tree / path).write_text(text)
        tool = tree / ".venv/bin/ruff"
        subprocess.run([tool, "check", "--fix", "--quiet", "--select", "I001,RUF022", "--exit-zero", "."], cwd=tree, check=True)
        subprocess.run([tool, "format", "--quiet", "."], cwd=tree, check=True)
        if "--no-patches" not in flags:
            final = {job.p.new_path(p): (tree / job.p.new_path(p)).read_text() for p in new}
            with ThreadPoolExecutor(2) as pool:
                carried = list(pool.map(lambda one: carry(job, tree, final, new, one), patches))
            for patch, text, notes in carried:
                for note in notes:
                    print("patch:", note)
                if text:
                    patch.write_text(text)
            print(len([c for c in carried if c[1]]), "of", len(patches), "seeded bugs carried")
    for problem in dict.fromkeys(job.problems):
        print("problem:", problem)
    for symbol in sorted((set(rename.exact) | {p for p, _ in rename.patterns}) - rename.used - set(job.p.packages)):
        if not symbol.startswith("call:"):
            print("unused:", symbol)
    for index, rule in enumerate(job.texts.rules):
        if index not in job.texts.used:
            print("unused text:", rule[0], "|", rule[1])


if __name__ == "__main__":
    main()
