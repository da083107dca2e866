"""SHIP: from `ready` to `uploaded`."""
