"""``sidecar s3``: what it prints is enforced by SeaweedFS, and what it sets is set beside what was there."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import boto3
import pytest
from moto.core.authorization import enable_iam_authentication
from moto.server import ThreadedMotoServer
from typer.testing import CliRunner, Result

from sidecar.cli.s3 import app
from sidecar.core.bucket_rules import is_same
from sidecar.core.checksum_algorithms import Algorithm
from sidecar.core.clock import SystemClock
from sidecar.core.errors import ErrorKind, SidecarError
from sidecar.local.seaweed import SeaweedServer
from sidecar.upload.s3.credentials import Keys
from sidecar.upload.s3.endpoint import S3Config
from sidecar.upload.s3.object_store import S3Store, open_store
from sidecar.upload.store import Body, ObjectSpec, OpenUpload
from tests.support.memory_store import checksum_of
from tests.support.seaweed import store_on

DATA = os.urandom(1000)
BODY = Body(fd=-1, offset_bytes=0, length_bytes=len(DATA), data=DATA)
KEY_ARN = "arn:aws:kms:us-east-1:123456789012:key/1111"
ALIAS_ARN = "arn:aws:kms:us-east-1:123456789012:alias/lessons"
PRODUCER = "arn:aws:iam::123456789012:role/render"
FOREIGN = {
    "Sid": "TheirOwn",
    "Effect": "Allow",
    "Principal": {"AWS": "arn:aws:iam::210987654321:root"},
    "Action": "s3:GetObject",
    "Resource": "arn:aws:s3:::lessons/theirs/*",
}
OF_UPLOADS = ("s3:AbortMultipartUpload", "s3:ListMultipartUploadParts")  # SeaweedFS asks for neither
Moto = tuple[Any, Callable[..., list[str]]]


class Administered(SeaweedServer):
    """A server whose users and their policies can be made."""

    def _flags(self) -> list[str]:
        return [*super()._flags(), "-s3.iam.readOnly=false"]


@pytest.fixture(scope="module")
def server() -> Iterator[Administered]:
    """Start one for this module."""
    with Administered() as started:
        yield started


class User:
    """A user of the server without a right of its own: a bucket's policy says what it may."""

    def __init__(self, server: Administered, name: str) -> None:
        keys = {"aws_access_key_id": server.access_key, "aws_secret_access_key": server.secret_key}
        iam = boto3.client("iam", endpoint_url=server.endpoint_url, region_name="us-east-1", **keys)
        iam.create_user(UserName=name)
        made = iam.create_access_key(UserName=name)["AccessKey"]
        iam.close()
        self._server = server
        self._keys = Keys(access_key_id=made["AccessKeyId"], secret_access_key=made["SecretAccessKey"])
        self.arn = f"arn:aws:iam::000000000000:user/{name}"

    def may(self, policy: dict[str, Any]) -> None:
        """Put a policy in the place of the bucket's last one."""
        self._server.client().put_bucket_policy(Bucket="lessons", Policy=json.dumps(policy))

    @asynccontextmanager
    async def store(self) -> AsyncIterator[S3Store]:
        """Open a store with the user's keys."""
        async with store_on(self._server, "lessons", keys=lambda: self._keys) as opened:
            yield opened


@pytest.fixture
def user(server: Administered, request: pytest.FixtureRequest) -> User:
    """Make a user of the test's own."""
    return User(server, "".join(filter(str.isalnum, request.node.name)))


@pytest.fixture
def configured(tmp_path: Path) -> Callable[..., list[str]]:
    """Return what writes a configuration, and the option that names it."""

    def write(*, watch: dict[str, Any] | None = None, **sections: Any) -> list[str]:
        s3 = {"bucket": "lessons", **sections.pop("s3", {})}
        told = {
            "watch": [{"root": "/renders", **(watch or {})}],
            "s3": s3,
            "convex": {"sync": "off"},
            **sections,
        }
        file = tmp_path / "sidecar.yaml"
        file.write_text(json.dumps(told))
        return ["-c", str(file)]

    return write


def run(*words: str) -> Result:
    """Run the command."""
    return CliRunner().invoke(app, list(words))


def printed(*words: str) -> Any:
    """Return the document that it prints."""
    result = run(*words)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


