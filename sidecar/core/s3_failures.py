"""The table of what S3, and what calls itself S3, means by a refusal: codes first, then statuses.

Only rows of scope OBJECT cost a file an attempt at once: S3 says these of that very object, whoever sends
it. Sources: AWS (Amazon S3 API Reference, Error responses), MinIO (cmd/api-errors.go), Ceph (rgw_common.cc),
R2 (Cloudflare's page of error codes), B2 (Backblaze's S3-compatible API), Wasabi (its API guide),
SeaweedFS (s3api_errors.go), StorageGRID (NetApp's error responses), Ozone (S3ErrorTable), NooBaa
(s3_errors.js), HTTP (RFC 9110, 4918, 6585; nginx).
"""

from __future__ import annotations

from .errors import ErrorKind as Kind
from .errors import Scope
from .failures import RefusalRow

CHECK_KEYS = "check s3.access_key_id and s3.secret_access_key, or the AWS credential chain"
RENEW = "the session token has expired: renew it"
OTHER_KEYS = "the session token is malformed or belongs to other keys: check s3.session_token"
BUCKET = "create the bucket, or correct s3.bucket, s3.region or s3.endpoint_url"
REGION = "set s3.region to the bucket's region"
RIGHTS = "the credentials lack a right: s3:PutObject, s3:GetObject, s3:ListBucket, s3:AbortMultipartUpload"
CLOCK = "set this machine's clock"
CHECKSUM_WAYS = "set s3.checksum: auto, which takes what the store confirms, or s3.checksum: md5"
CHECKSUM = f"the store does not know this checksum: {CHECKSUM_WAYS}"
REFUSED = f"the store's own words say what it refuses; if it is the checksum, {CHECKSUM_WAYS}"
NOT_THE_CHECKSUM = "the store's own words say what it refuses; it is so with every checksum"
QUOTA = "free space or raise the quota"
UNPAID = "the account is suspended, unpaid or not entitled: settle it with the store's operator"
ENCRYPTION = (
    "check s3.encryption and the bucket's default encryption; a KMS key must be enabled, in this region, and"
    " allow kms:GenerateDataKey and kms:Decrypt"
)
ENDPOINT = "check s3.endpoint_url and the network"
NOT_S3 = "is s3.endpoint_url the S3 API, with nothing before it that answers in its place?"
TOO_LARGE = "S3 takes no object or part of this size: see s3.part_size"
NAME = "S3 takes no key like this: change the file's name, or the rule's key"
FRONT = "a proxy or balancer before S3 limits requests: raise its limit, or let the sidecar pass it by"
NO_REASON = (
    "S3 gives no reason: often an expired session token, a wrong s3.region, or an encryption or a checksum"
    " that it does not know"
)
PROXY = "a proxy before S3 wants its own credentials: http://user:password@host in HTTPS_PROXY or HTTP_PROXY"
PORTAL = "a network login stands in the way"
FOREIGN = "NotS3"  # our own code for a 404 that is not S3's: it does not say that an object is not there

_REFUSALS = "InvalidArgument InvalidRequest NotImplemented XNotImplemented"


def _codes(
    kind: Kind,
    scope: Scope,
    hint: str | None = None,
    *,
    words: str | None = None,
    maybe_done: bool = False,
    redacted: bool = False,
    **codes: str,
) -> tuple[RefusalRow, ...]:
    """Return a row for each code; ``codes`` are lists of words, named after their sources."""
    return tuple(
        RefusalRow(
            kind=kind,
            scope=scope,
            hint=hint,
            code=code,
            words=words,
            maybe_done=maybe_done,
            redacted=redacted,
            source=source,
        )
        for source, listed in codes.items()
        for code in listed.split()
    )


def _status(
    first: int,
    kind: Kind,
    scope: Scope = Scope.REMOTE,
    hint: str | None = None,
    *,
    last: int | None = None,
    maybe_done: bool = False,
    bodyless: bool | None = None,
    redacted: bool = False,
) -> RefusalRow:
    return RefusalRow(
        kind=kind, scope=scope, hint=hint, statuses=(first, last or first), bodyless=bodyless,
        maybe_done=maybe_done, redacted=redacted, source="HTTP",
    )  # fmt: skip


