"""When a file is complete: who waits, who is looked at, who decides."""
