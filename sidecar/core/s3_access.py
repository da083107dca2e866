"""The least rights on a bucket, as IAM writes them: what each role calls under these settings, and no more.

Rights on objects are given by area of keys. ListBucket is given on the bucket: HeadBucket, and HEAD's 404 for
an object that is not there, need it without a condition on the prefix, and sweeps list the whole bucket. So
whoever writes one project may read the names of others' keys; a bucket for each project hides them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import Any

from .key_areas import KeyArea

Statement = dict[str, Any]
_FOR_ALL = ("TlsOnly", "KmsOnly", "OurKeyOnly")
VERSION = "2012-10-17"
MARK = "RenderSidecar"  # begins the Sid of each statement of ours


class Role(StrEnum):
    """Who uses the bucket."""

    PRODUCER = "producer"  # a sidecar, or the library where it stores
    READER = "reader"  # what plays objects: a CDN, a backend that signs addresses
    BACKEND = "backend"  # what lists, compares and deletes for the platform


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Who gets rights by a bucket policy; ``source_arn``: a service, for this resource of ours alone."""

    arn: str
    source_arn: str | None = None

    @property
    def said(self) -> dict[str, str]:
        """The element ``Principal``."""
        return {"Service" if self.source_arn else "AWS": self.arn}


@dataclass(frozen=True, slots=True, kw_only=True)
class BucketUse:
    """What settings make of a bucket. ``kms_key`` is an id, an ARN or an alias; None: none of one's own."""

    bucket: str
    region: str
    areas: tuple[KeyArea, ...]
    projects: tuple[str, ...] = ()  # none: whatever comes
    tags: bool = False
    encryption: str = "none"  # none | aes256 | aws:kms
    kms_key: str | None = None

    @property
    def partition(self) -> str:
        """Amazon's part of the world, which each ARN names."""
        return next((part for begin, part in _PARTITIONS.items() if self.region.startswith(begin)), "aws")

    @property
    def bucket_arn(self) -> str:
        """The bucket."""
        return f"arn:{self.partition}:s3:::{self.bucket}"

    @property
    def object_arns(self) -> list[str]:
        """The objects of all areas."""
        return [f"{self.bucket_arn}/{one.pattern}" for one in self.areas]

    @property
    def mark(self) -> str:
        """What the Sids of rights begin with: another one for other projects, so that both stay."""
        which = sha256("/".join(self.projects).encode()).hexdigest()[:_MARK_CHARS].upper()
        return f"{MARK}{which}" if self.projects else MARK

    @property
    def folders(self) -> list[str]:
        """Where their keys begin, outermost alone."""
        found = sorted(one.folder for one in self.areas)
        return [one for at, one in enumerate(found) if not any(one.startswith(outer) for outer in found[:at])]


_MARK_CHARS = 8
_PARTITIONS = {"cn-": "aws-cn", "us-gov-": "aws-us-gov"}
_ON_BUCKET: Mapping[Role, Sequence[str]] = {
    Role.PRODUCER: ("s3:ListBucket", "s3:ListBucketMultipartUploads"),
    Role.READER: (),
    Role.BACKEND: ("s3:ListBucket", "s3:ListBucketMultipartUploads"),  # it finishes what producers left
}
_ON_OBJECTS: Mapping[Role, Sequence[str]] = {
    Role.PRODUCER: (
        "s3:AbortMultipartUpload",
        "s3:DeleteObject",
        "s3:GetObject",  # HEAD
        "s3:ListMultipartUploadParts",
        "s3:PutObject",  # Create, parts and Complete, too
    ),
    Role.READER: ("s3:GetObject",),
    Role.BACKEND: ("s3:DeleteObject", "s3:GetObject"),
}
_WITH_KEY: Mapping[Role, Sequence[str]] = {
    Role.PRODUCER: ("kms:Decrypt", "kms:GenerateDataKey"),  # Decrypt: Complete reads the parts
    Role.READER: ("kms:Decrypt",),
    Role.BACKEND: ("kms:Decrypt",),
}


def identity_policy(use: BucketUse, role: Role) -> dict[str, Any]:
    """Return the policy of a user or role; one of another account needs the bucket's policy as well."""
    return {"Version": VERSION, "Statement": [*_rights(use, role, {}), *_key_rights(use, role)]}


