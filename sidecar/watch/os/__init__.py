"""What the operating system is asked: volumes, leases on files, links, threads."""
