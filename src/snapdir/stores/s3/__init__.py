"""S3: bytes at keys of a bucket."""
