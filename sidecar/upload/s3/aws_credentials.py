"""Goes through the AWS credential chain: environment, profile, helper, STS, SSO, container, instance."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Mapping
from functools import partial
from typing import Any

from aiobotocore.config import AioConfig
from aiobotocore.credentials import (
    AioAssumeRoleProvider,
    AioCredentialResolver,
    AioCredentials,
    AioInstanceMetadataProvider,
    AioProcessProvider,
)
from aiobotocore.session import AioSession
from botocore import exceptions as boto
from botocore.httpsession import ProxyConfiguration

from sidecar.connections.proxy_route import ProxyRoute

from .credential_process import start_credential_process
from .credentials_error import CredentialsError, words_of
from .library_session import LibrarySession
from .refusals import one_line

CONNECT_SECONDS = 5
READ_SECONDS = 15
_GIVE = "set s3.access_key_id and s3.secret_access_key, or see what the AWS credential chain finds here"
_IDENTITY = (
    "the web identity token is expired or not the role's: see AWS_WEB_IDENTITY_TOKEN_FILE and AWS_ROLE_ARN"
)
_ROLE = "see the role's trust policy, and who assumes it"
_LOGIN = "log in again, with `aws sso login`"
_HELPER = "see credential_process of the AWS profile"
_REACH = "can STS, or whoever gives the credentials, be reached from here? See also HTTPS_PROXY and NO_PROXY"
_PROFILE = "see AWS_PROFILE, s3.profile and the shared AWS configuration"
_CODES = {
    **dict.fromkeys(("ExpiredTokenException", "InvalidIdentityToken", "IDPRejectedClaim"), _IDENTITY),
    **dict.fromkeys(("AccessDenied", "MalformedPolicyDocument", "RegionDisabledException"), _ROLE),
    "ExpiredToken": "the credentials that assume the role have expired: renew them",
    "SignatureDoesNotMatch": "the keys that assume the role are wrong, or this machine's clock",
}
_HINTS: tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], str], ...] = (
    ((boto.ProfileNotFound, boto.ConfigParseError, boto.InvalidConfigError), _PROFILE),
    ((boto.UnauthorizedSSOTokenError, boto.SSOTokenLoadError, boto.TokenRetrievalError), _LOGIN),
    (boto.CredentialRetrievalError, _HELPER),
    ((boto.HTTPClientError, boto.ConnectionError, boto.MetadataRetrievalError), _REACH),
    (OSError, "see the file or program that it names"),
)


for _library in ("aiobotocore.credentials", "aiobotocore.tokens", "botocore.credentials", "botocore.tokens"):
    logging.getLogger(_library).setLevel(
        logging.ERROR
    )  # what fails is told by failure_of, without a traceback


def failure_of(error: Exception) -> CredentialsError:
    """Return what ended a look-up, whatever it was, as one sentence."""
    if isinstance(error, CredentialsError):
        return error
    if isinstance(error, boto.ClientError):
        return _refused(error)
    hint = next((hint for kinds, hint in _HINTS if isinstance(error, kinds)), _GIVE)
    return CredentialsError(f"no credentials: {words_of(error)}", hint=hint, code=type(error).__name__)


def _refused(error: boto.ClientError) -> CredentialsError:
    about: Mapping[str, Any] = error.response.get("Error", {})
    code = str(about.get("Code") or "refused")
    words = one_line(
        f"{error.operation_name} was refused: {code}: {about.get('Message') or 'without a reason'}"
    )
    return CredentialsError(words, hint=_CODES.get(code, _ROLE), code=code)


class _Config(AioConfig):  # type: ignore[misc] # aiobotocore is untyped
    """Keeps the way out where a provider adds settings of its own, which aiobotocore forgets."""

    def merge(self, other_config: Any) -> Any:
        merged = super().merge(other_config)
        merged.http_session_cls = self.http_session_cls
        return merged


async def find(*, profile: str | None, alone: bool, region: str, way: ProxyRoute) -> AioCredentials:
    """Go through the chain, with the files as they are now. Raises what it raises; CredentialsError for none.

    ``alone``: by the environment's keys alone, since its profile cannot be read.
    """
    session = AioSession(session_vars=NOTHING_READ if alone else None, profile=profile)
    session.set_config_variable("region", region)
    session.set_default_client_config(
        _Config(
            http_session_cls=partial(LibrarySession, way=way),
            connect_timeout=CONNECT_SECONDS,
            read_timeout=READ_SECONDS,
            retries={"total_max_attempts": 1, "mode": "standard"},
            proxies={},
        )
    )
    await asyncio.to_thread(lambda: session.full_config)  # files may lie on a disk that hangs
    resolver = session.get_component("credential_provider")
    _tame(resolver)
    found = await resolver.load_credentials()
    if found is None:
        raise CredentialsError(
            "the AWS credential chain found no credentials", hint=_GIVE, code="NoCredentials"
        )
    return found


def _tame(resolver: AioCredentialResolver) -> None:
    """Let no metadata service be asked through a proxy, and no helper outlive its look-up."""
    for provider in resolver.providers:
        if isinstance(provider, AioInstanceMetadataProvider):
            provider._role_fetcher._session._proxy_config = ProxyConfiguration()  # noqa: SLF001 - made inside
        elif isinstance(provider, AioProcessProvider):
            provider._popen = start_credential_process  # noqa: SLF001 - the same
        elif isinstance(provider, AioAssumeRoleProvider):
            builder = provider._profile_provider_builder  # noqa: SLF001 - the same, of a source_profile
            builder._create_process_provider = partial(_process, provider._load_config)  # noqa: SLF001 - the same


def _process(load_config: Any, profile_name: str) -> AioProcessProvider:
    return AioProcessProvider(
        profile_name=profile_name, load_config=load_config, popen=start_credential_process
    )


# A session that reads neither the environment nor a file: what it is to know it is told.
NOTHING_READ: dict[str, Any] = {
    name: (None, None, default, conversion)
    for name, (_, _, default, conversion) in AioSession.SESSION_VARIABLES.items()
} | {"config_file": (None, None, os.devnull, None), "credentials_file": (None, None, os.devnull, None)}
