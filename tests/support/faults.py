"""The network's faults by name, what each answers, and which call of a remote a request is."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import parse_qs, urlsplit

from .http1 import Answer, answer


class Fault(StrEnum):
    """What happens to one request. *before*: the server never saw it; *after*: it did its work."""

    SLOW_DOWN = "503"
    TOO_MANY = "429"
    SERVER_ERROR = "500"
    FORBIDDEN = "403"
    SERVER_ERROR_AFTER = "500 after the commit"
    GATEWAY_TIMEOUT_AFTER = "504 after the commit"
    EARLY_REFUSAL = "503 before the body is read"
    RESET_BEFORE = "reset before the server saw it"
    RESET_IN_BODY = "reset in the middle of the request's body"
    RESET_AFTER = "reset after the server committed"
    CLOSE_AFTER = "orderly close after the server committed"
    HALF_REPLY = "half a reply"
    HALF_HEAD = "half of a reply's head"
    ERROR_IN_200 = "200 with an error inside"
    ERROR_IN_200_AFTER = "200 with an error inside, after the commit"
    EMPTY_200 = "200 with nothing inside"
    FOREIGN_PAGE = "200 with somebody else's page"
    BAD_GATEWAY = "502 with a page"
    GARBAGE = "bytes that are no HTTP"
    SLOW_DRIP = "a reply that drips"
    REDIRECT = "a redirect to elsewhere"
    REDIRECT_REGION = "a redirect to another region elsewhere"
    WRONG_ETAG = "a wrong ETag"
    DUPLICATE = "delivered twice"
    LATE = "delivered after the client gave up"
    HANG = "never answered"


FORWARDED = frozenset(
    {
        *(Fault.SERVER_ERROR_AFTER, Fault.GATEWAY_TIMEOUT_AFTER, Fault.RESET_AFTER, Fault.CLOSE_AFTER),
        *(Fault.HALF_REPLY, Fault.HALF_HEAD, Fault.ERROR_IN_200_AFTER, Fault.SLOW_DRIP, Fault.WRONG_ETAG),
        Fault.DUPLICATE,
    }
)
_REFUSALS = {
    Fault.SLOW_DOWN: (503, "SlowDown"),
    Fault.EARLY_REFUSAL: (503, "SlowDown"),
    Fault.TOO_MANY: (429, "TooManyRequests"),
    Fault.SERVER_ERROR: (500, "InternalError"),
    Fault.SERVER_ERROR_AFTER: (500, "InternalError"),
    Fault.GATEWAY_TIMEOUT_AFTER: (504, "GatewayTimeout"),
    Fault.FORBIDDEN: (403, "AccessDenied"),
    Fault.ERROR_IN_200: (200, "InternalError"),
    Fault.ERROR_IN_200_AFTER: (200, "InternalError"),
}
_PAGES = {Fault.FOREIGN_PAGE: 200, Fault.BAD_GATEWAY: 502}
_PAGE = b"<!doctype html><html><body><p>Please sign in & accept the terms<br></body></html>"
_IN_CONVEX = {503: "WorkerOverloaded", 429: "TooManyConcurrentRequests", 403: "Forbidden"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """How a remote says no. ``elsewhere`` is where redirects point."""

    name: str  # "s3" | "convex"
    elsewhere: str

    def says(self, fault: Fault, *, target: str) -> Answer:
        """Return the answer that a fault puts in the place of the server's."""
        if fault is Fault.REDIRECT:
            return answer(307, "Temporary Redirect", Location=self.elsewhere + target)
        if fault is Fault.REDIRECT_REGION:
            body = self._error(301, "PermanentRedirect", f"<Endpoint>{self.elsewhere}</Endpoint>")
            where = {"Location": self.elsewhere + target, "x_amz_bucket_region": "eu-west-1"}
            return answer(301, "Moved Permanently", body, **where)
        if fault is Fault.EMPTY_200:
            return answer(200, "OK")
        if fault in _PAGES:
            return answer(_PAGES[fault], "A page", _PAGE, Content_Type="text/html")
        status, code = _REFUSALS[fault]
        return answer(status, code, self._error(status, code), Content_Type=self._type())

    def _type(self) -> str:
        return "application/xml" if self.name == "s3" else "application/json"

    def _error(self, status: int, code: str, more: str = "") -> bytes:
        if self.name == "s3":
            body = f"<Error><Code>{code}</Code><Message>injected</Message>{more}</Error>"
            return b'<?xml version="1.0" encoding="UTF-8"?>\n' + body.encode()
        if status == 200:
            return json.dumps({"status": "error", "errorMessage": "[Request ID: 1] Server Error"}).encode()
        return json.dumps({"code": _IN_CONVEX.get(status, code), "message": "injected"}).encode()

    def operation(self, method: str, target: str, body: bytes) -> str:
        """Name the call that a request is: S3's operation, or the Convex function."""
        if self.name == "convex":
            return str(json.loads(body)["path"]) if body.startswith(b"{") else target
        return s3_operation(method, target)


def s3_operation(method: str, target: str) -> str:
    """Name the S3 operation of a request in path style."""
    url = urlsplit(target)
    query = parse_qs(url.query, keep_blank_values=True)
    is_object = "/" in url.path.strip("/")
    if "uploads" in query:
        return "CreateMultipartUpload" if method == "POST" else "ListMultipartUploads"
    if "uploadId" in query:
        names = {"POST": "CompleteMultipartUpload", "DELETE": "AbortMultipartUpload", "GET": "ListParts"}
        return names.get(method, "UploadPart")
    if not is_object:
        return {"HEAD": "HeadBucket", "GET": "ListObjectsV2"}.get(method, method)
    names = {"PUT": "PutObject", "HEAD": "HeadObject", "DELETE": "DeleteObject", "GET": "GetObject"}
    return names.get(method, method)
