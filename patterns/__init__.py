"""Event-driven serverless patterns for AWS CDK: one sub-package each."""
