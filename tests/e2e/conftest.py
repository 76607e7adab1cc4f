"""One S3 server for the tests that need one."""

from tests.rclone_server import s3_server

__all__ = ["s3_server"]
