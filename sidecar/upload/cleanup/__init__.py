"""What is left at S3 and must not stay there."""
