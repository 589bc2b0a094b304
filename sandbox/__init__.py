"""Deploy a CDK app into an embedded AWS, with the real CDK CLI, and drive it.

    from sandbox import embedded

    with embedded() as target:
        deployment = target.deploy(app="python3 app.py", stacks=["orders"])["orders"]
        deployment.http.post(deployment["ApiUrl"] + "orders", b"{}")
        deployment.client("sqs").receive_message(QueueUrl=deployment["QueueUrl"])

The same code runs against a real account with ``aws()`` instead of ``embedded()``.
"""

from sandbox.account import aws, endpoint
from sandbox.cdk import DeployFailed
from sandbox.emulator import embedded
from sandbox.errors import SandboxError
from sandbox.signed_http import Answer
from sandbox.target import Deployment, Target

__all__ = [
    "Answer",
    "DeployFailed",
    "Deployment",
    "SandboxError",
    "Target",
    "aws",
    "embedded",
    "endpoint",
]
