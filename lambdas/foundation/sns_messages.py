"""What SNS posts to an endpoint, believed only once its signature is verified.

Only what is signed is read: anybody on the way can change the attributes, the type in the headers
and the links of a message without breaking its signature.

No AWS, no environment, no clock: only ``fetch`` leaves the function, to SNS's own host.
"""

from __future__ import annotations

import base64
import binascii
import functools
import http.client
import re
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509 import verification

from . import strict_json
from .outcomes import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

# SNS takes 256 KiB; a control character of the message is six in its JSON.
MAX_BODY = 2 * 1024**2
CLOCK_SKEW = 300  # seconds
FEWEST_BITS = 2_048
FETCH_SECONDS = 3
MAX_CERTIFICATE = 65_536
# Reasons why nobody knows whom a message is from; any other says what is wrong in itself.
DISTRUSTED = (
    "topic", "signature_version", "certificate_url", "certificate", "signature", "timestamp",
)  # fmt: skip
NOTIFICATION, CONFIRMATION = "Notification", "SubscriptionConfirmation"
# https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message-verify-message-signature.html
SIGNED = {
    NOTIFICATION: ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    CONFIRMATION: (
        "Message",
        "MessageId",
        "SubscribeURL",
        "Timestamp",
        "Token",
        "TopicArn",
        "Type",
    ),
}
SIGNED["UnsubscribeConfirmation"] = SIGNED[CONFIRMATION]
_ARN = re.compile(r"arn:[a-z-]+:sns:([a-z0-9-]+):[0-9]{12}:[A-Za-z0-9_-]{1,256}")
_PATH = r"/SimpleNotificationService-[0-9a-f]{32}\.pem"


class UnavailableError(Exception):
    """The certificate could not be fetched: SNS is to deliver the message again."""


@dataclass(frozen=True)
class Notification:
    """A message of SNS whose signature is right.

    Attributes:
        kind: ``Notification``, ``SubscriptionConfirmation`` or ``UnsubscribeConfirmation``.
        id: The same in every attempt to deliver it, a redelivery included.
        topic: ARN of the topic.
        body: What was published.
        subject: Its subject, or "".
        token: Confirms a subscription; "" in notifications.
        published_at: In Unix seconds.
    """

    kind: str
    id: str
    topic: str
    body: str
    subject: str
    token: str
    published_at: float

    @property
    def region(self) -> str:
        """The Region of the topic."""
        return self.topic.split(":")[3]


@dataclass(frozen=True)
class Verifier:
    """Tells messages of your topics from everything else.

    Attributes:
        topics: ARNs of the topics that may send.
        certificate: Returns the PEM at a URL, which is one of SNS.
        max_age: Seconds for which a message is taken after it was published. SNS retries for up to
            an hour, and a dead letter is redelivered up to 14 days later.
        trust_store: PEM of the authorities that must have issued the certificate, and of those
            between: SNS serves its own certificate alone. Default: none, so that it is trusted for
            where it came from, by TLS.
    """

    topics: Collection[str]
    certificate: Callable[[str], bytes]
    max_age: float
    trust_store: bytes = b""

    def verify(self, body: bytes, now: float) -> Notification:
        """Return the message in a request's body.

        Raises:
            RefusedError: it is none of SNS for one of the topics, was altered, or is too old.
        """
        if len(body) > MAX_BODY:
            raise RefusedError("too_large", f"The body has more than {MAX_BODY} bytes.")
        said = _fields(body)
        if said["TopicArn"] not in self.topics:
            raise RefusedError("topic", "The message is of a topic that is not known.")
        region = _ARN.fullmatch(said["TopicArn"])
        if region is None:
            raise RefusedError("topic", "TopicArn is not the ARN of a standard topic.")
        if said["SignatureVersion"] != "2":
            raise RefusedError("signature_version", "SignatureVersion must be 2, which is SHA256.")
        host = host_of(region[1])
        if not re.fullmatch(re.escape(f"https://{host}") + _PATH, said["SigningCertURL"]):
            raise RefusedError("certificate_url", f"SigningCertURL must be one of {host}.")
        found = _certificate(self.certificate(said["SigningCertURL"]))
        _check_certificate(found, host, region[1], self.trust_store, now)
        _check_signature(found[0], said)
        published_at = _timestamp(said["Timestamp"])
        if not -CLOCK_SKEW <= now - published_at <= self.max_age:
            raise RefusedError("timestamp", "The message is too old, or of the future.")
        return Notification(
            said["Type"],
            said["MessageId"],
            said["TopicArn"],
            said["Message"],
            said.get("Subject", ""),
            said.get("Token", ""),
            published_at,
        )


