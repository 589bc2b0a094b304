"""API Gateway → presigned URL: the body goes to S3, and never through the API and its 10 MB."""

from ..foundation.uploads import handler

__all__ = ["handler"]
