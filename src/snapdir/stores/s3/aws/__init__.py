"""AWS's own rules, by botocore: configuration, credentials, regions and endpoints."""