async def everything(store: S3Store, folder: str) -> None:
    """Make each call that a daemon makes, as it makes them."""
    about = {"transfer": "T"}
    spec = ObjectSpec(
        bucket="lessons", key=f"{folder}a", content_type="text/plain", cache_control=None, metadata=about,
        tags={"project": "algebra"},
    )  # fmt: skip
    await store.probe()
    assert await store.head(f"{folder}absent") is None
    await store.put(spec, BODY, checksum=checksum_of(DATA), once=False)
    for ended in (True, False):
        upload = OpenUpload(key=f"{folder}a", upload_id=await store.create(spec))
        part = await store.put_part(upload, BODY, number=1)
        assert await store.existing_parts(upload, {1: BODY}) == [part]
        await (store.complete(upload, [part], checksum=checksum_of(DATA)) if ended else store.abort(upload))
    assert [one.key async for one in store.list_objects(prefix=folder)] == [f"{folder}a"]
    assert [one.key async for one in store.open_uploads(prefix="")] == []
    await store.delete(f"{folder}a")


async def denies(store: S3Store, folder: str) -> bool:
    """Tell whether one of those calls is denied."""
    try:
        await everything(store, folder)
    except SidecarError as error:
        return error.kind is ErrorKind.FORBIDDEN
    return False


def _without(action: str | None, policy: dict[str, Any]) -> dict[str, Any]:
    less: dict[str, Any] = json.loads(json.dumps(policy))
    for statement in less["Statement"]:
        statement["Action"] = [one for one in statement["Action"] if one != action]
    return less


async def test_a_producer_may_all_that_it_does_within_its_project_and_nothing_outside(
    user: User, configured: Callable[..., list[str]]
) -> None:
    """As the server enforces it, call by call."""
    granted = ("--allow-http", "--producer", user.arn, "--project", "algebra")
    user.may(printed("bucket-policy", *granted, *configured()))
    async with user.store() as store:
        await everything(store, "algebra/l1/intro/")
        outside = OpenUpload(key="algebra-2/x", upload_id="u")
        spec = ObjectSpec(
            bucket="lessons", key=outside.key, content_type="a/b", cache_control=None, metadata={}
        )
        for call in (
            lambda: store.put(spec, BODY, checksum=checksum_of(DATA)),
            lambda: store.create(spec),
            lambda: store.put_part(outside, BODY, number=1),
            lambda: store.delete(outside.key),
            lambda: store.abort(outside),
        ):
            with pytest.raises(SidecarError) as denied:
                await call()
            assert denied.value.kind is ErrorKind.FORBIDDEN


async def test_without_any_of_its_rights_a_producer_cannot_do_its_work(
    user: User, configured: Callable[..., list[str]]
) -> None:
    """So none of them is too much; two others are tried with moto, and nobody here asks for one on tags."""
    granted = ("--allow-http", "--producer", user.arn, "--project", "algebra")
    policy = printed("bucket-policy", *granted, *configured())
    actions = {action for statement in policy["Statement"] for action in statement["Action"]}
    assert len(actions) == 7
    async with user.store() as store:
        for left_out in actions - set(OF_UPLOADS):
            user.may(_without(left_out, policy))
            assert await denies(store, f"algebra/{left_out[3:]}/"), left_out


@pytest.mark.parametrize("left_out", [None, *OF_UPLOADS])
async def test_rights_on_uploads_are_needed_too(
    moto: Moto, configured: Callable[..., list[str]], left_out: str | None
) -> None:
    """As moto checks actions, by a user's policy; of HeadBucket it has a name of its own."""
    _, settings = moto
    policy = _without(left_out, printed("policy", "--project", "algebra", *configured()))
    policy["Statement"].append({"Effect": "Allow", "Action": "s3:HeadBucket", "Resource": "*"})
    endpoint = json.loads(Path(settings()[1]).read_text())["s3"]["endpoint_url"]
    iam = boto3.client(
        "iam", endpoint_url=endpoint, region_name="us-east-1",
        aws_access_key_id="testing", aws_secret_access_key="testing",
    )  # fmt: skip
    iam.create_user(UserName="render")
    iam.put_user_policy(UserName="render", PolicyName="rights", PolicyDocument=json.dumps(policy))
    made = iam.create_access_key(UserName="render")["AccessKey"]
    iam.close()
    keys = Keys(access_key_id=made["AccessKeyId"], secret_access_key=made["SecretAccessKey"])
    config = S3Config(
        bucket="lessons", region="us-east-1", endpoint_url=endpoint, keys=lambda: keys, checksum=Algorithm.MD5
    )  # moto checks none
    with enable_iam_authentication():
        async with open_store(config, clock=SystemClock(), connections=2) as store:
            assert await denies(store, "algebra/l1/") is (left_out is not None)


