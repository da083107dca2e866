"""What connections to S3 and to Convex have in common: the way out, and what the kernel knows of them."""
