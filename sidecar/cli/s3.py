"""``sidecar s3 policy | bucket-policy | cors | lifecycle | encryption``: the bucket as settings need it."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from sidecar.core import bucket_rules, s3_access
from sidecar.core.s3_access import BucketUse, Principal, Role

from .config import ConfigPath, load_settings

if TYPE_CHECKING:
    from sidecar.settings import Settings
    from sidecar.upload.s3.endpoint import S3Config

    from .s3_apply import Change

FAILED, USAGE = 1, 2
ABORT_DAYS = 7
_ARN = re.compile(r"arn:aws(?:-cn|-us-gov)?:(?:iam|sts)::[0-9]{12}:(?:root|(?:user|role|assumed-role)/\S+)")
_ACCOUNT = re.compile(r"[0-9]{12}")
_CLOUDFRONT = re.compile(r"arn:aws(?:-cn)?:cloudfront::[0-9]{12}:distribution/\w+")
_PROJECT = re.compile(r"[^/\x00-\x1f\x7f]+")

app = typer.Typer(
    help="Print the least rights and the rules that the bucket needs, or set them.", no_args_is_help=True
)
Projects = Annotated[
    list[str] | None,
    typer.Option("--project", metavar="NAME", help="Only this project's keys; may be given again."),
]
AsJson = Annotated[bool, typer.Option("--json", help="It is JSON in any case.")]
Apply = Annotated[bool, typer.Option("--apply", help="Set it, after showing what was there and asking.")]
Yes = Annotated[bool, typer.Option("--yes", help="With --apply: do not ask.")]
Profile = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="With --apply: an AWS profile that may set it, instead of s3's keys."),
]


def _arns(text: str) -> Any:
    return typer.Option(metavar="ARN", help=f"{text}: a role, a user or an account; may be given again.")


@app.command()
def policy(
    *,
    role: Annotated[Role, typer.Option(help="Who gets it.")] = Role.PRODUCER,
    project: Projects = None,
    config: ConfigPath = None,
    as_json: AsJson = False,
) -> None:
    """Print the policy of an IAM role or user that may do what its part calls, and no more."""
    del as_json
    _, use, _ = _read(config, project)
    _print(s3_access.identity_policy(use, role))


@app.command("bucket-policy")
def bucket_policy(
    *,
    producer: Annotated[list[str] | None, _arns("Who stores")] = None,
    reader: Annotated[list[str] | None, _arns("Who reads (also a CloudFront distribution)")] = None,
    backend: Annotated[list[str] | None, _arns("Who lists and deletes")] = None,
    allow_http: Annotated[bool, typer.Option("--allow-http", help="Do not refuse plain http.")] = False,
    project: Projects = None,
    config: ConfigPath = None,
    apply: Apply = False,
    yes: Yes = False,
    profile: Profile = None,
    as_json: AsJson = False,
) -> None:
    """Print the bucket's policy: TLS alone, KMS where the settings ask for it, and who has which rights."""
    del as_json
    settings, use, to = _read(config, project)
    granted = [
        (role, _principal(arn, role, use))
        for role, arns in zip(Role, (producer, reader, backend), strict=True)
        for arn in arns or ()
    ]
    ours = s3_access.bucket_statements(use, granted, tls_only=not allow_http)
    if granted and use.encryption == "aws:kms" and use.kms_key is None:
        _say("other accounts cannot use aws/s3, the account's own key: name s3.encryption.kms_key_id")
    if not apply:
        _print({"Version": s3_access.VERSION, "Statement": ours})
        return
    if not allow_http and to.bucket_url.startswith("http:"):
        _fail("the policy refuses http, and s3.endpoint_url is http: nobody could undo it; see --allow-http")
    from .s3_apply import policy_change

    _apply(settings, profile, policy_change(ours, use), yes=yes)


@app.command()
def cors(
    *,
    origin: Annotated[
        list[str], typer.Option(metavar="URL", help="Whose pages may read; may be given again.")
    ],
    config: ConfigPath = None,
    apply: Apply = False,
    yes: Yes = False,
    profile: Profile = None,
    as_json: AsJson = False,
) -> None:
    """Print the rule by which the pages of an origin may read objects, in ranges, too."""
    del as_json
    if wrong := [one for one in origin if not re.fullmatch(r"\*|https?://[^/\s]+", one)]:
        _fail(f"{wrong[0]!r} is no origin; write one such as https://lessons.example.com", USAGE)
    rule = bucket_rules.cors_rule(origin)
    if not apply:
        _print({"CORSRules": [rule]})
        return
    from .s3_apply import cors_change

    _apply(load_settings(config, watching=False), profile, cors_change(rule), yes=yes)


