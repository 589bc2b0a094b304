"""Schedule → S3, DynamoDB → S3: deletes the bodies that no message needs."""

from ..foundation.claims import sweep as handler

__all__ = ["handler"]
