"""Certificates for servers and clients of tests, by an authority of their own."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_PEM = serialization.Encoding.PEM


def write_certificates(folder: Path, *names: str) -> None:
    """Write `authority.pem`, and `<name>.pem` and `<name>.key` for each name, good for loopback."""
    authority = ec.generate_private_key(ec.SECP256R1())
    own = _signed("authority", authority, authority, is_authority=True)
    (folder / "authority.pem").write_bytes(own.public_bytes(_PEM))
    for name in names:
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = _signed(name, key, authority, is_authority=False)
        (folder / f"{name}.pem").write_bytes(certificate.public_bytes(_PEM))
        (folder / f"{name}.key").write_bytes(
            key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        )


def _signed(
    name: str, key: ec.EllipticCurvePrivateKey, by: ec.EllipticCurvePrivateKey, is_authority: bool
) -> x509.Certificate:
    def called(words: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, words)])

    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(called(name))
        .issuer_name(called("authority"))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=2))
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
    )
    if not is_authority:
        places = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        builder = builder.add_extension(x509.SubjectAlternativeName(places), critical=False)
    return builder.sign(by, hashes.SHA256())
