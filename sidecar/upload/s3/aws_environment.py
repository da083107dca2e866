"""Reads what the environment and AWS's shared files say of S3, where our own settings say nothing.

Read once, at the start: the client, the address of an object and the way there then agree. Files that are not
needed may be wrong: who gives keys needs no profile.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import structlog
from botocore.exceptions import BotoCoreError

from sidecar.core.errors import FatalError
from sidecar.settings.s3 import S3
from sidecar.settings.types import http_url
from sidecar.trust import Bundle, aws_bundle

log = structlog.get_logger()

_HINT = "correct the environment, or set the same in the configuration's section s3"
_PROFILE = "the AWS profile's"
_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
_NAMES_OF_PROFILES = ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE")
_FILES = ("~/.aws/config", "~/.aws/credentials")
_REGIONS = ("AWS_REGION", "AWS_DEFAULT_REGION")
_REGION = re.compile(r"[A-Za-z0-9-]{1,64}")
REGION_DEFAULT = "us-east-1"


@dataclass(frozen=True, slots=True, kw_only=True)
class AwsEnvironment:
    """``alone``: a profile could not be read, and the environment's keys do without it."""

    endpoint_url: str | None
    region: str | None
    ca_bundle: Bundle | None
    addressing: str | None
    dualstack: bool
    fips: bool
    accelerate: bool
    app_id: str | None
    alone: bool


def read_aws_environment(settings: S3) -> AwsEnvironment:
    """Read them. Blocking. Raises FatalError (78) for what is needed and cannot be used."""
    environ, alone = os.environ, False
    try:
        profile, endpoint = _profile(settings.profile)
    except (BotoCoreError, OSError, ValueError) as error:
        if settings.profile is not None or not _has_keys(settings, environ):
            message = f"the shared AWS configuration: {' '.join(str(error).split())}"
            raise FatalError(message, exit_status=78, hint=_HINT) from None
        log.warning("aws_configuration_not_read", why=str(error))
        profile, endpoint, alone = {}, None, True
    s3 = profile.get("s3")
    s3 = s3 if isinstance(s3, dict) else {}
    ca_bundle = profile.get("ca_bundle")
    ignored = settings.endpoint_url is not None or _ignores_endpoints(environ, profile)
    return AwsEnvironment(
        endpoint_url=None if ignored else _endpoint(environ, endpoint),
        region=_region(environ, profile, needed=takes_region(settings)),
        ca_bundle=aws_bundle(environ)
        or (Bundle(path=str(ca_bundle), named_by=f"{_PROFILE} ca_bundle") if ca_bundle else None),
        addressing=s3.get("addressing_style"),
        dualstack=_on(environ.get("AWS_USE_DUALSTACK_ENDPOINT"), profile, s3, key="use_dualstack_endpoint"),
        fips=_on(environ.get("AWS_USE_FIPS_ENDPOINT"), profile, key="use_fips_endpoint"),
        accelerate=_on(None, s3, key="use_accelerate_endpoint"),
        app_id=environ.get("AWS_SDK_UA_APP_ID") or profile.get("sdk_ua_app_id"),
        alone=alone,
    )


def _profile(name: str | None) -> tuple[Mapping[str, Any], str | None]:
    """Return the profile and the endpoint that it gives S3. Raises BotoCoreError, OSError, ValueError."""
    if name is None and not _has_files(os.environ):
        return {}, None
    from aiobotocore.session import AioSession  # noqa: PLC0415 - the client library, where it reads a file
    from botocore.configprovider import ConfiguredEndpointProvider  # noqa: PLC0415 - the same

    session = AioSession(profile=name, include_builtin_handlers=False)  # it makes no client
    everything, profile = session.full_config, session.get_scoped_config()
    endpoint = ConfiguredEndpointProvider(everything, profile, "s3", environ={}).provide()
    return profile, endpoint


def _has_files(environ: Mapping[str, str]) -> bool:
    """Tell whether anything names, or may be, a file of profiles."""
    if not environ.keys().isdisjoint(_NAMES_OF_PROFILES):
        return True
    return any(os.path.lexists(os.path.expanduser(path)) for path in _FILES)  # noqa: PTH111 - as botocore does


def _has_keys(settings: S3, environ: Mapping[str, str]) -> bool:
    return settings.access_key_id is not None or bool(environ.get("AWS_ACCESS_KEY_ID"))


def _ignores_endpoints(environ: Mapping[str, str], profile: Mapping[str, Any]) -> bool:
    name = "ignore_configured_endpoint_urls"
    return _on(environ.get(f"AWS_{name.upper()}"), profile, key=name)


def _endpoint(environ: Mapping[str, str], of_profile: str | None) -> str | None:
    for name, value in _found(environ, _ENDPOINTS, f"{_PROFILE} endpoint_url", of_profile):
        try:
            return http_url(value)
        except ValueError as error:
            raise FatalError(f"{name}: {error}", exit_status=78, hint=_HINT) from None
    return None


def takes_region(settings: S3) -> bool:
    """Whether the environment gives the bucket's region: whoever names the store names its region."""
    return settings.endpoint_url is None and "region" not in settings.model_fields_set


def _region(environ: Mapping[str, str], profile: Mapping[str, Any], *, needed: bool) -> str | None:
    for name, value in _found(environ, _REGIONS, f"{_PROFILE} region", profile.get("region")):
        if _REGION.fullmatch(value):
            return value
        if needed:
            message = f"{name}: {value!r} is no region; write one such as {REGION_DEFAULT}"
            raise FatalError(message, exit_status=78, hint=_HINT)
    return None


def _found(
    environ: Mapping[str, str], variables: tuple[str, ...], last: str, value: object
) -> Iterator[tuple[str, str]]:
    """Yield what is set, the first first, with its name."""
    yield from ((name, environ[name]) for name in variables if environ.get(name))
    if value:
        yield last, str(value)


def _on(variable: str | None, *sections: Mapping[str, Any], key: str) -> bool:
    """Tell what the first that is set says, as botocore reads it."""
    said = [variable, *(section.get(key) for section in sections)]
    return next((str(value).lower() == "true" for value in said if value), False)
