"""The local endpoint."""
