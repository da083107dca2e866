"""``sidecar bench``: the sidecar beside the tools that one would take instead, in one run on one machine."""
