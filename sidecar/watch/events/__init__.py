"""What inotify tells of the watched folders, and what is done about it."""
