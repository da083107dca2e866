"""Signs addresses of objects for a while, for whoever holds them: AWS Signature Version 4 in the query."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote, urlencode, urlsplit

from .credentials import Keys
from .endpoint import S3Config
from .sigv4 import Signer, Unsigned

SECONDS_MAX = 7 * 24 * 3600  # S3's own limit
_DAY_CHARS = 8


def require_seconds(seconds: object) -> None:
    """Raise ValueError for a time that S3 does not sign for."""
    if isinstance(seconds, bool) or not isinstance(seconds, int) or not 1 <= seconds <= SECONDS_MAX:
        raise ValueError(f"an address is signed for 1 to {SECONDS_MAX} whole seconds, not for {seconds!r}")


def presigned_url(
    config: S3Config,
    keys: Keys,
    key: str,
    *,
    seconds: int,
    stamp: str,
    answer: Mapping[str, str] | None = None,
) -> str:
    """Return an address that GETs an object until ``seconds`` after ``stamp`` (``sigv4.STAMP``, S3's time).

    ``answer`` are headers that S3 is to answer with, such as ``response-content-disposition``. It ends sooner
    where temporary keys do. Raises ValueError for a time that S3 does not sign for.
    """
    require_seconds(seconds)
    url = f"{config.bucket_url}/{quote(key, safe='/-_.~')}"
    place = urlsplit(url)
    query = {
        **(answer or {}),
        "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
        "X-Amz-Credential": f"{keys.access_key_id}/{stamp[:_DAY_CHARS]}/{config.region}/s3/aws4_request",
        "X-Amz-Date": stamp,
        "X-Amz-Expires": str(seconds),
        "X-Amz-SignedHeaders": "host",
    }
    if keys.session_token is not None:
        query["X-Amz-Security-Token"] = keys.session_token
    text = urlencode(sorted(query.items()), quote_via=quote, safe="-_.~")
    request = Unsigned(method="GET", path=place.path, query=text, headers={"host": place.netloc})
    signed = Signer(region=config.region).authorization(
        request, access_key=keys.access_key_id, secret_key=keys.secret_access_key, stamp=stamp
    )
    return f"{url}?{text}&X-Amz-Signature={signed.rpartition('Signature=')[2]}"
