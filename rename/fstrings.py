"""Before Python 3.12 the parts of f-strings have wrong positions: find the right ones. ``was`` keeps the old ones."""

from __future__ import annotations

import ast
import io
import tokenize


def mend(tree: ast.AST, lines: list[bytes]) -> list[str]:
    problems = []
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr) and not getattr(node, "_inner", False):
            for part in ast.walk(node):
                if isinstance(part, ast.JoinedStr) and part is not node:
                    part._inner = True
            values = list(formatted(node))
            if not values:
                continue
            places = list(regions(node, lines))
            if len(places) != len(values):
                problems.append(f"{node.lineno}: {len(places)} places for {len(values)} values")
                continue
            for value, (line, column, text) in zip(values, places, strict=True):
                try:
                    again = ast.parse("(" + text + ")", mode="eval").body
                except SyntaxError:
                    problems.append(f"{node.lineno}: {text!r}")
                    continue
                for old, new in zip(ast.walk(value), ast.walk(again), strict=True):
                    if type(old) is not type(new):
                        problems.append(f"{node.lineno}: {text!r} differs")
                        break
                    if hasattr(old, "lineno"):
                        old.was = (old.lineno, old.col_offset, old.end_lineno, old.end_col_offset)
                        shift = column - 1 if new.lineno == 1 else 0
                        end = column - 1 if new.end_lineno == 1 else 0
                        old.lineno, old.col_offset = line + new.lineno - 1, new.col_offset + shift
                        old.end_lineno, old.end_col_offset = line + new.end_lineno - 1, new.end_col_offset + end
    return problems


def formatted(node: ast.JoinedStr):
    for part in node.values:
        if isinstance(part, ast.FormattedValue):
            yield part.value
            if part.format_spec is not None:
                yield from formatted(part.format_spec)


def regions(node, lines):
    """Yield (line, column, text) of each expression in an f-string, or in several side by side."""
    segment = lines[node.lineno - 1 : node.end_lineno]
    text = b"\n".join(segment).decode()
    # cut to the node
    first, last = lines[node.lineno - 1], lines[node.end_lineno - 1]
    start = len(first[: node.col_offset].decode())
    end = len(text) - len(last[node.end_col_offset :].decode())
    body = text[start:end]
    starts = [0]
    for index, char in enumerate(text):
        if char == "\n":
            starts.append(index + 1)

    def place(offset):
        line = max(i for i, at in enumerate(starts) if at <= offset)
        return node.lineno + line, len(text[starts[line] : offset].encode())

    at = 0
    while at < len(body):
        char = body[at]
        if char == "#":
            at = body.find("\n", at) % (len(body) + 1)
            continue
        prefix = at
        while prefix < len(body) and body[prefix].isalpha():
            prefix += 1
        if prefix < len(body) and body[prefix] in "\"'":
            quote = body[prefix]
            mark = quote * 3 if body.startswith(quote * 3, prefix) else quote
            inside = prefix + len(mark)
            is_f = "f" in body[at:prefix].lower()
            is_raw = "r" in body[at:prefix].lower()
            while not body.startswith(mark, inside):
                if body[inside] == "\\" :
                    inside += 2
                elif is_f and body.startswith("{{", inside):
                    inside += 2
                elif is_f and body[inside] == "{":
                    inside, found = expression(body, inside + 1)
                    for begin, stop in found:
                        line, column = place(start + begin)
                        yield line, column, body[begin:stop]
                else:
                    inside += 1
            at = inside + len(mark)
        else:
            at = max(prefix, at + 1)


def expression(body, at):
    """Return where a replacement field ends, and its expressions."""
    begin, depth = at, 0
    found = []
    while True:
        char = body[at]
        if char in "\"'":
            mark = char * 3 if body.startswith(char * 3, at) else char
            at += len(mark)
            while not body.startswith(mark, at):
                at += 1
            at += len(mark)
            continue
        if char in "([{":
            depth += 1
        elif char in ")]}" and depth:
            depth -= 1
        elif char == "}":
            found.insert(0, (begin, at))
            return at + 1, found
        elif not depth and char == "!" and body[at + 1] != "=":
            found.append((begin, at))
            break
        elif not depth and char == "=" and body[at + 1] in "}!:" and body[at - 1] not in "=!<>":
            found.append((begin, at))
            at += 1
            if body[at] == "}":
                return at + 1, found
            break
        elif not depth and char == ":":
            found.append((begin, at))
            break
        at += 1
    while body[at] != "}":
        if body[at] == "{":
            at, more = expression(body, at + 1)
            found += more
        else:
            at += 1
    return at + 1, found
