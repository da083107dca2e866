"""Signs requests to S3: with our keys as they are now, else with those of the AWS chain.

The chain is looked up once for all who wait, as a task that ends with the client: a helper that takes
seconds and an STS that refuses are asked once, however many files there are. Who waits is told after eight
seconds, before a call's own time limit would call it S3's silence; the look-up goes on for a minute. Keys
are renewed beside the work from 15 minutes before their end, and used until it. A failure is shared for
three seconds. What S3 refuses is looked up again, at most every 30 seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from sidecar.core.clock import Clock

from .credentials_error import CredentialsError

LOOKUP_SECONDS = 60.0  # a helper may ask a person's keyring, or start a container
WAIT_SECONDS = 8.0  # shorter than any call's own time limit, which would call it S3's silence
EARLY_SECONDS = 15 * 60  # before they expire, while there is time to fail
AGAIN_SECONDS = 30.0  # between two look-ups while the keys that we have are still good for something
LOOK_SECONDS = 1.0  # between two looks at the settings' files
FAILED_SECONDS = 3.0  # for so long all who come share a failure
_CREDENTIALS_COUNT = frozenset(
    {"AccessDenied", "AllAccessDisabled"}
)  # they were accepted, and do not suffice
_REFUSED = frozenset({400, 401, 403})  # 400: an expired token, to which HEAD has no more to say


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """A pair of keys, and the token that temporary ones come with."""

    access_key_id: str
    secret_access_key: str
    session_token: str | None = None


class SigningKeys(NamedTuple):
    """Keys as they are at one moment, by the client library's names."""

    access_key: str
    secret_key: str
    token: str | None
    account_id: str | None = None


class Credentials(Protocol):
    """What gives keys, again for each request."""

    async def get_frozen_credentials(self) -> SigningKeys:
        """Return what the next request is signed with."""


class OurKeys:
    """The settings' keys, which may change. Files are looked at once a second, and after each refusal."""

    def __init__(self, keys: Callable[[], Keys], *, in_files: bool, clock: Clock) -> None:
        self._keys, self._in_files, self._clock = keys, in_files, clock
        self._read: Keys | None = None
        self._read_at = 0.0
        self._given: Keys | None = None
        self._frozen = SigningKeys("", "", None)  # what was given last, as the client library has it

    async def get_frozen_credentials(self) -> SigningKeys:
        """Return what the next request is signed with. Raises SidecarError."""
        keys = await self._as_they_are() if self._in_files else self._keys()
        if keys is not self._given:
            self._given = keys
            self._frozen = SigningKeys(keys.access_key_id, keys.secret_access_key, keys.session_token)
        return self._frozen

    def learn(self, parsed: Mapping[str, Any], **_: Any) -> None:
        """Hear S3's answer (botocore's event ``after-call``): keys that it refuses may be old ones."""
        if _are_refused(parsed):
            self._read = None

    async def _as_they_are(self) -> Keys:
        now = self._clock.monotonic()
        if self._read is None or now - self._read_at >= LOOK_SECONDS:
            self._read, self._read_at = await asyncio.to_thread(self._keys), now
        return self._read


class SharedKeys:
    """The chain's keys: looked up once for all, renewed beside the work, kept while they are good."""

    def __init__(self, find: Callable[[], Awaitable[Credentials]], *, clock: Clock) -> None:
        """``find`` goes through the chain anew and raises CredentialsError."""
        self._find, self._clock = find, clock
        self._found: Credentials | None = None
        self._keys: SigningKeys | None = None
        self._failure: CredentialsError | None = None
        self._looking: asyncio.Task[None] | None = None
        self._not_before = 0.0
        self._refused = False

    async def get_frozen_credentials(self) -> SigningKeys:
        """Return what the next request is signed with. Raises CredentialsError."""
        if self._looking is None and self._is_due():
            self._looking = asyncio.create_task(self._look_up())
        keys = self._good_keys()
        if keys is not None and not (self._refused and self._looking):
            return keys
        if self._looking is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(WAIT_SECONDS):
                    await asyncio.shield(self._looking)
        if (keys := self._good_keys()) is not None:
            return keys
        raise self._failure_again()

    def learn(self, parsed: Mapping[str, Any], **_: Any) -> None:
        """Hear S3's answer (botocore's event ``after-call``): keys that it refuses may be old ones."""
        if _are_refused(parsed):
            self._refused = True

    async def close(self) -> None:
        """End a look-up that is under way, with the helper that it waits for."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait({self._looking})

    def _is_due(self) -> bool:
        if self._clock.monotonic() < self._not_before:
            return False
        return self._found is None or self._refused or _ends_within(self._found, EARLY_SECONDS)

    def _good_keys(self) -> SigningKeys | None:
        """Return what was found and has not expired, however late its renewal is."""
        return None if self._found is None or _ends_within(self._found, 0) else self._keys

    def _failure_again(self) -> CredentialsError:
        """Return the failure of the last look-up; each who waits raises an error of its own."""
        failure = self._failure if self._looking is None else None
        failure = failure or _slow(WAIT_SECONDS)
        return CredentialsError(failure.message, hint=failure.hint, code=failure.code)

    async def _look_up(self) -> None:
        try:
            async with asyncio.timeout(LOOKUP_SECONDS):
                known = self._found if not self._refused else None
                found = known or await self._find()
                keys = (None if known else _given(found)) or await found.get_frozen_credentials()
            self._found, self._keys, self._failure, self._refused = found, keys, None, False
        except TimeoutError:
            self._failed(_slow(LOOKUP_SECONDS))
        except Exception as error:  # noqa: BLE001 - a chain fails in more ways than it has classes
            from .aws_credentials import failure_of  # noqa: PLC0415 - the chain's own, and it was loaded

            self._failed(failure_of(error))
        finally:
            self._looking = None
            wait_seconds = FAILED_SECONDS if self._good_keys() is None else AGAIN_SECONDS
            self._not_before = self._clock.monotonic() + wait_seconds

    def _failed(self, failure: CredentialsError) -> None:
        self._failure = failure
        if self._good_keys() is None:
            self._found = None  # the next look-up begins with the files as they are then


def _are_refused(parsed: Mapping[str, Any]) -> bool:
    """Whether an answer may mean that the keys are no longer good."""
    status = parsed.get("ResponseMetadata", {}).get("HTTPStatusCode")
    return status in _REFUSED and parsed.get("Error", {}).get("Code") not in _CREDENTIALS_COUNT


def _ends_within(credentials: Credentials, seconds: float) -> bool:
    """Whether credentials expire so soon; those that are not temporary never do."""
    needed = getattr(credentials, "refresh_needed", None)
    return needed is not None and bool(needed(seconds))


def _given(credentials: Credentials) -> SigningKeys | None:
    """Return what was found just now: asked for it, botocore would renew at once what ends within 15 min."""
    given: SigningKeys | None = vars(credentials).get("_frozen_credentials")
    return None if _ends_within(credentials, 0) else given


def _slow(seconds: float) -> CredentialsError:
    return CredentialsError(
        f"the look-up of credentials was not over after {seconds:g} s",
        hint="is the helper, STS or the metadata service that gives them well?",
        code="Slow",
    )
