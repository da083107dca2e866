"""What the formats themselves say of whether a file is whole."""
