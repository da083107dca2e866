"""The watch stage: from folders to `ready`, by events, listings, leases and the files' own structure."""
