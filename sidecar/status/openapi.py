"""/openapi.json, generated from the operations and the pydantic models (OpenAPI 3.1)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from sidecar import __version__

from .models import Problem
from .operation import Operation, Parameter

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_REF = "#/components/schemas/{model}"
_MISTAKE = {"400": "The request is wrong.", "403": "Not through this door, or not from this page."}


def document(operations: Iterable[Operation[Any]]) -> dict[str, Any]:
    """Return the whole document."""
    listed = list(operations)
    paths: dict[str, dict[str, Any]] = {}
    for operation in listed:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation)
    return {
        "openapi": "3.1.0",
        "jsonSchemaDialect": _DIALECT,
        "info": {
            "title": "render-sidecar",
            "version": __version__,
            "description": "What the sidecar does at this moment. TCP is read-only without the token.",
        },
        "paths": paths,
        "components": {
            "schemas": _schemas(listed),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(operation: Operation[Any]) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "responses": {str(status): _reply(text, operation) for status, text in operation.replies.items()}
        | {status: _json(text, Problem) for status, text in _MISTAKE.items()},
    }
    if operation.parameters:
        described["parameters"] = [_parameter(one) for one in operation.parameters]
    if operation.body:
        described["requestBody"] = {"required": False, "content": _content(operation.body)}
    if operation.need.changes:
        described["security"] = [{"token": []}, {}]
        described["responses"]["401"] = _json("The token is missing or wrong.", Problem)
    return described


def _reply(text: str, operation: Operation[Any]) -> dict[str, Any]:
    if isinstance(operation.reply, str):
        return {"description": text, "content": {operation.reply: {"schema": {}}}}
    return _json(text, operation.reply)


def _json(text: str, model: type[BaseModel]) -> dict[str, Any]:
    return {"description": text, "content": _content(model)}


def _content(model: type[BaseModel]) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": _REF.format(model=model.__name__)}}}


def _parameter(parameter: Parameter) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "in": "query",
        "required": parameter.required,
        "description": parameter.text,
        "schema": parameter.schema,
    }


def _schemas(operations: list[Operation[Any]]) -> dict[str, Any]:
    said: set[type[BaseModel]] = {Problem}
    said |= {operation.reply for operation in operations if not isinstance(operation.reply, str)}
    asked = {operation.body for operation in operations if operation.body}
    both: list[tuple[type[BaseModel], JsonSchemaMode]] = [(model, "serialization") for model in said]
    both += [(model, "validation") for model in asked]
    ordered = sorted(both, key=lambda pair: pair[0].__name__)
    _, schemas = models_json_schema(ordered, ref_template=_REF)
    definitions: dict[str, Any] = schemas["$defs"]
    return definitions
