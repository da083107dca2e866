"""Ask mypy which class each attribute of a tree belongs to: types_of.py TREE OUT.json CACHE.

OUT: {"members": {file: {"line:col:endline:endcol": [owner.attr, ...]}}, "first": {file: {call position: [class, ...]}}}
"""

from __future__ import annotations

import io
import json
import os
import shutil
import sys
from pathlib import Path

from mypy import build, options
from mypy.config_parser import parse_config_file
from mypy.find_sources import create_source_list
from mypy.fscache import FileSystemCache
from mypy.nodes import CallExpr, MemberExpr, MypyFile, Node, RefExpr, SuperExpr, TypeInfo, Var
from mypy.types import (
    CallableType, Instance, LiteralType, NoneType, Overloaded, TupleType, TypeType, TypeVarType, UnionType,
    get_proper_type, TypedDictType,
)


def infos(kind, depth=0):
    """Yield the TypeInfos that a value of this type has its attributes from."""
    kind = get_proper_type(kind)
    if kind is None or depth > 8:
        return
    if isinstance(kind, Instance):
        yield kind.type
    elif isinstance(kind, UnionType):
        for item in kind.items:
            yield from infos(item, depth + 1)
    elif isinstance(kind, TupleType):
        yield kind.partial_fallback.type
    elif isinstance(kind, LiteralType):
        yield from infos(kind.fallback, depth + 1)
    elif isinstance(kind, TypeVarType):
        yield from infos(kind.upper_bound, depth + 1)
        for value in kind.values:
            yield from infos(value, depth + 1)
    elif isinstance(kind, TypeType):
        yield from infos(kind.item, depth + 1)
    elif isinstance(kind, CallableType):
        if kind.is_type_obj():
            yield kind.type_object()
    elif isinstance(kind, Overloaded):
        for item in kind.items:
            yield from infos(item, depth + 1)


def owner(info: TypeInfo, name: str) -> str | None:
    for base in info.mro:
        if name in base.names:
            return f"{base.fullname}.{name}"
    return None


NOT_BELOW = {"node", "info", "type", "unanalyzed_type", "definition", "var", "names", "mro", "fullname", "alias_types", "original_def",
             "analyzed", "replacements", "defn", "typeddict", "namedtuple", "newtype", "enum", "upper_bound", "default", "method_type",
             "right_always", "imports", "future_import_flags", "plugin_deps"}
FIELDS: dict = {}


def nodes_below(root):
    """Walk all nodes of a file: mypy is compiled, so its visitors cannot be derived from."""
    seen, todo = set(), [root]
    while todo:
        node = todo.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        yield node
        cls = type(node)
        if cls not in FIELDS:
            FIELDS[cls] = [n for n in dir(cls) if not n.startswith("__") and n not in NOT_BELOW and not callable(getattr(cls, n, None))]
        for name in FIELDS[cls]:
            try:
                value = getattr(node, name)
            except Exception:
                continue
            flat = [value]
            while flat:
                one = flat.pop()
                if isinstance(one, (list, tuple)):
                    flat += one
                elif isinstance(one, Node) and not isinstance(one, (TypeInfo, MypyFile, Var)):
                    todo.append(one)


def main() -> None:
    tree, out, cache = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve(), Path(sys.argv[3]).resolve()
    os.chdir(tree)
    sys.path.insert(0, str(tree))
    chosen = options.Options()
    parse_config_file(chosen, lambda: None, "pyproject.toml", io.StringIO(), io.StringIO())
    chosen.python_executable = sys.executable
    chosen.sqlite_cache = False
    chosen.cache_dir = str(cache)
    chosen.incremental = True
    chosen.export_types = True
    chosen.preserve_asts = True
    for name in ("sidecar", "tests"):  # only what lies beside is taken from the cache: it has no trees
        for folder in cache.glob(f"*/{name}"):
            shutil.rmtree(folder)
    made = build.build(create_source_list(["sidecar", "tests"], chosen, FileSystemCache()), chosen)
    for line in made.errors[:10]:
        print("mypy:", line)
    members: dict[str, dict[str, list[str]]] = {}
    first: dict[str, dict[str, list[str]]] = {}
    ours = {name: state.tree for name, state in made.graph.items() if name.split(".")[0] in ("sidecar", "tests")}

    def put(table, file, node, found):
        if found:
            key = f"{node.line}:{node.column}:{node.end_line}:{node.end_column}"
            have = table.setdefault(file, {}).setdefault(key, [])
            have += [one for one in found if one not in have]

    def look(file, o) -> None:
        if isinstance(o, MemberExpr):
            found = [owner(info, o.name) for info in infos(made.types.get(o.expr))]
            if isinstance(o.expr, RefExpr) and isinstance(o.expr.node, TypeInfo):
                found.append(owner(o.expr.node, o.name))
            put(members, file, o, [one for one in dict.fromkeys(found) if one])
        elif isinstance(o, SuperExpr):
            if o.info is not None:
                for base in o.info.mro[1:]:
                    if o.name in base.names:
                        put(members, file, o, [f"{base.fullname}.{o.name}"])
                        break
        elif isinstance(o, CallExpr) and o.args:
            put(first, file, o, [info.fullname for info in infos(made.types.get(o.args[0]))])

    for name, module in ours.items():
        if module is None:
            print("no tree:", name)
            continue
        path = str(Path(module.path).resolve().relative_to(tree))
        for node in nodes_below(module):
            look(path, node)
    out.write_text(json.dumps({"members": members, "first": first}))
    print(len(members), sum(map(len, members.values())), "attributes")


main()
