"""The functions that refuse while rows are moved: those that sidecars call, and the application's writers."""

from __future__ import annotations

import json
import re

HELD = "MIGRATING"
_EXPORTED = re.compile(
    r"^export const (\w+) = (internalMutation|internalQuery|mutation|query)\(", re.MULTILINE
)
_WRITERS = re.compile(r"^(export async function \w+\([^)]*\): Promise<void> \{\n)", re.MULTILINE)
_REMOVERS = re.compile(r"^(  handler: async \(ctx, args\) => )(await ctx\.runMutation\(.*\)),$", re.MULTILINE)
_MESSAGE = (
    "the sidecar's tables are being moved (`sidecar convex migrate`):"
    " nothing is lost, and what waits is sent afterwards"
)
_OWN_MESSAGE = "the sidecar's tables are being moved (`sidecar convex migrate`): try again when it is done"


def refusing_sidecars(text: str) -> str:
    """Return a module with the same functions, each of which refuses whoever calls it."""
    found = _EXPORTED.findall(text)
    builders = ", ".join(sorted({builder for _, builder in found}))
    functions = "\n".join(f"export const {name} = {builder}({{ handler }});" for name, builder in found)
    return f"""\
/* eslint-disable @convex-dev/require-args-validator -- whatever is asked is refused */
import {{ ConvexError }} from "convex/values";
import {{ {builders} }} from "./_generated/server";

const handler = (): never => {{
{_thrown(_MESSAGE)}
}};

{functions}
"""


def refusing_writes(text: str) -> str:
    """Return a file of readers and writers whose writers refuse the application's own mutations."""
    held = _WRITERS.sub(r"\1  refuseWhileMoved();\n", text)
    held = _REMOVERS.sub(r"\1(refuseWhileMoved(), \2),", held)
    return f"""\
{held}
import {{ ConvexError as Refusal }} from "convex/values";
function refuseWhileMoved(): void {{
{_thrown(_OWN_MESSAGE, error="Refusal")}
}}
"""


def _thrown(message: str, error: str = "ConvexError") -> str:
    return f"""\
  throw new {error}({{
    code: "{HELD}",
    message: {json.dumps(message)},
    retryable: true,
  }});"""
