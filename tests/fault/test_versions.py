"""A bucket that keeps versions: whatever the network does, one content is one version."""

from __future__ import annotations

from collections import Counter

from tests.support.faults import Fault
from tests.support.system import eventually

from .rig import MIB, Rig

DOUBLING = (Fault.DUPLICATE, Fault.LATE, Fault.RESET_AFTER, Fault.EMPTY_200, Fault.ERROR_IN_200_AFTER)


def test_a_request_that_arrives_twice_makes_one_version(rig: Rig) -> None:
    """PUT and Complete, doubled by the network or by our own retry; also when the first one comes last."""
    rig.client.put_bucket_versioning(Bucket=rig.bucket, VersioningConfiguration={"Status": "Enabled"})
    for fault in DOUBLING:
        for operation in ("PutObject", "CompleteMultipartUpload"):
            rig.lives += 1
            armed = rig.s3_proxy.arm(fault, operation=operation)
            size = 100 if operation == "PutObject" else 10 * MIB + 7
            rig.write(f"video/{operation}{rig.lives}.ts", rig.data(size))
            rig.wait_quiet()
            assert armed.fired == 1, (fault, operation)
            eventually("the late one arrived", lambda: not _on_its_way(rig))
            rig.clear()
    found = rig.client.list_object_versions(Bucket=rig.bucket)["Versions"]
    assert {key: n for key, n in Counter(one["Key"] for one in found).items() if n != 1} == {}
    assert len(found) == rig.written
    rig.verify()


def _on_its_way(rig: Rig) -> bool:
    """Tell whether a request that was given up is still to be carried out."""
    return any(one.fault is Fault.LATE and one.status is None for one in rig.s3_proxy.exchanges)
