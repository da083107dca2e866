"""A bucket that keeps versions: whatever the network does, one content is one version."""

from __future__ import annotations

from collections import Counter

from tests.support.faults import Fault
from tests.support.system import eventually

from .rig import MIB, Rig

PUT, COMPLETE = "PutObject", "CompleteMultipartUpload"
DOUBLING = [(Fault.DUPLICATE, PUT), (Fault.LATE, PUT), (Fault.EMPTY_200, PUT)]
DOUBLING += [(Fault.DUPLICATE, COMPLETE), (Fault.LATE, COMPLETE)]


def test_a_request_that_arrives_twice_makes_one_version(rig: Rig) -> None:
    """PUT and Complete, doubled by the network or by our own retry; also when the first one comes last."""
    rig.client.put_bucket_versioning(Bucket=rig.bucket, VersioningConfiguration={"Status": "Enabled"})
    for fault, operation in DOUBLING:
        rig.lives += 1
        armed = rig.s3_proxy.arm(fault, operation=operation)
        rig.write(f"video/film{rig.lives}.mp4", rig.data(1000 if operation == PUT else 10 * MIB + 7))
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
