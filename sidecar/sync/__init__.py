"""TELL: from the outbox to Convex."""