_BY_WORDS = (  # codes that mean several things
    *_codes(Kind.FORBIDDEN, Scope.BUCKET, ENCRYPTION, words="kms", AWS="AccessDenied", MinIO=_REFUSALS),
    *_codes(Kind.FORBIDDEN, Scope.BUCKET, ENCRYPTION, words="encryption", AWS=_REFUSALS),
    *_codes(Kind.QUOTA, Scope.BUCKET, QUOTA, words="cap exceeded", B2="AccessDenied"),
    *_codes(Kind.QUOTA, Scope.BUCKET, QUOTA, words="quota", Ozone="AccessDenied InternalError"),
    *_codes(Kind.QUOTA, Scope.BUCKET, QUOTA, words="no space left", MinIO="InternalError"),
    *_codes(Kind.UNAUTHORIZED, Scope.CREDENTIALS, CLOCK, words="expired", MinIO="AccessDenied"),
    *_codes(Kind.UNAUTHORIZED, Scope.CREDENTIALS, CLOCK, words="not valid yet", SeaweedFS="AccessDenied"),
    *_codes(Kind.UNAUTHORIZED, Scope.CREDENTIALS, CHECK_KEYS, words="authorization", MinIO="InvalidRequest"),
    *_codes(
        Kind.UNAUTHORIZED, Scope.CREDENTIALS, CHECK_KEYS, words="authentication", SeaweedFS="InvalidRequest"
    ),
    *_codes(Kind.INVALID, Scope.OBJECT, NAME, words="WORM", MinIO="InvalidRequest"),
    *_codes(Kind.INVALID, Scope.BUCKET, CHECKSUM, words="checksum", B2=_REFUSALS),
    *_codes(Kind.INVALID, Scope.BUCKET, CHECKSUM, words="trailer", B2=_REFUSALS),
)

_BY_CODE = (
    *_codes(
        Kind.THROTTLED, Scope.REMOTE,
        AWS="SlowDown ServiceUnavailable Throttling ThrottlingException TooManyRequests RequestLimitExceeded"
        " BandwidthLimitExceeded KMS.ThrottlingException",
        MinIO="SlowDownRead SlowDownWrite ServerBusy XMinioServerNotInitialized",
        SeaweedFS="ErrTooManyRequest ErrRequestBytesExceed",
        Wasabi="TemporarilyUnavailable",
    ),
    *_codes(
        Kind.UNAUTHORIZED, Scope.CREDENTIALS, CHECK_KEYS,
        AWS="InvalidAccessKeyId SignatureDoesNotMatch InvalidSecurity MissingSecurityHeader"
        " MissingAuthenticationToken InvalidClientTokenId UnrecognizedClientException AuthFailure",
        R2="Unauthorized",
    ),
    *_codes(
        Kind.UNAUTHORIZED, Scope.CREDENTIALS, RENEW,
        AWS="ExpiredToken ExpiredTokenException TokenRefreshRequired",
    ),
    *_codes(Kind.UNAUTHORIZED, Scope.CREDENTIALS, OTHER_KEYS, AWS="InvalidToken"),
    *_codes(
        Kind.UNAUTHORIZED, Scope.CREDENTIALS, CLOCK,
        AWS="RequestTimeTooSkewed RequestExpired", R2="ExpiredRequest",
    ),
    *_codes(
        Kind.UNAUTHORIZED, Scope.CREDENTIALS, REGION,
        AWS="AuthorizationHeaderMalformed",
        MinIO="InvalidRegion AuthorizationParametersError AuthorizationQueryParametersError",
    ),
    *_codes(
        Kind.FORBIDDEN, Scope.BUCKET, ENCRYPTION,
        AWS="KMS.* KMS* Kms*",
        MinIO="XMinioKMS* InvalidEncryptionMethod",
        Ceph="InvalidEncryptionAlgorithmError",
    ),
    *_codes(Kind.FORBIDDEN, Scope.CREDENTIALS, RIGHTS, AWS="AccessDenied AllAccessDisabled"),
    *_codes(
        Kind.QUOTA, Scope.CREDENTIALS, UNPAID,
        AWS="AccountProblem NotSignedUp InvalidPayer", R2="NotEntitled", Ceph="UserSuspended",
    ),
    *_codes(
        Kind.QUOTA, Scope.BUCKET, QUOTA,
        Ceph="QuotaExceeded",
        MinIO="XMinioStorageFull XMinioAdminBucketQuotaExceeded InsufficientStorage",
        B2="StorageCapExceeded TransactionCapExceeded",
        Ozone="QUOTA_EXCEEDED",
        NooBaa="ObjectQuotaExceeded StorageLimitExceeded",
    ),
    *_codes(Kind.NOT_FOUND, Scope.BUCKET, BUCKET, AWS="NoSuchBucket InvalidBucketName"),
    *_codes(
        Kind.NOT_FOUND, Scope.BUCKET, REGION,
        AWS="PermanentRedirect TemporaryRedirect Redirect IllegalLocationConstraintException",
    ),
    *_codes(Kind.NOT_FOUND, Scope.REMOTE, AWS="NoSuchUpload NoSuchKey"),
    *_codes(
        Kind.CORRUPT, Scope.OBJECT,  # the file was read once more before it came to this
        AWS="BadDigest XAmzContentChecksumMismatch XAmzContentSHA256Mismatch",
    ),
    *_codes(Kind.INVALID, Scope.OBJECT, TOO_LARGE, AWS="EntityTooSmall EntityTooLarge"),
    *_codes(
        Kind.INVALID, Scope.OBJECT, NAME,
        AWS="KeyTooLongError MetadataTooLarge InvalidURI",
        StorageGRID="KeyTooLong",
        R2="InvalidObjectName",
        MinIO="XMinioInvalidObjectName XMinioObjectExistsAsDirectory XMinioParentIsObject",
        SeaweedFS="ExistingObjectIsDirectory ExistingObjectIsFile",
    ),
    *_codes(Kind.CORRUPT, Scope.REMOTE, AWS="InvalidPart InvalidPartOrder"),  # the upload is begun anew
    *_codes(Kind.INVALID, Scope.BUCKET, REFUSED, B2=_REFUSALS, AWS="InvalidDigest"),
    *_codes(Kind.INVALID, Scope.REMOTE, NOT_S3, AWS="MalformedXML MissingContentLength"),
    *_codes(Kind.FORBIDDEN, Scope.REMOTE, NOT_S3, AWS="MethodNotAllowed"),
    *_codes(Kind.CONFLICT, Scope.REMOTE, AWS="OperationAborted ConditionalRequestConflict"),
    *_codes(Kind.CONFLICT, Scope.REMOTE, maybe_done=True, AWS="PreconditionFailed"),  # an earlier delivery
    *_codes(Kind.UNKNOWN, Scope.REMOTE, NOT_S3, maybe_done=True, redacted=True, HTTP=FOREIGN),
    *_codes(Kind.NETWORK, Scope.REMOTE, AWS="RequestTimeout IncompleteBody"),
    *_codes(
        Kind.NETWORK, Scope.REMOTE, maybe_done=True,
        AWS="InternalError InternalFailure InternalServerError",
        MinIO="ClientDisconnected XMinioBackendDown",
    ),
)  # fmt: skip