@app.command()
def lifecycle(
    *,
    abort_days: Annotated[
        int, typer.Option(min=1, help="Days after which an upload that nobody ended is aborted.")
    ] = ABORT_DAYS,
    project: Projects = None,
    config: ConfigPath = None,
    apply: Apply = False,
    yes: Yes = False,
    profile: Profile = None,
    as_json: AsJson = False,
) -> None:
    """Print the rules by which S3 aborts forgotten uploads, and forgets old versions as retention says."""
    del as_json
    from sidecar.settings.s3_access import history

    settings, use, _ = _read(config, project)
    rules = bucket_rules.lifecycle_rules(use, abort_days=abort_days, history=history(settings))
    if "" in use.folders:
        _say("these rules are for the whole bucket, since keys may begin with any project; see --project")
    if not apply:
        _print({"Rules": rules})
        return
    from .s3_apply import lifecycle_change

    _apply(settings, profile, lifecycle_change(rules), yes=yes)


@app.command()
def encryption(
    *,
    replace: Annotated[
        bool, typer.Option("--replace", help="With --apply: also where somebody chose another one.")
    ] = False,
    config: ConfigPath = None,
    apply: Apply = False,
    yes: Yes = False,
    profile: Profile = None,
    as_json: AsJson = False,
) -> None:
    """Print how the bucket should encrypt by default, as s3.encryption asks."""
    del as_json
    settings, use, _ = _read(config, None)
    rule = bucket_rules.encryption_rule(use, bucket_key=settings.s3.encryption.bucket_key)
    if not apply:
        _print({"Rules": [rule]})
        return
    from .s3_apply import encryption_change

    _apply(settings, profile, encryption_change(rule, replace=replace), yes=yes)


def _read(config: Path | None, projects: list[str] | None) -> tuple[Settings, BucketUse, S3Config]:
    from sidecar.core.errors import FatalError
    from sidecar.settings.s3_access import SharedKeysError, bucket_use
    from sidecar.upload.s3.endpoint import s3_config

    settings = load_settings(config, watching=False)
    if wrong := [one for one in projects or () if not _PROJECT.fullmatch(one)]:
        _fail(f"{wrong[0]!r} is no project's name", USAGE)
    try:
        to = s3_config(settings.s3)
        return settings, bucket_use(settings, region=to.region, projects=projects or ()), to
    except FatalError as error:
        _fail(str(error), error.exit_status)
    except SharedKeysError as error:
        _fail(str(error))


def _principal(arn: str, role: Role, use: BucketUse) -> Principal:
    if _ACCOUNT.fullmatch(arn):
        return Principal(arn=f"arn:{use.partition}:iam::{arn}:root")
    if role is Role.READER and _CLOUDFRONT.fullmatch(arn):
        return Principal(arn="cloudfront.amazonaws.com", source_arn=arn)
    if not _ARN.fullmatch(arn):
        _fail(
            f"{arn!r} names nobody; write arn:aws:iam::123456789012:role/NAME, or an account's number", USAGE
        )
    return Principal(arn=arn)


def _apply(settings: Settings, profile: str | None, change: Change, *, yes: bool) -> None:
    from .s3_apply import Refused, apply

    try:
        apply(settings, profile, change, confirm=None if yes else _confirm)
    except Refused as error:
        _fail(str(error), error.exit_status)


def _confirm() -> bool:
    if not sys.stdin.isatty():
        _fail("nothing was set: nobody is there to ask, so say --yes", USAGE)
    return typer.confirm("Set it?", err=True)


def _print(document: Any) -> None:
    print(json.dumps(document, indent=2))


def _say(sentence: str) -> None:
    print(f"sidecar: {sentence}", file=sys.stderr)


def _fail(sentence: str, status: int = FAILED) -> NoReturn:
    _say(sentence)
    raise typer.Exit(status)
