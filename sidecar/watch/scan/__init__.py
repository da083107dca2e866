"""Listings of the watched folders: what lies there, and what each name counts as."""
