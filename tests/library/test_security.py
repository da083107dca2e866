"""Who may see an asset is asked each time, nothing is signed for others, sealed metadata keeps its place."""

from __future__ import annotations

import base64
import re
from asyncio import AbstractEventLoop
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest
import structlog
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st
from moto import mock_aws

from sidecar.core.errors import ErrorKind, SidecarError
from sidecar.library.sealed_metadata import MetadataKeys, SealError, is_sealed, new_key
from sidecar.library.security import AccessDeniedError, SecurityManager

ADA = "https://login.example.com|auth0|ada"
SIGNED = "https://lessons.s3.amazonaws.com/k?X-Amz-Signature=5ecr3t"


@dataclass(slots=True)
class Platform:
    """Convex's rules and the signer, each call noted in order."""

    readers: set[tuple[str, str] | None] = field(default_factory=set)
    failure: Exception | None = None
    calls: list[Any] = field(default_factory=list)

    @property
    def loop(self) -> AbstractEventLoop:
        """None of these calls is synchronous."""
        raise AssertionError

    @property
    def reading(self) -> Platform:
        """Ask this."""
        return self

    @property
    def assets(self) -> Platform:
        """Sign with this."""
        return self

    async def ask(self, what: str, question: Callable[[Any], Awaitable[Any]]) -> Any:
        """Ask at once."""
        assert what == "canRead"
        return await question(self)

    async def can_read(self, asset_id: str, viewer: tuple[str, str] | None) -> bool:
        """Answer by the rules."""
        self.calls.append(("asked", asset_id, viewer))
        if self.failure is not None:
            raise self.failure
        return viewer in self.readers

    async def sign_judged(
        self, asset_id: str, judge: Callable[[], Awaitable[bool]], *, expiration: int
    ) -> str | None:
        """Sign what is admitted."""
        if not await judge():
            return None
        self.calls.append(("signed", asset_id, expiration))
        return SIGNED


VIEWER = ("https://login.example.com", "auth0|ada")


def keys(*ids: str) -> MetadataKeys:
    """Return keys; the first one seals."""
    return MetadataKeys(current=ids[0], keys={key_id: key_id.encode().ljust(32, b"x") for key_id in ids})


async def test_an_address_is_signed_only_after_the_rules_said_yes() -> None:
    """And for as long as was asked for; the subject keeps its own bar."""
    platform = Platform(readers={VIEWER})
    assert await SecurityManager(platform).generate_secure_asset_url("a", ADA, expiration=60) == SIGNED
    assert platform.calls == [("asked", "a", VIEWER), ("signed", "a", 60)]


async def test_the_rules_are_asked_each_time() -> None:
    """Who may no longer see an asset gets no further address."""
    platform = Platform(readers={VIEWER})
    security = SecurityManager(platform)
    await security.generate_secure_asset_url("a", ADA)
    platform.readers.clear()
    with pytest.raises(AccessDeniedError):
        await security.generate_secure_asset_url("a", ADA)
    assert [call[0] for call in platform.calls] == ["asked", "signed", "asked"]


@pytest.mark.parametrize("user", [ADA, None])
async def test_nothing_is_signed_for_whom_the_rules_refuse(user: str | None) -> None:
    """Somebody who is not signed in is a viewer, too."""
    platform = Platform(readers={("https://login.example.com", "bob")})
    security = SecurityManager(platform)
    assert await security.validate_asset_access("a", user) is False
    with pytest.raises(AccessDeniedError, match="or there is none"):
        await security.generate_secure_asset_url("a", user)
    assert {call[0] for call in platform.calls} == {"asked"}


async def test_nothing_is_signed_while_convex_cannot_be_asked() -> None:
    """An outage is no permission."""
    down = SidecarError(ErrorKind.NETWORK, "no answer", operation="canRead", target="a")
    platform = Platform(readers={VIEWER}, failure=down)
    with pytest.raises(SidecarError):
        await SecurityManager(platform).generate_secure_asset_url("a", ADA)
    assert [call[0] for call in platform.calls] == ["asked"]


