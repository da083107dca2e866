"""A preloaded library that kills a process at its N-th system call with an effect, or makes calls fail."""
