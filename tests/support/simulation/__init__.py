"""The daemon's stages on a virtual clock, over remotes in memory that outlive every crash.

A *history* is a scenario lived through to the end: one life of the daemon after another on one journal,
one bucket, one Convex. ``history.live`` lives it; everything in it follows from its ``Plan``
(scenario, seed, crashes, faults), so that a failure is replayed by naming them:

    python -m tests.support.simulation replay SCENARIO --seed 3 --crash 7:after --fault 12:lost-after

Ports are the only doors: the production code knows nothing of any of this.
"""
