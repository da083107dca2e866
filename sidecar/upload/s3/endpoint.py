"""Says where the bucket is, from the settings and AWS's own variables and files; and its addresses.

A region of the environment is for AWS: every pod has an AWS_REGION, and most other stores know only
us-east-1. So a store that ``s3.endpoint_url`` names keeps ``s3.region``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from urllib.parse import quote, urlsplit

from sidecar.core.checksum_algorithms import Algorithm
from sidecar.core.errors import FatalError
from sidecar.settings.s3 import S3
from sidecar.settings.secret import Secret
from sidecar.trust import Bundle

from .aws_environment import read_aws_environment, takes_region
from .credentials import Keys

_AS_IT_IS = re.compile(r"[A-Za-z0-9_.~/-]*")  # what no address quotes, as most keys are


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Config:
    """``settings.s3`` as the adapter needs it.

    ``keys`` are asked for again and again, so that secrets in files may change, in a thread if
    ``keys_in_files``; None means the AWS chain (environment, profile, container, IMDS, web identity), which
    renews itself. ``alone`` lets the chain do without a profile. ``dualstack``, ``fips`` and ``accelerate``
    are AWS's own endpoints. ``checksum`` None is auto.
    """

    bucket: str
    region: str
    chain_region: str | None = None
    endpoint_url: str | None = None
    addressing: str = "auto"
    dualstack: bool = False
    fips: bool = False
    accelerate: bool = False
    keys: Callable[[], Keys] | None = None
    keys_in_files: bool = False
    profile: str | None = None
    alone: bool = False
    ca_bundle: str | None = None
    aws_ca_bundle: Bundle | None = None
    app_id: str | None = None
    checksum: Algorithm | None = Algorithm.CRC64NVME
    encryption: str = "none"  # none | aes256 | aws:kms
    kms_key_id: str | None = None
    bucket_key: bool = False
    public_base_url: str | None = None

    @property
    def on_aws(self) -> bool:
        """Whether the endpoint is Amazon's own."""
        host = urlsplit(self.endpoint_url).hostname if self.endpoint_url else None
        return host is None or host.endswith((".amazonaws.com", ".amazonaws.com.cn"))

    @property
    def addressing_style(self) -> str:
        """``path`` or ``virtual`` (bucket in the host name)."""
        if self.addressing != "auto":
            return self.addressing
        return "virtual" if self.on_aws and "." not in self.bucket else "path"

    @property
    def bucket_url(self) -> str:
        """The bucket's address, by which requests go as well."""
        base = urlsplit(self.endpoint_url or f"https://{self._aws_host}")
        prefix = base.path.rstrip("/")
        if self.addressing_style == "virtual":
            return f"{base.scheme}://{self.bucket}.{base.netloc}{prefix}"
        return f"{base.scheme}://{base.netloc}{prefix}/{self.bucket}"

    @property
    def _aws_host(self) -> str:
        domain = "amazonaws.com.cn" if self.region.startswith("cn-") else "amazonaws.com"
        stack = ".dualstack" if self.dualstack else ""
        if self.accelerate:
            return f"s3-accelerate{stack}.{domain}"
        return f"s3{'-fips' if self.fips else ''}{stack}.{self.region}.{domain}"


def s3_config(settings: S3) -> S3Config:
    """Return the settings as the adapter needs them. Blocking. Raises FatalError (78)."""
    shared = read_aws_environment(settings)
    region = shared.region if takes_region(settings) else None
    endpoint_url = settings.endpoint_url or shared.endpoint_url
    asked = settings.addressing if settings.addressing != "auto" else shared.addressing
    on_aws = endpoint_url is None
    return S3Config(
        bucket=settings.bucket,
        region=region or settings.region,
        chain_region=shared.region,
        endpoint_url=endpoint_url,
        addressing=asked if asked in ("path", "virtual") else "auto",
        dualstack=on_aws and shared.dualstack,
        fips=on_aws and shared.fips,
        accelerate=on_aws and shared.accelerate and "." not in settings.bucket and asked != "path",
        keys=None if settings.access_key_id is None else _asked_for(settings),
        keys_in_files=_are_in_files(settings),
        profile=settings.profile,
        alone=shared.alone,
        ca_bundle=str(settings.ca_bundle) if settings.ca_bundle else None,
        aws_ca_bundle=shared.ca_bundle,
        app_id=shared.app_id,
        checksum=None if settings.checksum == "auto" else Algorithm(settings.checksum),
        encryption=settings.encryption.mode,
        kms_key_id=settings.encryption.kms_key_id,
        bucket_key=settings.encryption.bucket_key,
        public_base_url=settings.public_base_url,
    )


def require_https(config: S3Config) -> None:
    """Raise FatalError (78) where the bucket's address, which the environment may have set, is not https."""
    if urlsplit(config.bucket_url).scheme != "https":
        message = f"S3 would be asked at {config.endpoint_url}, which is not https, and https_only is true"
        hint = "name an https address in s3.endpoint_url, or correct AWS_ENDPOINT_URL_S3 and its like"
        raise FatalError(message, exit_status=78, hint=hint)


def object_url(config: S3Config, key: str) -> str:
    """Return the stable, percent-encoded, unsigned address of an object."""
    return object_urls(config)(key)


def object_urls(config: S3Config) -> Callable[[str], str]:
    """Return what gives the addresses of many objects."""
    base = config.bucket_url if config.public_base_url is None else config.public_base_url.rstrip("/")
    return lambda key: f"{base}/{quoted(key)}"


def quoted(key: str) -> str:
    """Return an object's key as addresses have it."""
    return key if _AS_IT_IS.fullmatch(key) else quote(key, safe="/~")


def _asked_for(settings: S3) -> Callable[[], Keys]:
    """Return what gives the keys as they are: the same ones each time where none is in a file."""
    if _are_in_files(settings):
        return partial(_keys, settings)
    keys = _keys(settings)
    return lambda: keys


def _are_in_files(settings: S3) -> bool:
    return any(secret is not None and secret.path for secret in _secrets(settings))


def _keys(settings: S3) -> Keys:
    """Read the keys as they are now. Blocking. Raises SidecarError (UNAUTHORIZED) for unreadable files."""
    key_id, secret, token = _secrets(settings)
    return Keys(
        access_key_id=key_id.get() if key_id else "",
        secret_access_key=secret.get() if secret else "",
        session_token=token.get() if token else None,
    )


def _secrets(settings: S3) -> tuple[Secret | None, Secret | None, Secret | None]:
    return settings.access_key_id, settings.secret_access_key, settings.session_token