async def test_a_reader_reads_and_a_backend_lists_and_deletes(
    user: User, server: Administered, configured: Callable[..., list[str]]
) -> None:
    """And neither stores anything."""
    key = "algebra/l1/read"
    server.client().put_object(Bucket="lessons", Key=key, Body=DATA)
    spec = ObjectSpec(bucket="lessons", key=key, content_type="a/b", cache_control=None, metadata={})
    async with user.store() as store:
        for role in ("reader", "backend"):
            granted = ("--allow-http", f"--{role}", user.arn, "--project", "algebra")
            user.may(printed("bucket-policy", *granted, *configured()))
            assert await store.head(key) is not None
            with pytest.raises(SidecarError) as denied:
                await store.put(spec, BODY, checksum=checksum_of(DATA))
            assert denied.value.kind is ErrorKind.FORBIDDEN
            if role == "reader":
                with pytest.raises(SidecarError):
                    await store.delete(key)
        assert [one.key async for one in store.list_objects(prefix=key)] == [key]
        await store.delete(key)


@pytest.mark.parametrize("statement", ["TlsOnly", "KmsOnly"])
async def test_a_bucket_policy_refuses_plain_http_and_what_is_not_encrypted_with_kms(
    server: Administered, configured: Callable[..., list[str]], statement: str
) -> None:
    """Even to the bucket's owner; each statement alone, for the server here speaks http."""
    encryption = {"mode": "aws:kms", "kms_key_id": KEY_ARN}
    bucket = f"refusing-{statement.lower()}"
    policy = printed("bucket-policy", *configured(s3={"bucket": bucket, "encryption": encryption}))
    policy["Statement"] = [one for one in policy["Statement"] if one["Sid"].endswith(statement)]
    owner = server.client()
    owner.create_bucket(Bucket=bucket)
    owner.put_object(Bucket=bucket, Key="before", Body=b"")
    owner.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))
    spec = ObjectSpec(bucket=bucket, key="k", content_type="a/b", cache_control=None, metadata={})
    async with store_on(server, bucket) as store:
        with pytest.raises(SidecarError) as denied:
            await store.put(spec, BODY, checksum=checksum_of(DATA))
        assert denied.value.kind is ErrorKind.FORBIDDEN
        if statement == "KmsOnly":
            assert await store.head("before") is not None


def test_rights_follow_from_the_settings(configured: Callable[..., list[str]]) -> None:
    """Tags need a right of their own, a KMS key two, and through S3 alone."""
    rule = {"match": "x/*", "asset_type": "manifest", "entity": "session", "tags": {"a": "b"}}
    pinned = {"fields": {"project": "algebra", "session": "l1"}}
    encryption = {"mode": "aws:kms", "kms_key_id": "alias/lessons"}
    settings = configured(watch=pinned, rules=[rule], s3={"encryption": encryption})
    bucket, objects, key = printed("policy", *settings)["Statement"]
    assert "s3:PutObjectTagging" in objects["Action"]
    assert (bucket["Resource"], objects["Resource"]) == (
        ["arn:aws:s3:::lessons"],
        ["arn:aws:s3:::lessons/algebra/l1/*"],
    )
    assert key["Action"] == ["kms:Decrypt", "kms:GenerateDataKey"]
    assert key["Condition"]["StringEquals"] == {"kms:ViaService": "s3.us-east-1.amazonaws.com"}
    assert key["Condition"]["ForAnyValue:StringEquals"] == {"kms:ResourceAliases": "alias/lessons"}


@pytest.mark.parametrize("words", [["policy"], ["cors", "--origin", "https://a.example"], ["lifecycle"]])
def test_a_program_that_watches_no_folder_is_told_its_rights_too(tmp_path: Path, words: list[str]) -> None:
    """A configuration of the library: its keys lie where s3.key says, whatever the project."""
    file = tmp_path / "library.yaml"
    file.write_text(json.dumps({"s3": {"bucket": "lessons"}, "convex": {"sync": "off"}}))
    assert printed(*words, "-c", str(file))
    (_, whole) = printed("policy", "-c", str(file))["Statement"]
    assert whole["Resource"] == ["arn:aws:s3:::lessons/*"]
    (_, own) = printed("policy", "--project", "algebra", "-c", str(file))["Statement"]
    assert own["Resource"] == ["arn:aws:s3:::lessons/algebra/*"]


