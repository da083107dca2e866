"""Which redirects are followed: bytes and tokens go to the endpoint's own doors, and to nobody else."""

from __future__ import annotations

from typing import Any

import pytest

from sidecar.upload.s3.redirects import RedirectScope, go_the_way

PART = "partNumber=1&uploadId=u"
MINIO = f"http://minio.example:9000/lessons/p/film.mp4?{PART}"
VIRTUAL = "lessons.minio.example:9000/p/film.mp4"
AWS = "https://s3.amazonaws.com/lessons/p/film.mp4?x-id=PutObject"
BUCKETS_OWN = "https://lessons.s3.amazonaws.com/p/film.mp4?x-id=PutObject"
REGIONAL = [f"lessons.s3{way}eu-west-1.amazonaws.com" for way in (".", "-", ".dualstack.")]


def turned(asked: str, location: str, *, status: int = 307) -> str | None:
    """Return where a request to ``asked`` goes after such an answer; None: it is not followed."""
    with RedirectScope(bucket="lessons", region="eu-west-1") as way:
        go_the_way({"url": asked})
        if not way.turn(_answer(status, location)):
            return None
        params: dict[str, Any] = {"url": asked}
        go_the_way(params)
        return str(params["url"])


def _answer(status: int, location: str) -> dict[str, Any]:
    return {"ResponseMetadata": {"HTTPStatusCode": status, "HTTPHeaders": {"location": location}}}


@pytest.mark.parametrize("status", [301, 302, 307, 308])
@pytest.mark.parametrize(
    ("asked", "location", "goes"),
    [
        (MINIO, MINIO, MINIO),
        (MINIO, "/s3/lessons/p/film.mp4", f"http://minio.example:9000/s3/lessons/p/film.mp4?{PART}"),
        (MINIO, f"http://{VIRTUAL}", f"http://{VIRTUAL}?{PART}"),
        *[(asked, f"https://{host}/p/film.mp4", f"https://{host}/p/film.mp4?x-id=PutObject")
          for host in REGIONAL for asked in (AWS, BUCKETS_OWN)],
    ],
)  # fmt: skip
def test_another_door_of_the_same_house_is_asked(asked: str, location: str, goes: str, status: int) -> None:
    """With the query that says which part it is, whatever the redirect made of it."""
    assert turned(asked, location, status=status) == goes


@pytest.mark.parametrize(
    ("asked", "location"),
    [
        (MINIO, "http://minio.example:9001/lessons/p/film.mp4"),
        (MINIO, "http://evil.example:9000/lessons/p/film.mp4"),
        (MINIO, "http://other.minio.example:9000/lessons/p/film.mp4"),
        (MINIO, "http://minio.example.evil.example:9000/lessons/p/film.mp4"),
        (MINIO, "http://minio.example:9000@evil.example/lessons/p/film.mp4"),
        (MINIO, "http://user@minio.example:9000/lessons/p/film.mp4"),
        (MINIO, "//evil.example/lessons/p/film.mp4"),
        (MINIO, "https://minio.example:9000/lessons/p/film.mp4"),
        (MINIO, "/sign-in"),
        (MINIO, "/lessons/p/other.mp4"),
        (MINIO, "http://[::1"),
        (MINIO, "http://minio.example:99999/lessons/p/film.mp4"),
        (MINIO, ""),
        ("http://127.0.0.1:9000/lessons/k", "http://lessons.127.0.0.1:9000/k"),
        (AWS, "http://lessons.s3.eu-west-1.amazonaws.com/p/film.mp4"),
        (AWS, "https://lessons.s3.eu-west-1.amazonaws.com:8443/p/film.mp4"),
        (AWS, "https://lessons.s3.us-west-2.amazonaws.com/p/film.mp4"),
        (AWS, "https://others.s3.eu-west-1.amazonaws.com/p/film.mp4"),
        (AWS, "https://lessons.s3.eu-west-1.amazonaws.com.evil.example/p/film.mp4"),
        (AWS, "https://ec2-1-2-3-4.eu-west-1.compute.amazonaws.com/lessons/p/film.mp4"),
        (BUCKETS_OWN, "http://lessons.s3.amazonaws.com/p/film.mp4"),
    ],
)
def test_nobody_else_is_asked(asked: str, location: str) -> None:
    """Another port, host, scheme, region, bucket or object, and what is no address at all."""
    assert turned(asked, location) is None


def test_303_is_not_followed() -> None:
    """It asks for another method."""
    assert turned(MINIO, MINIO, status=303) is None


def test_a_circle_ends() -> None:
    """After three turns the redirect is the answer."""
    with RedirectScope(bucket="lessons", region="eu-west-1") as way:
        go_the_way({"url": MINIO})
        turns = [way.turn(_answer(307, MINIO)) for _ in range(5)]
    assert turns == [True, True, True, False, False]


def test_a_call_that_is_over_leaves_no_way_behind() -> None:
    """The next call of the same task goes where it would."""
    with RedirectScope(bucket="lessons", region="eu-west-1") as way:
        go_the_way({"url": MINIO})
        way.turn(_answer(307, "/s3/lessons/p/film.mp4"))
    params: dict[str, Any] = {"url": MINIO}
    go_the_way(params)
    assert params["url"] == MINIO