_BY_STATUS = (
    _status(301, Kind.NOT_FOUND, Scope.BUCKET, REGION),
    _status(307, Kind.NOT_FOUND, Scope.BUCKET, REGION, last=308),
    _status(300, Kind.NOT_FOUND, Scope.BUCKET, ENDPOINT, last=399),
    _status(400, Kind.INVALID, Scope.REMOTE, NO_REASON, bodyless=True),  # as any answer to HEAD
    _status(400, Kind.INVALID, Scope.REMOTE, REFUSED, bodyless=False),
    _status(401, Kind.UNAUTHORIZED, Scope.CREDENTIALS, CHECK_KEYS),
    _status(402, Kind.QUOTA, Scope.CREDENTIALS, UNPAID),
    _status(403, Kind.FORBIDDEN, Scope.CREDENTIALS, f"{RIGHTS}; or the keys are wrong: {CHECK_KEYS}"),
    _status(404, Kind.NOT_FOUND, Scope.BUCKET, BUCKET),
    _status(405, Kind.FORBIDDEN, Scope.REMOTE, NOT_S3),
    _status(407, Kind.UNAUTHORIZED, Scope.REMOTE, PROXY),
    _status(408, Kind.NETWORK, maybe_done=True),
    _status(409, Kind.CONFLICT),
    _status(411, Kind.INVALID, Scope.REMOTE, NOT_S3),
    _status(412, Kind.CONFLICT, maybe_done=True),
    _status(413, Kind.UNKNOWN, Scope.REMOTE, FRONT, redacted=True),
    _status(417, Kind.UNKNOWN, Scope.REMOTE, NOT_S3, redacted=True),
    _status(421, Kind.NETWORK, Scope.REMOTE, ENDPOINT),
    _status(425, Kind.THROTTLED),
    _status(429, Kind.THROTTLED),
    _status(431, Kind.UNKNOWN, Scope.REMOTE, FRONT, redacted=True),
    _status(499, Kind.NETWORK, maybe_done=True),
    _status(501, Kind.INVALID, Scope.REMOTE, REFUSED),
    _status(503, Kind.THROTTLED),
    _status(507, Kind.QUOTA, Scope.BUCKET, QUOTA),
    _status(511, Kind.NETWORK, Scope.REMOTE, PORTAL),
    _status(500, Kind.NETWORK, last=599, maybe_done=True),
    _status(0, Kind.UNKNOWN, Scope.REMOTE, NOT_S3, last=999, maybe_done=True),
)

S3_ROWS: tuple[RefusalRow, ...] = (*_BY_WORDS, *_BY_CODE, *_BY_STATUS)
