"""Signs addresses for CloudFront: a canned policy, by the RSA or ECDSA key of one of its key groups."""

from __future__ import annotations

import base64
import json

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

_SHA1 = hashes.SHA1()  # noqa: S303 - CloudFront knows no other
_SAFE = str.maketrans("+=/", "-_~")  # CloudFront's own alphabet for queries


def signed_url(url: str, *, key_id: str, private_key: str, expires_at: int) -> str:
    """Return ``url`` as CloudFront opens it until ``expires_at`` (seconds since 1970).

    ``private_key`` is the PEM whose public half CloudFront has as ``key_id``. Raises ValueError for a key
    that CloudFront cannot use.
    """
    condition = {"DateLessThan": {"AWS:EpochTime": expires_at}}
    policy = json.dumps(
        {"Statement": [{"Resource": url, "Condition": condition}]}, separators=(",", ":")
    ).encode()
    signature = base64.b64encode(_sign(policy, private_key)).decode().translate(_SAFE)
    begins = "&" if "?" in url else "?"
    return f"{url}{begins}Expires={expires_at}&Signature={signature}&Key-Pair-Id={key_id}"


def _sign(policy: bytes, pem: str) -> bytes:
    try:
        key = serialization.load_pem_private_key(pem.encode(), password=None)
    except (TypeError, ValueError):
        raise ValueError(
            "urls.cloudfront_private_key is no PEM of a private key without a password"
        ) from None
    match key:
        case rsa.RSAPrivateKey():
            return key.sign(policy, padding.PKCS1v15(), _SHA1)
        case ec.EllipticCurvePrivateKey():
            return key.sign(policy, ec.ECDSA(_SHA1))
        case _:
            raise ValueError("urls.cloudfront_private_key is neither an RSA nor an ECDSA key")