@pytest.mark.parametrize("user", ["", "ada", "|ada", "https://login.example.com|"])
async def test_what_is_no_token_identifier_is_a_mistake(user: str) -> None:
    """A bare user name would be asked for in vain, or be somebody else."""
    platform = Platform(readers={None})
    with pytest.raises(ValueError, match="tokenIdentifier"):
        await SecurityManager(platform).validate_asset_access("a", user)
    assert platform.calls == []


@pytest.mark.parametrize("seconds", [0, -1, 604_801, 1.5, "60", True])
async def test_an_address_that_s3_would_not_sign_is_asked_of_nobody(seconds: Any) -> None:
    """Signature Version 4 ends after a week."""
    platform = Platform(readers={VIEWER})
    with pytest.raises(ValueError, match="604800"):
        await SecurityManager(platform).generate_secure_asset_url("a", ADA, expiration=seconds)
    assert platform.calls == []


async def test_each_decision_is_an_event_without_a_secret() -> None:
    """Allowed, denied and unknown; who, what, and for how long."""
    platform = Platform(readers={VIEWER})
    security = SecurityManager(platform)
    with structlog.testing.capture_logs() as events:
        await security.generate_secure_asset_url("a", ADA, expiration=60)
        await security.validate_asset_access("a", None)
        platform.failure = SidecarError(ErrorKind.NETWORK, "secret words", operation="x", target="y")
        with pytest.raises(SidecarError):
            await security.validate_asset_access("a", ADA)
    assert [event.get("decision") for event in events] == ["allowed", None, "denied", "unknown"]
    assert events[1] == {
        "event": "asset_url_given", "log_level": "info", "asset": "a", "user": ADA, "seconds": 60
    }  # fmt: skip
    assert not re.search("5ecr3t|Signature|secret words", str(events))


@given(
    st.dictionaries(st.text(max_size=10), st.text(st.characters(blacklist_categories=["Cs"]), max_size=50))
)
def test_sealed_metadata_opens_again(metadata: dict[str, str]) -> None:
    """Whatever its names and values are; and no value can be read in it."""
    security = SecurityManager(Platform(), keys=keys("k1"))
    if any(is_sealed(value) for value in metadata.values()):
        return
    sealed = security.encrypt_sensitive_metadata(metadata, entity_id="intro")
    assert all(is_sealed(value) for value in sealed.values())
    assert security.decrypt_sensitive_metadata(sealed, entity_id="intro") == metadata
    again = security.encrypt_sensitive_metadata(metadata, entity_id="intro")
    assert all(sealed[name] != again[name] for name in metadata)  # a nonce of its own


def test_a_sealed_value_opens_in_its_own_place_alone() -> None:
    """Not for another entity, not under another name, not with a bit changed."""
    security = SecurityManager(Platform(), keys=keys("k1"))
    sealed = security.encrypt_sensitive_metadata(
        {"email": "ada@x.org", "take": "3"}, entity_id="a", names=["email"]
    )
    assert sealed["take"] == "3"
    with pytest.raises(SealError, match="another entity"):
        security.decrypt_sensitive_metadata(sealed, entity_id="b")
    with pytest.raises(SealError, match="another entity or name"):
        security.decrypt_sensitive_metadata({"phone": sealed["email"]}, entity_id="a")
    prefix, _, text = sealed["email"].rpartition(":")
    for at in range(0, len(text), 7):
        other = "A" if text[at] != "A" else "B"
        changed = {"email": f"{prefix}:{text[:at]}{other}{text[at + 1 :]}"}
        with pytest.raises(SealError):
            security.decrypt_sensitive_metadata(changed, entity_id="a")


