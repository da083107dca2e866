"""What a bucket should have beside rights: who may read from pages, what S3 tidies, how it encrypts.

Each of them is merged into what is there: what is marked as ours is replaced, and nobody else's is touched.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .s3_access import VERSION, BucketUse, Statement, is_ours

Document = dict[str, Any]
DAY_SECONDS = 86_400
MARK = "render-sidecar"
_READ_HEADERS = ("Accept-Ranges", "Content-Length", "Content-Range", "ETag")


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """How long versions that were replaced or deleted stay in a bucket that keeps versions.

    ``kept``: so many of each key stay in any case, where keys are overwritten in place.
    """

    seconds: float
    kept: int | None


def cors_rule(origins: Sequence[str]) -> Document:
    """Return the rule by which pages of these origins may read objects, in ranges, too."""
    return {
        "ID": f"{MARK} players",
        "AllowedOrigins": list(origins),
        "AllowedMethods": ["GET", "HEAD"],
        "AllowedHeaders": ["*"],
        "ExposeHeaders": list(_READ_HEADERS),
        "MaxAgeSeconds": 3600,
    }


def lifecycle_rules(use: BucketUse, *, abort_days: int, history: History) -> list[Document]:
    """Return the rules for uploads that nobody ends, and for old versions, for each area of keys."""
    days = max(1, math.ceil(history.seconds / DAY_SECONDS))
    kept = {} if history.kept is None else {"NewerNoncurrentVersions": history.kept}
    return [
        {
            "ID": f"{MARK} {folder}".rstrip(),
            "Status": "Enabled",
            "Filter": {"Prefix": folder},
            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": abort_days},
            "NoncurrentVersionExpiration": {"NoncurrentDays": days, **kept},
            "Expiration": {"ExpiredObjectDeleteMarker": True},
        }
        for folder in use.folders
    ]


def encryption_rule(use: BucketUse, *, bucket_key: bool) -> Document:
    """Return how the bucket encrypts what comes without a word about it: as the settings ask, else SSE-S3."""
    if use.encryption != "aws:kms":
        return {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
    key = {"KMSMasterKeyID": use.kms_key} if use.kms_key else {}
    return {
        "ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", **key},
        **({"BucketKeyEnabled": True} if bucket_key else {}),
    }


def merged_policy(there: Document | None, ours: Sequence[Statement], use: BucketUse) -> Document:
    """Return a bucket policy with our statements in the place of our earlier ones."""
    before = (there or {}).get("Statement", [])
    others = [one for one in (before if isinstance(before, list) else [before]) if not is_ours(one, use)]
    return {**(there or {"Version": VERSION}), "Statement": [*others, *ours]}


def merged_rules(there: Sequence[Document], ours: Sequence[Document]) -> list[Document]:
    """Return rules of CORS or of a lifecycle, ours in the place of those of the same ID."""
    names = {rule["ID"] for rule in ours}
    return [*(rule for rule in there if rule.get("ID") not in names), *ours]


def is_same(one: Any, other: Any) -> bool:
    """Tell whether two documents say the same; S3 gives a list of one back as what is in it."""
    return bool(_plain(one) == _plain(other))


def is_default_encryption(rule: Mapping[str, Any] | None) -> bool:
    """Tell whether a bucket's encryption is what S3 gives to every bucket, so that nobody chose it."""
    by_default = (rule or {}).get("ApplyServerSideEncryptionByDefault", {})
    return bool(by_default.get("SSEAlgorithm", "AES256") == "AES256")


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _plain(below) for name, below in value.items()}
    if isinstance(value, list) and len(value) == 1:
        return _plain(value[0])
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return value