def host_of(region: str) -> str:
    """Return the host that has the certificates of a Region.

    Source: https://docs.aws.amazon.com/general/latest/gr/sns.html
    """
    return f"sns.{region}.amazonaws.com{'.cn' if region.startswith('cn-') else ''}"


def _fields(body: bytes) -> dict[str, str]:
    """Return the fields that count, each a string."""
    try:
        said = strict_json.parse(body.decode())
    except UnicodeDecodeError:
        raise RefusedError("not_json", "The body is not UTF-8.") from None
    kind = said.get("Type") if isinstance(said, dict) else None
    if not isinstance(kind, str) or kind not in SIGNED:
        raise RefusedError("type", "The body is no message of SNS.")
    names = {*SIGNED[kind], "Signature", "SignatureVersion", "SigningCertURL"}
    if said.get("Subject") is None:  # it has none
        names.discard("Subject")
    found = {name: said.get(name) for name in names}
    if wrong := sorted(name for name, value in found.items() if not isinstance(value, str)):
        raise RefusedError("field", f"{', '.join(wrong)} must be a string.")
    return found


def _certificate(pem: bytes) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError:
        raise RefusedError("certificate", "What SigningCertURL has is no certificate.") from None


def _check_certificate(
    chain: list[x509.Certificate], host: str, region: str, trust_store: bytes, now: float
) -> None:
    """Reject a certificate that is not of SNS, or is not valid now."""
    leaf, moment = chain[0], datetime.fromtimestamp(now, UTC)
    if not leaf.not_valid_before_utc <= moment <= leaf.not_valid_after_utc:
        raise RefusedError("certificate", "The certificate is not valid now.")
    # Opt-in Regions, GovCloud and China have names of their own.
    suffix = host.removeprefix(f"sns.{region}.")
    known = {host, f"sns.{suffix}", f"sns-{region}.{suffix}", f"sns-signing.{region}.{suffix}"}
    name = next((one for one in _names(leaf) if one in known), None)
    if name is None:
        raise RefusedError("certificate", "The certificate is not one of SNS.")
    if not trust_store:
        return
    store = verification.Store(x509.load_pem_x509_certificates(trust_store))
    policy = verification.PolicyBuilder().store(store).time(moment.replace(tzinfo=None))
    try:
        policy.build_server_verifier(x509.DNSName(name)).verify(leaf, chain[1:])
    except verification.VerificationError:
        raise RefusedError("certificate", "No known authority has issued it.") from None


def _names(leaf: x509.Certificate) -> list[str]:
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        return names.get_values_for_type(x509.DNSName)
    except x509.ExtensionNotFound:
        common = leaf.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
        return [str(one.value) for one in common]


def _check_signature(leaf: x509.Certificate, said: dict[str, str]) -> None:
    key: Any = leaf.public_key()
    if not isinstance(key, rsa.RSAPublicKey) or key.key_size < FEWEST_BITS:
        raise RefusedError("certificate", f"Its key must be RSA of {FEWEST_BITS} bits or more.")
    try:
        signature = base64.b64decode(said["Signature"], validate=True)
        key.verify(signature, to_sign(said), padding.PKCS1v15(), hashes.SHA256())
    except (binascii.Error, InvalidSignature):
        raise RefusedError("signature", "The signature is not one of this message.") from None


def to_sign(said: dict[str, str]) -> bytes:
    """Return what SNS signs of a message."""
    names = SIGNED[said["Type"]]
    return "".join(f"{name}\n{said[name]}\n" for name in names if name in said).encode()


def _timestamp(text: str) -> float:
    if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z", text, re.ASCII):
        raise RefusedError("timestamp", "Timestamp is no point in time.")
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        raise RefusedError("timestamp", "Timestamp is no point in time.") from None


@functools.lru_cache(maxsize=16)
def fetch(url: str) -> bytes:
    """Return the certificate at a URL of SNS; a redirect is not followed.

    Raises:
        UnavailableError: it could not be had now. The next message asks again.
    """
    parts = urlsplit(url)
    context = ssl.create_default_context()
    connection = http.client.HTTPSConnection(
        str(parts.hostname), timeout=FETCH_SECONDS, context=context
    )
    try:
        connection.request("GET", parts.path)
        answer = connection.getresponse()
        found = answer.read(MAX_CERTIFICATE)
    except (OSError, http.client.HTTPException) as error:
        raise UnavailableError(type(error).__name__) from None
    finally:
        connection.close()
    if answer.status != 200:
        raise UnavailableError(f"HTTP {answer.status}")
    return found