def bucket_statements(
    use: BucketUse, granted: Sequence[tuple[Role, Principal]], *, tls_only: bool = True
) -> list[Statement]:
    """Return our statements of a bucket policy: TLS alone, the encryption that is asked for, who may what."""
    rights = [
        statement
        for role in Role
        for principals in [[principal for given, principal in granted if given is role]]
        for number, principal in enumerate(principals, 1)
        for statement in _rights(
            use, role, _granted_to(principal), number=number if len(principals) > 1 else None
        )
    ]
    return [*([_tls_only(use)] if tls_only else []), *_encrypted_only(use), *rights]


def is_ours(statement: Mapping[str, Any], use: BucketUse) -> bool:
    """Tell whether ``bucket_statements`` made a statement of a bucket policy, for the same projects."""
    sid = str(statement.get("Sid", ""))
    rights = rf"{use.mark}({'|'.join(role.capitalize() for role in Role)})[0-9]*(Bucket|Objects)"
    return sid in {f"{MARK}{name}" for name in _FOR_ALL} or re.fullmatch(rights, sid) is not None


def _granted_to(principal: Principal) -> dict[str, Any]:
    source = principal.source_arn
    condition = {"Condition": {"StringEquals": {"AWS:SourceArn": source}}} if source else {}
    return {"Principal": principal.said, **condition}


def _rights(
    use: BucketUse, role: Role, to: Mapping[str, Any], *, number: int | None = None
) -> list[Statement]:
    name = f"{use.mark}{role.capitalize()}{number or ''}"
    on_objects = [
        *_ON_OBJECTS[role],
        *(["s3:PutObjectTagging"] if use.tags and role is Role.PRODUCER else []),
    ]
    objects = _allow(f"{name}Objects", on_objects, use.object_arns, to)
    if not _ON_BUCKET[role]:
        return [objects]
    return [_allow(f"{name}Bucket", _ON_BUCKET[role], [use.bucket_arn], to), objects]


def _allow(sid: str, actions: Sequence[str], resources: Sequence[str], to: Mapping[str, Any]) -> Statement:
    return {"Sid": sid, "Effect": "Allow", "Action": sorted(actions), "Resource": list(resources), **to}


def _key_rights(use: BucketUse, role: Role) -> list[Statement]:
    """Return the rights on the key, through S3 alone. The account's own key, aws/s3, needs none."""
    if use.encryption != "aws:kms" or use.kms_key is None:
        return []
    through = {"StringEquals": {"kms:ViaService": f"s3.{use.region}.amazonaws.com{_suffix(use)}"}}
    if _is_key_arn(use.kms_key):
        return [_allow(f"{MARK}Key", _WITH_KEY[role], [use.kms_key], {"Condition": through})]
    alias = use.kms_key.rpartition(":")[2]
    keys = f"arn:{use.partition}:kms:{use.region}:*:key/"
    if not alias.startswith("alias/"):
        return [_allow(f"{MARK}Key", _WITH_KEY[role], [keys + alias], {"Condition": through})]
    named = {"ForAnyValue:StringEquals": {"kms:ResourceAliases": alias}}
    return [_allow(f"{MARK}Key", _WITH_KEY[role], [f"{keys}*"], {"Condition": {**through, **named}})]


def _is_key_arn(key: str) -> bool:
    return key.startswith("arn:") and ":alias/" not in key


def _suffix(use: BucketUse) -> str:
    return ".cn" if use.partition == "aws-cn" else ""


def _deny(sid: str, action: str, resources: Sequence[str], condition: Mapping[str, Any]) -> Statement:
    return {
        "Sid": f"{MARK}{sid}",
        "Effect": "Deny",
        "Principal": "*",
        "Action": action,
        "Resource": list(resources),
        "Condition": dict(condition),
    }


def _tls_only(use: BucketUse) -> Statement:
    everything = [use.bucket_arn, f"{use.bucket_arn}/*"]
    return _deny("TlsOnly", "s3:*", everything, {"Bool": {"aws:SecureTransport": "false"}})


def _encrypted_only(use: BucketUse) -> list[Statement]:
    """Refuse what is not encrypted with KMS, and what names another key than ours, where ours has an ARN.

    The condition is on a key's ARN: compared with an alias, our own writes may be refused.
    """
    if use.encryption != "aws:kms":
        return []
    objects = [f"{use.bucket_arn}/*"]
    other = {"StringNotEquals": {"s3:x-amz-server-side-encryption": "aws:kms"}}
    found = [_deny("KmsOnly", "s3:PutObject", objects, other)]
    if use.kms_key is not None and _is_key_arn(use.kms_key):
        named = {"ArnNotEqualsIfExists": {"s3:x-amz-server-side-encryption-aws-kms-key-id": use.kms_key}}
        found.append(_deny("OurKeyOnly", "s3:PutObject", objects, named))
    return found
