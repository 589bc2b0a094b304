"""A certificate for 127.0.0.1, made for one run of the embedded AWS and gone with its folder.

Runs on the embedded AWS's own Python, which has ``cryptography``.
"""

from __future__ import annotations

import datetime
import ipaddress
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

if TYPE_CHECKING:
    from pathlib import Path

VALID = datetime.timedelta(days=1)
CLOCK_SKEW = datetime.timedelta(hours=1)


def make(certificate: Path, key: Path) -> None:
    """Write a self-signed certificate and its private key, the certificate last and at once."""
    private = ec.generate_private_key(ec.SECP256R1())
    pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    key.touch(mode=0o600)
    key.write_bytes(private.private_bytes(pem, form, serialization.NoEncryption()))
    unfinished = certificate.with_suffix(".unfinished")
    unfinished.write_bytes(_self_signed(private).public_bytes(pem))
    unfinished.rename(certificate)


def _self_signed(private: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "embedded AWS")])
    identifier = x509.SubjectKeyIdentifier.from_public_key(private.public_key())
    now = datetime.datetime.now(datetime.UTC)
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    issuer = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + VALID)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(identifier, critical=False)
        .add_extension(issuer, critical=False)
        .sign(private, hashes.SHA256())
    )
