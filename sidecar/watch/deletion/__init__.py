"""Files that are gone, and files that are deleted here."""
