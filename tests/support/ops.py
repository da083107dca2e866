"""Builds ops for tests as the outbox stores them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sidecar.core.ops import Op, OpKind


def make_op(kind: OpKind, body: Mapping[str, Any], *, seq: int = 1, op_id: str = "o") -> Op:
    """Return an op with this JSON object."""
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    return Op(seq=seq, op_id=op_id, kind=kind, text=text)
