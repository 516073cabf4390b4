"""With what the nodes of a cluster know each other: a certificate authority of their own, and a certificate by it.

The authority is kept, so that a node with a new certificate and one with the old know each other while they are
restarted one at a time. One certificate is for all nodes, and names each of them.
"""

import ipaddress
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from kronik import KronikError
from msgspec import Struct

AUTHORITY_DAYS: Final = 3650
NODES_DAYS: Final = 365
RENEWED_DAYS: Final = 90
"""Before its end a certificate is made anew; an authority, while it could not outlive one more certificate."""
_CLOCKS: Final = timedelta(hours=1)
"""How far the nodes' clocks may differ."""


class CertificateUnusable(KronikError):
    """What is kept is no certificate, or not the key of its certificate; the message says which."""


class Certificates(Struct, frozen=True):
    """As PEM. The authority's key makes new certificates and is on no server: empty where it is kept elsewhere."""

    authority: bytes
    authority_key: bytes
    nodes: bytes
    nodes_key: bytes


def make(nodes: Sequence[str], now: datetime, kept: Certificates | None = None) -> Certificates:
    """For routes among these nodes (host names and addresses): what is kept, and of it anew what has to be.

    Raises CertificateUnusable.
    """
    try:
        return _make(nodes, now, kept)
    except (ValueError, TypeError) as error:
        raise CertificateUnusable(f"the certificates of the routes can't be read: {error}") from error


def ends(certificate: bytes) -> datetime:
    return x509.load_pem_x509_certificate(certificate).not_valid_after_utc


def _make(nodes: Sequence[str], now: datetime, kept: Certificates | None) -> Certificates:
    if kept is None or ends(kept.authority) < now + timedelta(days=NODES_DAYS):
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Kronik routes")])
        authority = _authority(name, key, now)
        kept = Certificates(_pem(authority), _key_pem(key), b"", b"")
    elif _names(kept.nodes) == set(nodes) and ends(kept.nodes) > now + timedelta(days=RENEWED_DAYS):
        return kept
    if not kept.authority_key:
        raise CertificateUnusable("without the authority's key (routes-ca-key.pem) no new certificate can be made")
    issuer, issuer_key = x509.load_pem_x509_certificate(kept.authority), _key(kept.authority_key)
    if issuer.public_key() != issuer_key.public_key():
        raise CertificateUnusable("the authority's key is not that of its certificate")
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _certificate(nodes, key, issuer.subject, issuer_key, now)
    return Certificates(kept.authority, kept.authority_key, _pem(certificate), _key_pem(key))


def _authority(name: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime) -> x509.Certificate:
    return (
        _begun(name, name, key, now, AUTHORITY_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .sign(key, hashes.SHA256())
    )


def _certificate(
    nodes: Sequence[str],
    key: ec.EllipticCurvePrivateKey,
    issuer: x509.Name,
    issuer_key: ec.EllipticCurvePrivateKey,
    now: datetime,
) -> x509.Certificate:
    """Each node is the server of a route, or its client."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Kronik node")])
    both = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    return (
        _begun(name, issuer, key, now, NODES_DAYS)
        .add_extension(x509.SubjectAlternativeName([_general_name(node) for node in nodes]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(both), critical=False)
        .sign(issuer_key, hashes.SHA256())
    )


def _begun(
    name: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime, days: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCKS)
        .not_valid_after(now + timedelta(days=days))
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(node: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(node))
    except ValueError:
        return x509.DNSName(node)


def _names(certificate: bytes) -> set[str]:
    found = x509.load_pem_x509_certificate(certificate).extensions.get_extension_for_class(x509.SubjectAlternativeName)
    return {str(name.value) for name in found.value}


def _key(pem: bytes) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(pem, None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise CertificateUnusable("the authority's key is none that was made here")
    return key


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
