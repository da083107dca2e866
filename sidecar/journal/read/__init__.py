"""The journal read beside its writer: status, checks, copies, comparison."""
