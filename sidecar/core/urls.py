"""Where an object is read from: stable, percent-encoded, never signed."""

from __future__ import annotations

from urllib.parse import quote, urlsplit


def asset_url(
    *,
    bucket: str,
    key: str,
    region: str = "us-east-1",
    endpoint_url: str | None = None,
    addressing: str = "auto",
    public_base_url: str | None = None,
) -> str:
    """Return the object's URL: below the CDN's if there is one, else the store's own.

    ``addressing`` is auto, path or virtual; auto puts the bucket into the host's name on AWS, where its
    certificate covers it (no dots in the bucket's name), and into the path elsewhere.
    """
    path = quote(key, safe="/")
    if public_base_url:
        return f"{public_base_url.rstrip('/')}/{path}"
    endpoint = (endpoint_url or _aws(region)).rstrip("/")
    if addressing == "virtual" or (addressing == "auto" and not endpoint_url and "." not in bucket):
        parts = urlsplit(endpoint)
        return f"{parts.scheme}://{bucket}.{parts.netloc}{parts.path}/{path}"
    return f"{endpoint}/{quote(bucket)}/{path}"


def _aws(region: str) -> str:
    suffix = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    return f"https://s3.{region}.{suffix}"
