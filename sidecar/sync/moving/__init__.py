"""Moves an installation of before the component into it, and back: ``sidecar convex migrate``."""
