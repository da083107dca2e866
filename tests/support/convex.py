"""Convex over plain HTTP, sharing no code with the sidecar's own client; ops as the sidecar sends them."""

from __future__ import annotations

import base64
import itertools
import json
import time
from typing import Any, Self

import httpx
import jwt
from cryptography.hazmat.primitives.asymmetric import ec

AUDIENCE = "render-sidecar"
COMPONENT = "renderSidecar"
_numbers = itertools.count(1)


class Signer:
    """An issuer with a key: makes tokens, and the public keys as a data URI."""

    def __init__(self, issuer: str = "https://renderers.test", kid: str = "k1") -> None:
        """Make a new key."""
        self.issuer, self._kid = issuer, kid
        self._key = ec.generate_private_key(ec.SECP256R1())

    def jwks_data_uri(self) -> str:
        """Return the public key as auth.config.ts wants it."""
        numbers = self._key.public_key().public_numbers()
        key = {"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": self._kid}
        key |= {"x": _b64(numbers.x), "y": _b64(numbers.y)}
        encoded = base64.b64encode(json.dumps({"keys": [key]}).encode()).decode()
        return f"data:application/json;base64,{encoded}"

    def token(self, request: str, *, ttl_seconds: int = 300, **claims: Any) -> str:
        """Return a token of a sidecar, or of a reader."""
        now = int(time.time())
        body = {"iss": self.issuer, "aud": AUDIENCE, "sub": request, "iat": now, "exp": now + ttl_seconds}
        return jwt.encode({**body, **claims}, self._key, algorithm="ES256", headers={"kid": self._kid})


def auth_config(*signers: Signer) -> str:
    """Return an auth.config.ts that knows these issuers."""
    providers = [
        {"type": "customJwt", "issuer": one.issuer, "jwks": one.jwks_data_uri(), "algorithm": "ES256"}
        | {"applicationID": AUDIENCE}
        for one in signers
    ]
    return f"export default {json.dumps({'providers': providers})};"


def _b64(number: int) -> str:
    return base64.urlsafe_b64encode(number.to_bytes(32)).rstrip(b"=").decode()


class Refused(Exception):  # noqa: N818 - it reads as what happened
    """Convex did not do it; ``code`` is its word: a ConvexError's, or the wire's."""

    def __init__(self, response: httpx.Response) -> None:
        """Keep the answer."""
        body = response.json()
        data = body.get("errorData") or {}
        self.status, self.code = response.status_code, data.get("code") or body.get("code")
        self.message = data.get("message") or body.get("errorMessage") or body.get("message")
        super().__init__(f"{self.status} {self.code}: {self.message}")


class Caller:
    """One client of a deployment. ``authorization`` is the header's value."""

    def __init__(self, url: str, authorization: str | None = None) -> None:
        """Open a connection pool."""
        headers = {"Authorization": authorization} if authorization else {}
        self._http = httpx.Client(base_url=url, headers=headers, timeout=30, trust_env=False)

    def __enter__(self) -> Self:
        """Use it in a with block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close its connections."""
        self._http.close()

    def query(self, path: str, **args: Any) -> Any:
        """Call a query."""
        return self._call("query", path, args)

    def mutation(self, path: str, **args: Any) -> Any:
        """Call a mutation."""
        return self._call("mutation", path, args)

    def action(self, path: str, **args: Any) -> Any:
        """Call an action."""
        return self._call("action", path, args)

    def inside(self, path: str, **args: Any) -> Any:
        """Call any function of the component, as only an admin may."""
        body = {"componentPath": COMPONENT, "path": path, "args": args, "format": "json"}
        return self._answer(self._http.post("/api/function", json=body))

    def _call(self, kind: str, path: str, args: dict[str, Any]) -> Any:
        return self._answer(
            self._http.post(f"/api/{kind}", json={"path": path, "args": args, "format": "json"})
        )

    def _answer(self, response: httpx.Response) -> Any:
        if response.status_code == 200 and response.json()["status"] == "success":
            return response.json()["value"]
        raise Refused(response)


def put(name: str = "a.mp4", content: str = "A", **over: Any) -> dict[str, Any]:
    """Return an op that puts an asset of scene ``intro``; ``content`` stands for its bytes."""
    number = next(_numbers)
    asset = {
        "s3Key": over.pop("key", f"objects/{number}"),
        "s3Url": f"https://bucket.test/objects/{number}",
        "bucket": "lessons",
        "contentType": "video/mp4",
        "size": over.pop("size", 1000),
        "checksum": f"crc64nvme:{content}",
        "etag": f'"{number}"',
        "uploadedAt": 1_790_000_000_000 + number,
        **over.pop("media", {}),
    }
    op = {"opId": f"op-{number}", "seq": number, "kind": "put", "entityType": "scene", "entityId": "intro"}
    op |= {"assetType": "video_chunk", "name": name, "index": None, "role": None, "transfer": f"T{number}"}
    return {**op, "metadata": {}, "asset": asset, **over}


def facts(scene_id: str = "intro", *, complete: bool = True, owed: int = 0, **over: Any) -> dict[str, Any]:
    """Return an op that reports what a sidecar knows of a scene."""
    number = next(_numbers)
    op = {"opId": f"op-{number}", "seq": number, "kind": "facts", "sceneId": scene_id}
    return {**op, "complete": complete, "owed": owed, "error": None, "reason": None, **over}


def remove(name: str = "a.mp4", **over: Any) -> dict[str, Any]:
    """Return an op that removes an asset."""
    number = next(_numbers)
    op = {"opId": f"op-{number}", "seq": number, "kind": "remove", "entityType": "scene", "entityId": "intro"}
    return {**op, "assetType": "video_chunk", "name": name, **over}


class Sidecar:
    """A registered sidecar in one session: what the daemon is to the functions."""

    def __init__(self, caller: Caller, *, sidecar_id: str, session_id: str, project_id: str = "p") -> None:
        """Register a first journal."""
        self.caller, self.sidecar_id = caller, sidecar_id
        self.session_id, self.project_id = session_id, project_id
        self.acked_seq = 0
        self.epoch = self.register("journal-1")["epoch"]

    def register(self, journal_id: str) -> Any:
        """Announce a journal; the epoch in use stays."""
        return self.caller.mutation("sidecar:register", sidecarId=self.sidecar_id, journalId=journal_id)

    def apply(self, *ops: dict[str, Any], **over: Any) -> list[dict[str, Any]]:
        """Send ops; return the results."""
        args: dict[str, Any] = {
            "sidecarId": self.sidecar_id,
            "projectId": self.project_id,
            "sessionId": self.session_id,
        }
        args |= {"epoch": self.epoch, "ackedSeq": self.acked_seq, "ops": list(ops)}
        results: list[dict[str, Any]] = self.caller.mutation("sidecar:applyAssets", **{**args, **over})
        return results

    def outcomes(self, *ops: dict[str, Any]) -> list[str]:
        """Send ops; return only what became of each."""
        return [result["outcome"] for result in self.apply(*ops)]
