"""Reads an answer by the client library, which has to be loaded for it."""

from __future__ import annotations

from typing import Any

from botocore.awsrequest import AWSResponse
from botocore.parsers import create_parser

from .plain_answer import ERROR_STATUS, Answer
from .response import parsing


async def read_answer(client: Any, operation: str, url: str, answer: Answer) -> dict[str, Any]:
    """Return what an answer says, with all that listens to it; raise what the client would raise."""
    model = client.meta.service_model.operation_model(operation)
    response = AWSResponse(url, answer.status, answer.headers, None)
    said = {
        "headers": response.headers,
        "status_code": answer.status,
        "body": answer.body,
        "context": {"operation_name": operation},
    }
    tell = client.meta.events.emit
    before, after = f"before-parse.s3.{operation}", f"after-call.s3.{operation}"
    await tell(before, operation_model=model, response_dict=said, customized_response_dict={})
    with parsing():
        parsed: dict[str, Any] = create_parser("rest-xml").parse(said, model.output_shape)
    await tell(after, model=model, http_response=response, parsed=parsed, context={})
    if parsed["ResponseMetadata"]["HTTPStatusCode"] < ERROR_STATUS:
        return parsed
    code = parsed.get("Error", {}).get("Code")
    raise client.exceptions.from_code(code)(parsed, operation)
