"""Ships finished render output to S3 and announces it in Convex."""

__version__ = "0.1.0"
