"""The floor: awscrt's own S3 client with its own multipart, and nothing else. ``floor FOLDER URL BUCKET``."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from awscrt import auth, http, io, s3

REGION = "us-east-1"
PART_BYTES = 8 * 1024 * 1024
AT_ONCE = 256
_GBPS = 100.0  # as many connections as pay; with less it keeps to a few
_MEMORY_BYTES = 1024**3


def main(folder: Path, url: str, bucket: str) -> None:
    """Put every file of a folder."""
    target = urlsplit(url)
    client = _client(is_encrypted=target.scheme == "https")
    room, futures = threading.BoundedSemaphore(AT_ONCE), []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        room.acquire()
        headers = [("Host", target.netloc), ("Content-Length", str(path.stat().st_size))]
        key = f"/{bucket}/floor/{path.relative_to(folder)}"
        request = http.HttpRequest("PUT", key, http.HttpHeaders(headers))
        made = client.make_request(
            type=s3.S3RequestType.PUT_OBJECT, request=request, send_filepath=str(path),
            on_done=lambda **_: room.release(),
        )  # fmt: skip
        futures.append(made.finished_future)
    for future in futures:
        future.result()


def _client(*, is_encrypted: bool) -> Any:
    provider = auth.AwsCredentialsProvider.new_static(
        os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]
    )
    options = None
    if is_encrypted:
        context = io.TlsContextOptions()
        context.override_default_trust_store_from_path(None, os.environ["SSL_CERT_FILE"])
        options = io.ClientTlsContext(context).new_connection_options()
    return s3.S3Client(
        region=REGION,
        tls_mode=s3.S3RequestTlsMode.ENABLED if is_encrypted else s3.S3RequestTlsMode.DISABLED,
        tls_connection_options=options,
        signing_config=s3.create_default_s3_signing_config(region=REGION, credential_provider=provider),
        part_size=PART_BYTES,
        throughput_target_gbps=_GBPS,
        memory_limit=_MEMORY_BYTES,
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3])