@pytest.mark.parametrize(
    ("key", "is_compared"), [(KEY_ARN, True), (ALIAS_ARN, False), ("alias/lessons", False), ("1111", False)]
)
def test_a_key_is_compared_in_the_buckets_policy_only_by_its_own_arn(
    configured: Callable[..., list[str]], key: str, is_compared: bool
) -> None:
    """The condition is on a key's ARN: compared with an alias, our own writes may be refused."""
    encryption = {"mode": "aws:kms", "kms_key_id": key}
    policy = printed("bucket-policy", *configured(s3={"encryption": encryption}))
    names = [one["Sid"] for one in policy["Statement"]]
    assert ("RenderSidecarOurKeyOnly" in names) is is_compared
    assert "RenderSidecarKmsOnly" in names


def test_other_accounts_and_a_cdn_are_named_in_the_buckets_policy(
    configured: Callable[..., list[str]],
) -> None:
    """An account by its number, CloudFront by its distribution alone."""
    distribution = "arn:aws:cloudfront::123456789012:distribution/EX"
    granted = ("--producer", PRODUCER, "--reader", distribution, "--backend", "123456789012")
    policy = printed("bucket-policy", *granted, "--project", "algebra", *configured())
    named = {one["Sid"][21:]: one for one in policy["Statement"] if one["Effect"] == "Allow"}
    assert set(named) == {
        "ProducerBucket", "ProducerObjects", "ReaderObjects", "BackendBucket", "BackendObjects"
    }  # fmt: skip
    assert named["ProducerObjects"]["Principal"] == {"AWS": PRODUCER}
    assert named["BackendBucket"]["Principal"] == {"AWS": "arn:aws:iam::123456789012:root"}
    assert named["ReaderObjects"]["Principal"] == {"Service": "cloudfront.amazonaws.com"}
    assert named["ReaderObjects"]["Condition"] == {"StringEquals": {"AWS:SourceArn": distribution}}


@pytest.mark.parametrize(
    ("words", "sections", "says"),
    [
        (["policy", "--project", "a"], {"s3": {"key": "{scene_id}/{stem}{ext}"}}, "among others'"),
        (["policy", "--project", "a"], {"s3": {"key": "{project}-{session}/{stem}{ext}"}}, "among others'"),
        (["policy", "--project", "a"], {"watch": {"fields": {"project": "b"}}}, "no root of these settings"),
        (["policy", "--project", "a/b"], {}, "no project's name"),
        (["bucket-policy", "--producer", "*"], {}, "names nobody"),
        (["cors", "--origin", "example.com"], {}, "no origin"),
    ],
)
def test_what_would_give_too_much_is_refused(
    configured: Callable[..., list[str]], words: list[str], sections: dict[str, Any], says: str
) -> None:
    """With one sentence."""
    result = run(*words, *configured(**sections))
    assert result.exit_code in {1, 2}
    assert says in result.output


def test_an_area_takes_a_name_to_the_letter(configured: Callable[..., list[str]]) -> None:
    """IAM's own signs in a project's name are no wildcards."""
    (_, objects) = printed("policy", "--project", "a*b?$c", *configured())["Statement"]
    assert objects["Resource"] == ["arn:aws:s3:::lessons/a${*}b${?}${$}c/*"]


