"""One sidecar for each folder: locks, leases, and the fence before the remotes."""
