"""Lets LocalStack's SNS post as AWS's does: signed with a certificate of SNS, never redirected.

It signs with a real key, but names itself as the place of the certificate, which is one of no host.
"""

from __future__ import annotations

import datetime
from importlib import import_module
from types import SimpleNamespace
from typing import Any

REGION = "us-east-1"
PATH = "/SimpleNotificationService-"  # of the certificate, which everybody may read
PATIENCE = (
    15  # seconds, as https://docs.aws.amazon.com/sns/latest/dg/SendMessageToHttp.prepare.html
)


def sign_as_sns() -> None:
    """Name the host and the path of AWS for the certificate, and issue it for that host.

    Functions reach it there: see ``worker.reach_the_engine``.
    """
    sns = "localstack.services.sns."
    certificate: Any = import_module(f"{sns}certificate")
    config: Any = import_module("localstack.config")
    constants: Any = import_module(f"{sns}constants")
    constants.SNS_CERT_ENDPOINT = f"{PATH}{'6c' * 16}.pem"
    config.SNS_CERT_URL_HOST = f"sns.{REGION}.amazonaws.com"
    certificate.SNS_SERVER_CERT = _issued(certificate.SNS_SERVER_PRIVATE_KEY)


def _issued(key: Any) -> str:
    from cryptography import x509  # LocalStack has it
    from cryptography.hazmat.primitives import hashes, serialization

    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "sns.amazonaws.com")])
    now, day = datetime.datetime.now(datetime.UTC), datetime.timedelta(days=1)
    issued = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - day)
        .not_valid_after(now + day)
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName("sns.amazonaws.com")]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    return issued.public_bytes(serialization.Encoding.PEM).decode()


def deliver_as_sns() -> None:
    """Follow no redirect, which is a failure, and wait for an answer as long as SNS does."""
    publisher: Any = import_module("localstack.services.sns.publisher")
    requests = publisher.requests

    def post(url: str, **given: Any) -> Any:
        answer = requests.post(url, **given, timeout=PATIENCE, allow_redirects=False)
        if 300 <= answer.status_code < 400:
            raise requests.HTTPError(f"{answer.status_code} is a redirect", response=answer)
        return answer

    publisher.requests = SimpleNamespace(**{**vars(requests), "post": post})


def sign_batches() -> None:
    """Hand the topic's signature version on to the messages of a batch, as to a single one."""
    dispatcher = import_module("localstack.services.sns.publisher").PublishDispatcher
    submit = dispatcher._submit_notification

    def submit_with_attributes(self: Any, notifier: Any, ctx: Any, subscriber: Any) -> None:
        if not ctx.topic_attributes:
            topic = ctx.store.topics[subscriber["TopicArn"]]
            ctx.topic_attributes = topic["attributes"]
        submit(self, notifier, ctx, subscriber)

    dispatcher._submit_notification = submit_with_attributes
