"""What the journal remembers, by use case."""
