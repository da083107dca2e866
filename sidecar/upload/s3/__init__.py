"""S3 itself: client, credentials, the line, requests and answers."""
