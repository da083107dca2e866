"""Tests of ``sidecar convex migrate``; ``former`` holds the functions of the version before the component."""