@pytest.fixture
def moto(configured: Callable[..., list[str]]) -> Iterator[tuple[Any, Callable[..., list[str]]]]:
    """Serve a bucket that can be set up, a client of it, and what writes its configuration."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint, keys = f"http://{host}:{port}", {"access_key_id": "testing", "secret_access_key": "testing"}
    client = boto3.client(
        "s3", endpoint_url=endpoint, region_name="us-east-1",
        aws_access_key_id="testing", aws_secret_access_key="testing",
    )  # fmt: skip
    client.create_bucket(Bucket="lessons")
    yield client, lambda **s3: configured(s3={"endpoint_url": endpoint, **keys, **s3})
    client.close()
    urlopen(Request(f"{endpoint}/moto-api/reset", method="POST")).close()  # noqa: S310 - it is ours
    server.stop()


def test_setting_a_policy_keeps_what_others_wrote_and_says_what_was_there(
    server: Administered, configured: Callable[..., list[str]]
) -> None:
    """Each set of projects has statements of its own; the same once more changes nothing."""
    owner, bucket = server.client(), "shared"
    owner.create_bucket(Bucket=bucket)
    theirs = {**FOREIGN, "Resource": f"arn:aws:s3:::{bucket}/theirs/*"}
    there = {"Version": "2012-10-17", "Statement": [theirs]}
    owner.put_bucket_policy(Bucket=bucket, Policy=json.dumps(there))
    keys = {"access_key_id": server.access_key, "secret_access_key": server.secret_key}
    settings = configured(s3={"bucket": bucket, "endpoint_url": server.endpoint_url, **keys})
    words = ["bucket-policy", "--apply", "--yes", "--allow-http", *settings]

    def others() -> list[str]:
        now = json.loads(owner.get_bucket_policy(Bucket=bucket)["Policy"])["Statement"]
        assert is_same(now[0], theirs)
        return [str(one["Resource"]).strip("[']").rpartition("/*")[0] for one in now[1:]]

    algebra = printed(*words, "--project", "algebra", "--reader", PRODUCER)
    assert is_same(algebra["before"], there)
    assert algebra["changed"]
    printed(*words, "--project", "geometry", "--reader", "210987654321")
    assert others() == [f"arn:aws:s3:::{bucket}/algebra", f"arn:aws:s3:::{bucket}/geometry"]
    assert not printed(*words, "--project", "geometry", "--reader", "210987654321")["changed"]
    printed(*words, "--project", "algebra")
    assert others() == [f"arn:aws:s3:::{bucket}/geometry"]


def test_a_policy_that_would_lock_its_owner_out_is_not_set(moto: Moto) -> None:
    """It refuses http, and here the bucket is reached by nothing else."""
    client, settings = moto
    result = run("bucket-policy", "--apply", "--yes", *settings())
    assert result.exit_code == 1
    assert "nobody could undo it" in result.output
    with pytest.raises(client.exceptions.ClientError, match="NoSuchBucketPolicy"):
        client.get_bucket_policy(Bucket="lessons")


def test_nothing_is_set_where_nobody_is_asked(moto: Moto) -> None:
    """Both are shown; a script says --yes."""
    client, settings = moto
    result = run("cors", "--origin", "https://a.example", "--apply", *settings())
    assert result.exit_code == 2
    assert "say --yes" in result.output
    with pytest.raises(client.exceptions.ClientError, match="NoSuchCORSConfiguration"):
        client.get_bucket_cors(Bucket="lessons")


def test_rules_of_others_stay_beside_ours(moto: Moto) -> None:
    """Of CORS and of the lifecycle; ours takes the place of its earlier self."""
    client, settings = moto
    theirs = {"ID": "theirs", "AllowedOrigins": ["https://b.example"], "AllowedMethods": ["PUT"]}
    client.put_bucket_cors(Bucket="lessons", CORSConfiguration={"CORSRules": [theirs]})
    for origin in ("https://old.example", "https://a.example"):
        printed("cors", "--origin", origin, "--apply", "--yes", *settings())
    rules = client.get_bucket_cors(Bucket="lessons")["CORSRules"]
    assert [rule["AllowedOrigins"] for rule in rules] == [["https://b.example"], ["https://a.example"]]
    old = {"ID": "theirs", "Status": "Enabled", "Filter": {"Prefix": "logs/"}, "Expiration": {"Days": 9}}
    client.put_bucket_lifecycle_configuration(Bucket="lessons", LifecycleConfiguration={"Rules": [old]})
    for days in ("3", "5"):
        printed("lifecycle", "--project", "algebra", "--abort-days", days, "--apply", "--yes", *settings())
    first, second = client.get_bucket_lifecycle_configuration(Bucket="lessons")["Rules"]
    assert first["ID"] == "theirs"
    assert second["Filter"] == {"Prefix": "algebra/"}
    assert second["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 5}
    assert second["NoncurrentVersionExpiration"]["NoncurrentDays"] == 30


def test_an_encryption_that_somebody_chose_is_replaced_only_on_request(moto: Moto) -> None:
    """S3's own default is nobody's choice."""
    _, settings = moto
    ours = settings(encryption={"mode": "aws:kms", "kms_key_id": KEY_ARN, "bucket_key": True})
    set_ = printed("encryption", "--apply", "--yes", *ours)
    assert set_["after"]["BucketKeyEnabled"] is True
    back = run("encryption", "--apply", "--yes", *settings())
    assert back.exit_code == 1
    assert "somebody chose another encryption" in back.output
    assert printed("encryption", "--apply", "--yes", "--replace", *settings())["changed"] is True
