"""Messages signed as SNS signs them, with certificates of an authority made here."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from serverless_patterns.lambdas.foundation.sns_messages import to_sign

NOW = datetime(2026, 11, 27, tzinfo=UTC)
MESSAGE_ID = "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324"
TOPIC = "arn:aws:sns:eu-central-1:123456789012:changes"
CERTIFICATE = f"https://sns.eu-central-1.amazonaws.com/SimpleNotificationService-{'0a' * 16}.pem"


@cache
def key(name: str) -> rsa.RSAPrivateKey:
    """Return a key that is made once for each name; that of ``weak`` is too short."""
    size = 1_024 if name == "weak" else 2_048
    return rsa.generate_private_key(public_exponent=65_537, key_size=size)


@dataclass(frozen=True)
class Authority:
    """Issues certificates."""

    name: str = "Amazon"

    def issue(self, host: str = "", days: int = 1, of: str = "sns") -> x509.Certificate:
        """Issue a certificate for a host, else for the authority itself."""
        own, subject = not host, host or self.name
        issuer, holder = key(self.name), key(of if host else self.name)
        usage = dict.fromkeys(
            ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
             "encipher_only", "decipher_only"), False
        )  # fmt: skip
        made = (
            x509.CertificateBuilder()
            .subject_name(_named(subject))
            .issuer_name(_named(self.name))
            .public_key(holder.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW - timedelta(days=30))
            .not_valid_after(NOW + timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=own, path_length=None), critical=own)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.public_key()),
                critical=False,
            )
            .add_extension(
                x509.KeyUsage(digital_signature=not own, key_cert_sign=own, crl_sign=own, **usage),
                critical=True,
            )
        )
        if own:
            identifier = x509.SubjectKeyIdentifier.from_public_key(holder.public_key())
            made = made.add_extension(identifier, critical=False)
        else:
            names, purpose = [x509.DNSName(host)], [ExtendedKeyUsageOID.SERVER_AUTH]
            made = made.add_extension(x509.SubjectAlternativeName(names), critical=False)
            made = made.add_extension(x509.ExtendedKeyUsage(purpose), critical=False)
        return made.sign(issuer, hashes.SHA256())


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])


@cache
def pem(
    host: str = "sns.amazonaws.com", days: int = 1, authority: str = "Amazon", of: str = "sns"
) -> bytes:
    """Return a certificate; for an authority without ``host``."""
    made = Authority(authority).issue(host, days, of)
    return made.public_bytes(serialization.Encoding.PEM)


def message(text: str = "{}", *, of: str = "sns", sha1: bool = False, **fields: Any) -> bytes:
    """Return a signed message, as SNS posts it; ``of`` names the key."""
    said = {
        "Type": "Notification",
        "MessageId": MESSAGE_ID,
        "TopicArn": TOPIC,
        "Message": text,
        "Timestamp": f"{NOW:%Y-%m-%dT%H:%M:%S}.000Z",
        "SignatureVersion": "1" if sha1 else "2",
        "SigningCertURL": CERTIFICATE,
        "UnsubscribeURL": "https://evil.example/",
    } | fields
    digest = hashes.SHA1() if sha1 else hashes.SHA256()  # noqa: S303
    signature = key(of).sign(to_sign(said), padding.PKCS1v15(), digest)
    return json.dumps({"Signature": base64.b64encode(signature).decode(), **said}).encode()


def confirmation(**fields: Any) -> bytes:
    """Return a signed request to confirm a subscription."""
    asked = {"Type": "SubscriptionConfirmation", "Token": "token-1"}
    return message(**asked | {"SubscribeURL": "https://evil.example/"} | fields)
