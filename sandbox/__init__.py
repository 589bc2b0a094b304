"""Deploy a CDK app into an embedded AWS, with the real CDK CLI, and drive it.

    from serverless_patterns.sandbox import embedded

    with embedded() as target:
        deployment = target.deploy(app="python3 app.py", stacks=["orders"])["orders"]
        deployment.http.post(deployment["ApiUrl"] + "orders", b"{}")
        deployment.client("sqs").receive_message(QueueUrl=deployment["QueueUrl"])

The same code runs against a real account with ``aws()`` instead of ``embedded()``.
"""

try:
    import boto3  # noqa: F401
    import rich  # noqa: F401
except ImportError as error:
    raise ImportError(
        f"The sandbox needs {error.name}: install serverless-patterns with its extra 'sandbox'."
    ) from error

from .account import aws, endpoint
from .cdk import DeployFailed
from .emulator import embedded
from .errors import SandboxError
from .process import Keys
from .signed_http import Answer
from .target import Deployment, Target

__all__ = [
    "Answer",
    "DeployFailed",
    "Deployment",
    "Keys",
    "SandboxError",
    "Target",
    "aws",
    "embedded",
    "endpoint",
]
