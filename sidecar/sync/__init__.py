"""The sync stage: from the outbox to Convex."""
