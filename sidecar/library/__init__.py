"""The library: the platform's services for programs, over the daemon's own parts."""
