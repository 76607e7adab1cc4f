"""A runner of snapdir for AWS's public S3 workloads; README.md beside this file says how to call it."""
