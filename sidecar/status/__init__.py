"""ANSWER: the local endpoint."""
