"""Renames by meaning: which name each token of a tree stands for, and the edits that a map asks for."""

from __future__ import annotations

import ast
import builtins
import fnmatch
import io
import re
import tokenize
from collections import defaultdict
from pathlib import Path

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
WORD = r"[A-Za-z_][A-Za-z0-9_]*"


class Map:
    """``names.txt``: symbols (exact or by pattern), modules, files; ``texts.txt``: what people read."""

    def __init__(self, path: Path) -> None:
        self.exact: dict[str, str] = {}
        self.patterns: list[tuple[str, str]] = []
        for number, raw in enumerate(path.read_text().splitlines(), 1):
            line = raw.split("#")[0].strip()
            if not line:
                continue
            old, arrow, new = line.partition("->")
            if not arrow:
                raise SystemExit(f"{path}:{number}: no arrow")
            for one in old.split():
                new_ = new.strip()
                if "*" in one:
                    self.patterns.append((one, new_))
                else:
                    self.exact[one] = new_
        self.cache: dict[str, str | None] = {}
        self.used: set[str] = set()
        self._by_tail: dict[str, list[tuple[str, str]]] = defaultdict(list)
        for pattern, new in self.patterns:
            self._by_tail[re.split(r"[.:]", pattern)[-1]].append((pattern, new))

    def __call__(self, symbol: str) -> str | None:
        if symbol not in self.cache:
            self.cache[symbol] = self._find(symbol)
        return self.cache[symbol]

    def _find(self, symbol: str) -> str | None:
        if symbol in self.exact:
            self.used.add(symbol)
            return self.exact[symbol]
        tail = re.split(r"[.:]", symbol)[-1]
        for pattern, new in self._by_tail.get(tail, ()):
            if fnmatch.fnmatchcase(symbol, pattern):
                self.used.add(pattern)
                return new
        return None


