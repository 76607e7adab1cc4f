"""HTTP/1.1 with as few copies and turns of the loop as it takes. Knows nothing of S3."""