def test_keys_are_changed_without_losing_what_they_sealed() -> None:
    """The new key seals, the old one still opens; once all is sealed anew the old one may go."""
    old = SecurityManager(Platform(), keys=keys("k1"))
    both = SecurityManager(Platform(), keys=keys("k2", "k1"))
    new = SecurityManager(Platform(), keys=keys("k2"))
    sealed = old.encrypt_sensitive_metadata({"email": "ada@x.org"}, entity_id="a") | {"take": "3"}
    with pytest.raises(SealError, match="key 'k1'"):
        new.decrypt_sensitive_metadata(sealed, entity_id="a")
    rotated = both.rotate_sensitive_metadata(sealed, entity_id="a")
    assert new.decrypt_sensitive_metadata(rotated, entity_id="a") == {"email": "ada@x.org", "take": "3"}
    assert both.rotate_sensitive_metadata(rotated, entity_id="a") == rotated


def test_what_is_sealed_is_not_sealed_twice() -> None:
    """Nor taken for plain text that only looks like it."""
    security = SecurityManager(Platform(), keys=keys("k1"))
    with pytest.raises(SealError, match="sealed already"):
        security.encrypt_sensitive_metadata({"email": "sealed:1:k1:abc"}, entity_id="a")
    with pytest.raises(SealError, match="no phone"):
        security.encrypt_sensitive_metadata({"email": "x"}, entity_id="a", names=["phone"])
    other: Any = {"take": 3}
    with pytest.raises(SealError, match="take is none"):
        security.encrypt_sensitive_metadata(other, entity_id="a")
    with pytest.raises(ValueError, match="no keys"):
        SecurityManager(Platform()).encrypt_sensitive_metadata({}, entity_id="a")


def test_keys_come_from_a_file_that_only_its_owner_reads(tmp_path: Path) -> None:
    """The first line's key seals; no key is in a repr or an error."""
    file = tmp_path / "keys"
    first, second = new_key(), new_key()
    file.write_text(f"# of November\nk2 {first}\n\nk1 {second}\n")
    file.chmod(0o600)
    read = MetadataKeys.read(str(file))
    assert (read.current, read.keys) == (
        "k2",
        {"k2": base64.b64decode(first), "k1": base64.b64decode(second)},
    )
    assert first not in repr(read)
    assert str(read.keys["k2"]) not in repr(read)
    file.chmod(0o644)
    with pytest.raises(ValueError, match="open to every user"):
        MetadataKeys.read(file)
    file.chmod(0o600)
    for text in ("", "k1", f"k1 {first[:20]}\n", f"k1 {first}\nk1 {second}\n", "k1 !!!!\n", f"k/1 {first}"):
        file.write_text(text)
        with pytest.raises(ValueError) as refused:  # noqa: PT011 - each has a sentence of its own
            MetadataKeys.read(file)
        assert first[:20] not in str(refused.value)


def test_keys_may_be_data_keys_of_kms(tmp_path: Path) -> None:
    """The file alone opens nothing; a key that is moved to another id does not open either."""
    with mock_aws():
        kms = boto3.client("kms", region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b")
        master = kms.create_key()["KeyMetadata"]["KeyId"]
        lines = [f"{name} {MetadataKeys.new_key(kms=kms, key_id=master, name=name)}" for name in ("k2", "k1")]
        file = tmp_path / "keys"
        file.write_text("\n".join(lines))
        file.chmod(0o600)
        read = MetadataKeys.read(file, kms=kms)
        assert (read.current, len(set(read.keys.values()))) == ("k2", 2)
        security = SecurityManager(Platform(), keys=read)
        sealed = security.encrypt_sensitive_metadata({"email": "ada@x.org"}, entity_id="a")
        again = SecurityManager(Platform(), keys=MetadataKeys.read(file, kms=kms))
        assert again.decrypt_sensitive_metadata(sealed, entity_id="a") == {"email": "ada@x.org"}
        with pytest.raises(ValueError, match="AES-256 takes 32"):
            MetadataKeys.read(file)
        file.write_text(lines[0].replace("k2 ", "k3 "))
        with pytest.raises(ClientError):
            MetadataKeys.read(file, kms=kms)