class Module:
    """One file: its names, classes and functions."""

    def __init__(self, name: str, path: str, text: str) -> None:
        self.name, self.path, self.text = name, path, text
        self.is_package = path.endswith("__init__.py")
        self.tree = ast.parse(text)
        self.lines = text.encode().split(b"\n")
        self.bound: dict[str, str] = {}  # name in the module's scope -> fullname
        self.classes: dict[str, ast.ClassDef] = {}  # qualified name in the module
        self.functions: dict[str, ast.AST] = {}
        self._bind(self.tree.body)

    def absolute(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        parts = self.name.split(".")
        if not self.is_package:
            parts = parts[:-1]
        parts = parts[: len(parts) - node.level + 1]
        return ".".join(parts + ([node.module] if node.module else []))

    def _bind(self, body: list[ast.stmt]) -> None:
        todo: list[ast.AST] = list(body)
        while todo:
            node = todo.pop(0)
            if isinstance(node, ast.Import):
                for alias in node.names:
                    if alias.asname:
                        self.bound[alias.asname] = alias.name
                    else:
                        self.bound[alias.name.split(".")[0]] = alias.name.split(".")[0]
            elif isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    self.bound[alias.asname or alias.name] = f"{self.absolute(node)}.{alias.name}"
            elif isinstance(node, ast.ClassDef):
                self.bound[node.name] = f"{self.name}.{node.name}"
                self._classes(node, node.name)
            elif isinstance(node, FUNCTIONS):
                self.bound[node.name] = f"{self.name}.{node.name}"
                self.functions[node.name] = node
            else:
                for child in ast.walk(node):
                    if isinstance(child, ast.Name) and isinstance(child.ctx, ast.Store):
                        self.bound.setdefault(child.id, f"{self.name}.{child.id}")
                    elif isinstance(child, (ast.Import, ast.ImportFrom, ast.ClassDef, *FUNCTIONS)) and child is not node:
                        todo.append(child)

    def _classes(self, node: ast.ClassDef, name: str) -> None:
        self.classes[name] = node
        for child in node.body:
            if isinstance(child, ast.ClassDef):
                self._classes(child, f"{name}.{child.name}")
            elif isinstance(child, FUNCTIONS):
                self.functions[f"{name}.{child.name}"] = child


class Project:
    """All modules of a tree, and what mypy says of attributes."""

    def __init__(self, root: Path, files: list[str], types: dict, rename: Map) -> None:
        self.root, self.rename, self.types = root, rename, types
        self.modules: dict[str, Module] = {}
        self.paths: dict[str, Module] = {}
        for path in files:
            module = Module(module_name(path), path, (root / path).read_text())
            self.modules[module.name] = self.paths[path] = module
        self.packages = {n.rpartition(".")[0] for n in self.modules} | set(self.modules)
        self._mro: dict[str, list[str]] = {}
        self.attributes: dict[str, set[str]] = {}
        for module in self.modules.values():
            for name, node in module.classes.items():
                self.attributes[f"{module.name}.{name}"] = own_attributes(node)
        self._member: dict[str, str | None] = {}
        self.fixtures: dict[str, set[str | None]] = defaultdict(set)
        for m in self.modules.values():
            for n in m.tree.body:
                if isinstance(n, FUNCTIONS) and any("fixture" in ast.unparse(d) for d in n.decorator_list):
                    self.fixtures[n.name].add(rename(f"{m.name}.{n.name}"))
        self.unresolved: list[str] = []

    def follow(self, full: str, seen: int = 0) -> str:
        """Follow what a name was imported as to where it was defined."""
        if full in self.modules or seen > 8:
            return full
        head, _, tail = full.rpartition(".")
        module = self.modules.get(head)
        if module is not None:
            target = module.bound.get(tail)
            if target and target != full:
                return self.follow(target, seen + 1)
            return full
        if head:
            known = self.follow(head, seen + 1)
            if known != head:
                return f"{known}.{tail}"
        return full

    def class_of(self, full: str) -> tuple[Module, ast.ClassDef] | None:
        parts = full.split(".")
        for cut in range(len(parts) - 1, 0, -1):
            module = self.modules.get(".".join(parts[:cut]))
            if module is not None:
                node = module.classes.get(".".join(parts[cut:]))
                return (module, node) if node is not None else None
        return None

    def mro(self, full: str, depth: int = 0) -> list[str]:
        if full not in self._mro:
            found = self.class_of(full)
            order = [full]
            if found and depth < 12:
                module, node = found
                for base in node.bases:
                    if isinstance(base, ast.Subscript):
                        base = base.value
                    name = dotted(base)
                    if name:
                        order += self.mro(self.resolve_dotted(module, name), depth + 1)
            self._mro[full] = list(dict.fromkeys(order))
        return self._mro[full]

    def resolve_dotted(self, module: Module, name: str) -> str:
        head, _, rest = name.partition(".")
        full = module.bound.get(head, f"{module.name}.{head}")
        return self.follow(f"{full}.{rest}" if rest else full)

    def owner(self, cls: str, attribute: str) -> str | None:
        """The class, first in the MRO, that has an attribute."""
        for one in self.mro(cls):
            if attribute in self.attributes.get(one, ()):
                return f"{one}.{attribute}"
        return None

    def member(self, symbol: str) -> str | None:
        """The new name of ``class.attribute``: its own, or one of what it overrides."""
        if symbol not in self._member:
            cls, _, name = symbol.rpartition(".")
            new = None
            protected = name.startswith("__")
            if not protected:
                for one in self.mro(cls):
                    if one == cls or name in self.attributes.get(one, ()):
                        if self.is_public_model(one) and f"{one}.{name}" not in self.rename.exact:
                            continue
                        new = self.rename(f"{one}.{name}")
                        if new:
                            break
            self._member[symbol] = new
        return self._member[symbol]

    def is_public_model(self, cls: str) -> bool:
        return any(b in ("pydantic.BaseModel", "sidecar.status.models.Model") or b.endswith(".Section") for b in self.mro(cls))

    def new_module(self, name: str) -> str:
        """The new dotted name of a module."""
        parts = name.split(".")
        new = self.rename.exact.get(name)
        if new is None and len(parts) > 3 and name in self.modules:  # it moved into a folder meanwhile
            new = self.rename.exact.get(".".join([*parts[:2], parts[-1]]))
        head = name.rpartition(".")[0]
        if new and name in self.packages:
            return f"{head}.{new}" if head else new
        return name

    def new_path(self, path: str) -> str:
        name = module_name(path)
        new = self.new_module(name)
        if new == name:
            return path
        if path.endswith("__init__.py"):
            return new.replace(".", "/") + "/__init__.py"
        return new.replace(".", "/") + ".py"

    def new_symbol(self, full: str) -> str | None:
        """The new last component of a followed fullname: module, global or member."""
        if full in self.modules or full in self.packages:
            new = self.new_module(full)
            return None if new == full else new.rpartition(".")[2]
        head = full.rpartition(".")[0]
        if self.class_of(head):
            return self.member(full)
        if head in self.modules:
            return self.rename(full)
        return None


def module_name(path: str) -> str:
    name = path[:-3].replace("/", ".")
    return name.removesuffix(".__init__")


def dotted(node: ast.AST) -> str | None:
    parts = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if isinstance(node, ast.Name):
        return ".".join([node.id, *reversed(parts)])
    return None


def own_attributes(node: ast.ClassDef) -> set[str]:
    found = set()
    for child in node.body:
        if isinstance(child, (*FUNCTIONS, ast.ClassDef)):
            found.add(child.name)
            if isinstance(child, FUNCTIONS):
                first = child.args.args[0].arg if child.args.args else None
                for part in ast.walk(child):
                    if isinstance(part, ast.Attribute) and isinstance(part.ctx, ast.Store) and isinstance(part.value, ast.Name) and part.value.id == first:
                        found.add(part.attr)
        elif isinstance(child, ast.AnnAssign) and isinstance(child.target, ast.Name):
            found.add(child.target.id)
        elif isinstance(child, ast.Assign):
            for target in child.targets:
                for part in ast.walk(target):
                    if isinstance(part, ast.Name):
                        found.add(part.id)
    return found


def bound_names(node: ast.AST) -> set[str]:
    """What a function binds itself, comprehensions and lambdas included, inner functions and classes not."""
    names: set[str] = set()
    outer: set[str] = set()
    arguments = node.args
    for one in [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]:
        if one is not None:
            names.add(one.arg)
    todo = list(node.body)
    while todo:
        child = todo.pop()
        if isinstance(child, (*FUNCTIONS, ast.ClassDef)):
            names.add(child.name)
            todo += child.decorator_list
            if isinstance(child, FUNCTIONS):
                todo += [d for d in [*child.args.defaults, *child.args.kw_defaults] if d]
            continue
        if isinstance(child, (ast.Global, ast.Nonlocal)):
            outer |= set(child.names)
        elif isinstance(child, ast.Name) and isinstance(child.ctx, (ast.Store, ast.Del)):
            names.add(child.id)
        elif isinstance(child, ast.ExceptHandler) and child.name:
            names.add(child.name)
        elif isinstance(child, (ast.MatchAs, ast.MatchStar)) and child.name:
            names.add(child.name)
        elif isinstance(child, ast.MatchMapping) and child.rest:
            names.add(child.rest)
        elif isinstance(child, ast.Lambda):
            a = child.args
            for one in [*a.posonlyargs, *a.args, *a.kwonlyargs, a.vararg, a.kwarg]:
                if one is not None:
                    names.add(one.arg)
        elif isinstance(child, (ast.Import, ast.ImportFrom)):
            for alias in child.names:
                names.add(alias.asname or alias.name.split(".")[0])
        todo += ast.iter_child_nodes(child)
    return names - outer


class File:
    """The edits of one file. ``members(node)`` says what mypy knows of an attribute."""

    def __init__(self, project: Project, module: Module, members, first) -> None:
        self.p, self.m, self.members, self.first = project, module, members, first
        self.edits: dict[tuple[int, int], tuple[str, str]] = {}
        self.problems: list[str] = []
        self.scopes: list[tuple[str, str, set[str], dict[str, str]]] = []  # kind, qualified name, bound, local imports
        self.doc_scopes: list[tuple[ast.Constant, list]] = []
        self.spans: list[tuple[int, int, list]] = []

    # -- edits
    def edit(self, line: int, column: int, old: str, new: str | None) -> None:
        if not new or new == old:
            return
        raw = self.m.lines[line - 1][column : column + len(old.encode())]
        if raw.decode() != old:
            self.problems.append(f"{self.m.path}:{line}: found {raw!r} for {old}")
            return
        have = self.edits.get((line, column))
        if have and have[1] != new:
            self.problems.append(f"{self.m.path}:{line}: {old} -> {have[1]} and {new}")
        self.edits[line, column] = (old, new)

    def find_word(self, node_line: int, column: int, word: str) -> tuple[int, int] | None:
        pattern = re.compile(rb"\b" + re.escape(word.encode()) + rb"\b")
        line = node_line
        while line <= len(self.m.lines) and line < node_line + 40:
            found = pattern.search(self.m.lines[line - 1], column if line == node_line else 0)
            if found:
                return line, found.start()
            line += 1
        return None

    def edit_word(self, line: int, column: int, old: str, new: str | None) -> None:
        if new and new != old:
            place = self.find_word(line, column, old)
            if place:
                self.edit(*place, old, new)
            else:
                self.problems.append(f"{self.m.path}:{line}: no {old}")

    # -- what names mean
    def local_key(self, name: str) -> tuple[str, str] | None:
        """(kind, key) of a name by the scopes that are open."""
        innermost = True
        for kind, qualified, bound, imports in reversed(self.scopes):
            if kind == "class" and not innermost:
                continue
            if name in bound:
                if name in imports:
                    return "global", imports[name]
                if kind == "class":
                    return "member", f"{qualified}.{name}"
                return "local", f"{qualified}:{name}"
            innermost = innermost and kind == "comprehension"
            innermost = False
        full = self.m.bound.get(name)
        return ("global", full) if full else None

    def new_name(self, name: str) -> str | None:
        found = self.local_key(name)
        if found is None:
            return None
        kind, key = found
        if kind == "local":
            return self.p.rename(key)
        if kind == "member":
            return self.p.member(key)
        full = self.p.follow(key)
        if full.rpartition(".")[2] != name:  # an alias
            own = f"{self.m.name}.{name}"
            return self.p.rename(own)
        new = self.p.new_symbol(full)
        return new

    def full_of(self, node: ast.AST) -> list[str]:
        """The fullnames that an expression may mean: a function, a class, a module."""
        if isinstance(node, ast.Name):
            found = self.local_key(node.id)
            if found and found[0] == "global":
                return [self.p.follow(found[1])]
            if found and found[0] == "member":
                return [found[1]]
            return []
        if isinstance(node, ast.Attribute):
            name = dotted(node)
            if name:
                found = self.local_key(name.split(".")[0])
                if found and found[0] == "global":
                    full = self.p.follow(f"{found[1]}.{name.partition('.')[2]}")
                    if full.rpartition(".")[0] in self.p.modules:
                        return [full]
                    if self.p.class_of(full):
                        return [full]
            return self.members(node)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "cast" and len(node.args) > 1:
            return self.full_of(node.args[1])
        if isinstance(node, ast.Subscript):
            return self.full_of(node.value)
        return []

    # -- walking
    def run(self) -> None:
        self.visit_body(self.m.tree.body)

    def scope_list(self):
        return list(self.scopes)

    def visit_body(self, body) -> None:
        for node in body:
            self.visit(node)

    def visit(self, node) -> None:
        if node is None:
            return
        if isinstance(node, list):
            for one in node:
                self.visit(one)
            return
        method = getattr(self, "on_" + type(node).__name__, None)
        if method:
            method(node)
        else:
            self.children(node)

    def children(self, node) -> None:
        for child in ast.iter_child_nodes(node):
            self.visit(child)

    def function(self, node) -> None:
        self.visit(node.decorator_list)
        self.parametrized(node)
        new = self.new_name(node.name)
        after = node.col_offset + (10 if isinstance(node, ast.AsyncFunctionDef) else 4)
        self.edit_word(node.lineno, after, node.name, new)
        a = node.args
        self.visit([d for d in [*a.defaults, *a.kw_defaults] if d])
        self.annotations(node)
        qualified = self.qualified(node.name)
        self.scopes.append(("function", qualified, bound_names(node), local_imports(self.m, node)))
        for one in [*a.posonlyargs, *a.args, *a.kwonlyargs, a.vararg, a.kwarg]:
            if one is not None:
                self.edit(one.lineno, one.col_offset, one.arg, self.p.rename(f"{qualified}:{one.arg}"))
        self.collisions(node, qualified, self.scopes[-1][2])
        self.spans.append((node.lineno, node.end_lineno, list(self.scopes)))
        self.visit_body(node.body)
        self.scopes.pop()

    def parametrized(self, node) -> None:
        """The names of a test's arguments, as pytest is given them; fixtures go by them, too."""
        qualified = self.qualified(node.name)
        given = {one.arg for one in [*node.args.args, *node.args.kwonlyargs]}
        for call in node.decorator_list:
            if isinstance(call, ast.Call) and ast.unparse(call.func).endswith(("given", "example")):
                for keyword in call.keywords:  # hypothesis
                    if keyword.arg in given:
                        self.edit(keyword.lineno, keyword.col_offset, keyword.arg, self.p.rename(f"{qualified}:{keyword.arg}"))
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr in ("parametrize", "usefixtures"):
                for text in ast.walk(call.args[0]):
                    if isinstance(text, ast.Constant) and isinstance(text.value, str):
                        for found in re.finditer(WORD, text.value):
                            new = self.p.rename(f"{qualified}:{found[0]}")
                            self.edit(text.lineno, text.col_offset + 1 + len(text.value[: found.start()].encode()), found[0], new)
        if node.name.startswith("test_") or any("fixture" in ast.unparse(d) for d in node.decorator_list):
            for one in [*node.args.args, *node.args.kwonlyargs]:
                new = self.p.rename(f"{qualified}:{one.arg}")
                if one.arg in self.p.fixtures and new not in self.p.fixtures[one.arg]:
                    self.problems.append(f"{self.m.path}:{node.lineno}: {one.arg} is a fixture")

    def collisions(self, node, qualified: str, bound: set[str]) -> None:
        """A local name that becomes one that the function knows already."""
        news = {name: self.p.rename(f"{qualified}:{name}") for name in bound}
        after = [new or name for name, new in news.items()]
        used = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
        for name, new in news.items():
            if new and new != name:
                if after.count(new) > 1:
                    self.problems.append(f"{self.m.path}:{node.lineno}: local {name} -> {new}, which is bound in {qualified}")
                elif new in used - bound or any((self.new_name(u) or u) == new for u in used - bound):
                    self.problems.append(f"{self.m.path}:{node.lineno}: local {name} -> {new}, which {qualified} uses from outside")

    def annotations(self, node) -> None:
        a = node.args
        for one in [*a.posonlyargs, *a.args, *a.kwonlyargs, a.vararg, a.kwarg]:
            if one is not None and one.annotation is not None:
                self.visit_annotation(one.annotation)
        if node.returns is not None:
            self.visit_annotation(node.returns)

    def visit_annotation(self, node) -> None:
        """An annotation in a class body means the module's names, unless the class has one of them as a class."""
        hidden, self.scopes = self.scopes, [s for s in self.scopes if s[0] != "class"]
        nested = [s for s in hidden if s[0] == "class"]
        self.annotation_classes = nested
        self.visit(node)
        self.scopes = hidden

    def qualified(self, name: str) -> str:
        return f"{self.scopes[-1][1]}.{name}" if self.scopes else f"{self.m.name}.{name}"

    on_FunctionDef = on_AsyncFunctionDef = function

    def on_ClassDef(self, node) -> None:
        self.visit(node.decorator_list)
        self.visit(node.bases)
        self.visit([k.value for k in node.keywords])
        self.edit_word(node.lineno, node.col_offset + 6, node.name, self.new_name(node.name))
        qualified = self.qualified(node.name)
        self.scopes.append(("class", qualified, own_class_names(node), {}))
        self.spans.append((node.lineno, node.end_lineno, list(self.scopes)))
        self.visit_body(node.body)
        self.scopes.pop()

    def on_AnnAssign(self, node) -> None:
        self.visit(node.target)
        self.visit_annotation(node.annotation)
        self.visit(node.value)

    def on_Name(self, node) -> None:
        self.edit(node.lineno, node.col_offset, node.id, self.new_name(node.id))

    def on_Attribute(self, node) -> None:
        self.visit(node.value)
        new = self.new_attribute(node)
        if new:
            length = len(node.attr.encode())
            self.edit(node.end_lineno, node.end_col_offset - length, node.attr, new)

    def new_attribute(self, node) -> str | None:
        found = self.full_of(node)
        news = {self.p.new_symbol(one) for one in found if one.rpartition(".")[2] == node.attr}
        if len(news) > 1:
            ours = {one for one in news if one}
            self.problems.append(f"{self.m.path}:{node.lineno}: .{node.attr} is {found}: {news}")
            return ours.pop() if len(ours) == 1 else None
        return news.pop() if news else None

    def on_Import(self, node) -> None:
        for alias in node.names:
            self.module_tokens(alias.lineno, alias.col_offset, alias.name)

    def module_tokens(self, line: int, column: int, name: str) -> None:
        parts = name.split(".")
        at = column
        for index, part in enumerate(parts):
            full = ".".join(parts[: index + 1])
            new = self.p.new_module(full) if full in self.p.packages else full
            if new != full:
                self.edit(line, at, part, new.rpartition(".")[2])
            at += len(part) + 1

    def on_ImportFrom(self, node) -> None:
        base = self.m.absolute(node)
        if node.module:
            text = self.m.lines[node.lineno - 1]
            start = text.index(b"from", node.col_offset) + 4
            at = re.compile(rb"[\s.]*").match(text, start).end()
            parts, whole = node.module.split("."), base.split(".")
            for index, part in enumerate(parts):
                full = ".".join(whole[: len(whole) - len(parts) + index + 1])
                if full in self.p.packages:
                    new = self.p.new_module(full)
                    if new != full:
                        self.edit(node.lineno, at, part, new.rpartition(".")[2])
                at += len(part) + 1
        for alias in node.names:
            full = self.p.follow(f"{base}.{alias.name}")
            if full.rpartition(".")[2] == alias.name:
                self.edit(alias.lineno, alias.col_offset, alias.name, self.p.new_symbol(full))
            if alias.asname:
                own = self.p.rename(f"{self.m.name}.{alias.asname}")
                if own:
                    self.edit_word(alias.lineno, alias.col_offset + len(alias.name) + 1, alias.asname, own)

    def on_Call(self, node) -> None:
        self.visit(node.func)
        self.strings_of_call(node)
        self.visit(node.args)
        for keyword in node.keywords:
            if keyword.arg:
                self.edit(keyword.lineno, keyword.col_offset, keyword.arg, self.new_keyword(node, keyword.arg))
            self.visit(keyword.value)

    def new_keyword(self, node: ast.Call, name: str) -> str | None:
        for full in self.full_of(node.func):
            known, new = self.parameter(full, name)
            if known:
                return new
        if isinstance(node.func, ast.Name) and node.func.id == "cls" and len(self.scopes) > 1:
            known, new = self.parameter(self.scopes[-2][1], name)
            if known:
                return new
        for argument in node.args[:2]:
            if isinstance(argument, (ast.Name, ast.Attribute)):
                for full in self.full_of(argument):
                    known, new = self.parameter(full, name)
                    if known:
                        return new
        for cls in self.first(node):
            if self.p.owner(cls, name):
                return self.p.member(self.p.owner(cls, name))
        # a callable that is a parameter, or a Protocol's __call__
        if isinstance(node.func, (ast.Name, ast.Attribute)):
            tail = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
            for hook in (f"call:{tail}:{name}",):
                if hook in self.p.rename.exact:
                    return self.p.rename.exact[hook]
        return None

    def parameter(self, full: str, name: str) -> tuple[bool, str | None]:
        """Whether a callable has a parameter, and its new name."""
        found = self.p.class_of(full)
        if found:
            made = self.p.owner(full, "__init__")
            if made:
                return self.parameter(made, name)
            field = self.p.owner(full, name)
            return (True, self.p.member(field)) if field else (False, None)
        head, _, tail = full.rpartition(".")
        if self.p.class_of(head):
            owner = self.p.owner(head, tail) or full
            cls, _, tail = owner.rpartition(".")
            module, node = self.p.class_of(cls) or (None, None)
            definition = next((c for c in node.body if isinstance(c, FUNCTIONS) and c.name == tail), None) if node else None
            full = owner
        else:
            module = self.p.modules.get(head)
            definition = module.functions.get(tail) if module else None
        if definition is None:
            return False, None
        a = definition.args
        names = {one.arg for one in [*a.posonlyargs, *a.args, *a.kwonlyargs]}
        if name in names:
            return True, self.p.rename(f"{full}:{name}")
        if a.kwarg is not None and module is not None:  # handed on to somebody else
            for call in ast.walk(definition):
                if isinstance(call, ast.Call) and any(k.arg is None and isinstance(k.value, ast.Name) and k.value.id == a.kwarg.arg for k in call.keywords):
                    called = dotted(call.func)
                    target = self.p.resolve_dotted(module, called) if called else ""
                    if target and target != full:
                        known, new = self.parameter(target, name)
                        if known:
                            return True, new
                    place = f"{call.lineno}:{call.col_offset}:{call.end_lineno}:{call.end_col_offset}"
                    for cls in self.p.types["first"].get(module.path, {}).get(place, ()):
                        owner = self.p.owner(cls, name)
                        if owner:
                            return True, self.p.member(owner)
        return False, None

    def strings_of_call(self, node: ast.Call) -> None:
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        self.pairs(node.args, node if name in ("setattr", "getattr", "hasattr", "delattr") else None)
        if name == "cast" and node.args and isinstance(node.args[0], ast.Constant) and isinstance(node.args[0].value, str):
            text = node.args[0]
            for found in re.finditer(WORD, text.value):
                full = self.m.bound.get(found[0])
                if full:
                    full = self.p.follow(full)
                    if full.rpartition(".")[2] == found[0]:
                        self.edit(text.lineno, text.col_offset + 1 + found.start(), found[0], self.p.new_symbol(full))

    def pairs(self, values, call: ast.Call | None) -> None:
        """A module or a class, then an attribute of its as a string: what ``setattr`` and ``patch.object`` are given."""
        for target, text in zip(values, values[1:], strict=False):
            if not (isinstance(text, ast.Constant) and isinstance(text.value, str) and re.fullmatch(WORD, text.value)):
                continue
            new = None
            for full in self.full_of(target):
                if full in self.p.modules and text.value in self.p.modules[full].bound:
                    new = new or self.p.new_symbol(self.p.follow(f"{full}.{text.value}"))
                elif self.p.class_of(full):
                    owner = self.p.owner(full, text.value)
                    new = new or (self.p.member(owner) if owner else None)
            if new is None and call is not None:
                for cls in self.first(call):
                    owner = self.p.owner(cls, text.value)
                    new = new or (self.p.member(owner) if owner else None)
            if new:
                self.edit(text.lineno, text.col_offset + 1, text.value, new)

    def on_Tuple(self, node) -> None:
        self.pairs(node.elts, None)
        self.children(node)

    def on_Constant(self, node) -> None:
        """A dotted path to a name, or a file's path, as a string of its own."""
        if not isinstance(node.value, str):
            return
        text = node.value
        if "import " in text and "sidecar" in text:
            for line in range(node.lineno, node.end_lineno + 1):
                raw = self.m.lines[line - 1].decode()
                for found in re.finditer(r"\b(?:from|import) ((?:sidecar|tests)(?:\.\w+)+)(?: import ([\w, ]+))?", raw):
                    new = self.new_dotted(found[1])
                    if new != found[1]:
                        self.edits[line, len(raw[: found.start(1)].encode())] = (found[1], new)
                    for name in re.finditer(r"\w+", found[2] or ""):
                        full = self.p.follow(f"{found[1]}.{name[0]}")
                        at = len(raw[: found.start(2) + name.start()].encode())
                        self.edit(line, at, name[0], self.p.new_symbol(full))
        elif re.fullmatch(r"(sidecar|tests)(\.\w+)+", text):
            new = self.new_dotted(text)
            if new != text and self.m.lines[node.lineno - 1][node.col_offset + 1 :].startswith(text.encode()):
                self.edits[node.lineno, node.col_offset + 1] = (text, new)
        elif re.fullmatch(r"(sidecar|tests)(/\w+)+\.py", text):
            new = self.p.new_path(text) if text in self.p.paths else text
            if new != text and self.m.lines[node.lineno - 1][node.col_offset + 1 :].startswith(text.encode()):
                self.edits[node.lineno, node.col_offset + 1] = (text, new)

    def new_dotted(self, text: str) -> str:
        parts = text.split(".")
        out: list[str] = []
        full = ""
        for part in parts:
            full = f"{full}.{part}" if full else part
            if full in self.p.packages:
                out.append(self.p.new_module(full).rpartition(".")[2] if "." in full else part)
            else:
                followed = self.p.follow(full)
                out.append((self.p.new_symbol(followed) if followed.rpartition(".")[2] == part else None) or part)
        return ".".join(out)

    def on_Assign(self, node) -> None:
        names = [t.id for t in node.targets if isinstance(t, ast.Name)]
        if "__all__" in names or "__slots__" in names:
            for part in ast.walk(node.value):
                if isinstance(part, ast.Constant) and isinstance(part.value, str):
                    if "__all__" in names:
                        full = self.m.bound.get(part.value)
                        new = self.p.new_symbol(self.p.follow(full)) if full else None
                    else:
                        new = self.p.member(f"{self.scopes[-1][1]}.{part.value}")
                    self.edit(part.lineno, part.col_offset + 1, part.value, new)
        self.children(node)

    def named(self, node, name: str | None) -> None:
        if name:
            new = self.new_name(name)
            if new:
                # `as name` stands at the end of the pattern or the clause
                place = None
                at = (node.lineno, node.col_offset)
                while (found := self.find_word(*at, name)) and found <= (node.end_lineno, node.end_col_offset):
                    place = found
                    at = (found[0], found[1] + 1)
                    if isinstance(node, ast.ExceptHandler):
                        before = self.m.lines[found[0] - 1][: found[1]].rstrip()
                        if before.endswith(b" as"):
                            break
                if place:
                    self.edit(*place, name, new)

    def on_ExceptHandler(self, node) -> None:
        self.visit(node.type)
        self.named(node, node.name)
        self.visit(node.body)

    def on_MatchAs(self, node) -> None:
        self.visit(node.pattern)
        self.named(node, node.name)

    def on_MatchStar(self, node) -> None:
        self.named(node, node.name)

    def on_MatchMapping(self, node) -> None:
        self.children(node)
        self.named(node, node.rest)

    def on_MatchClass(self, node) -> None:
        self.visit(node.cls)
        self.visit(node.patterns)
        for name, pattern in zip(node.kwd_attrs, node.kwd_patterns, strict=True):
            for full in self.full_of(node.cls):
                owner = self.p.owner(full, name)
                new = self.p.member(owner) if owner else None
                if new:
                    line = self.m.lines[pattern.lineno - 1][: pattern.col_offset]
                    at = line.rstrip().removesuffix(b"=").rstrip()
                    self.edit(pattern.lineno, len(at) - len(name), name, new)
            self.visit(pattern)

    def names_statement(self, node) -> None:
        for name in node.names:
            new = self.new_name(name) if isinstance(node, ast.Nonlocal) else self.p.rename(f"{self.m.name}.{name}")
            self.edit_word(node.lineno, node.col_offset, name, new)

    on_Global = on_Nonlocal = names_statement

    def on_JoinedStr(self, node) -> None:
        for part in node.values:
            if isinstance(part, ast.FormattedValue):
                self.visit(part)

    def on_FormattedValue(self, node) -> None:
        # positions inside f-strings are not to be trusted before Python 3.12
        before = dict(self.edits)
        problems = len(self.problems)
        self.children(node)
        added = {k: v for k, v in self.edits.items() if k not in before}
        del self.problems[problems:]
        for key in added:
            del self.edits[key]
        for key, value in added.items():
            self.edits[key] = value

    def on_Lambda(self, node) -> None:
        a = node.args
        self.visit([d for d in [*a.defaults, *a.kw_defaults] if d])
        around = next((q for kind, q, _, _ in reversed(self.scopes) if kind == "function"), self.m.name)
        names = [one for one in [*a.posonlyargs, *a.args, *a.kwonlyargs, a.vararg, a.kwarg] if one is not None]
        for one in names:
            self.edit(one.lineno, one.col_offset, one.arg, self.p.rename(f"{around}:{one.arg}"))
        self.scopes.append(("function", around, {one.arg for one in names}, {}))
        self.visit(node.body)
        self.scopes.pop()

    def on_comprehension(self, node) -> None:
        self.children(node)


def own_class_names(node: ast.ClassDef) -> set[str]:
    found = set()
    for child in node.body:
        if isinstance(child, (*FUNCTIONS, ast.ClassDef)):
            found.add(child.name)
        elif isinstance(child, ast.AnnAssign) and isinstance(child.target, ast.Name):
            found.add(child.target.id)
        elif isinstance(child, ast.Assign):
            for target in child.targets:
                for part in ast.walk(target):
                    if isinstance(part, ast.Name):
                        found.add(part.id)
    return found


def local_imports(module: Module, node: ast.AST) -> dict[str, str]:
    found: dict[str, str] = {}
    for child in ast.walk(node):
        if isinstance(child, ast.ImportFrom):
            for alias in child.names:
                found[alias.asname or alias.name] = f"{module.absolute(child)}.{alias.name}"
        elif isinstance(child, ast.Import):
            for alias in child.names:
                found[alias.asname or alias.name.split(".")[0]] = alias.name if alias.asname else alias.name.split(".")[0]
    return found


def apply(lines: list[bytes], edits: dict[tuple[int, int], tuple[str, str]]) -> str:
    out = list(lines)
    for (line, column), (old, new) in sorted(edits.items(), reverse=True):
        raw = out[line - 1]
        assert raw[column : column + len(old.encode())] == old.encode(), (line, column, old, raw)
        out[line - 1] = raw[:column] + new.encode() + raw[column + len(old.encode()) :]
    return b"\n".join(out).decode()
