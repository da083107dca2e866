"""Servers, a renderer and a whole stack on this machine: for ``dev``, ``demo`` and the tests alone."""
