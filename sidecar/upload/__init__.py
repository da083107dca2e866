"""The upload stage: from `ready` to `uploaded`."""
