"""Certificate authorities that are not all as RFC 5280 asks. Those that are, trustme makes as well."""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

_YEARS = datetime(2000, 1, 1, tzinfo=UTC), timedelta(days=36500)


@dataclass
class Authority:
    """A root CA. Each of the three is asked for by RFC 5280 (4.2.1.1 to 4.2.1.3, 4.2.1.9), and by neither Go nor a lenient OpenSSL."""

    key_identifiers: bool = True
    critical_constraints: bool = True
    key_usage: bool = True
    _key: EllipticCurvePrivateKey | RSAPrivateKey = field(default_factory=lambda: generate_private_key(SECP256R1()))

    def __post_init__(self) -> None:
        self._name = _named(f"ca-{x509.random_serial_number():x}"[:24])
        made = self._begun(self._name, self._key).add_extension(x509.BasicConstraints(ca=True, path_length=None), self.critical_constraints)
        if self.key_usage:
            made = made.add_extension(_usage(ca=True), critical=True)
        if self.key_identifiers:
            made = made.add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False)
        self.pem = made.sign(self._key, SHA256()).public_bytes(Encoding.PEM).decode()

    def issue(self, *names: str, certificate: Path, key: Path, more: Iterable[x509.ExtensionType] = ()) -> None:
        """Write a server's certificate for these names and addresses, and its key."""
        own = generate_private_key(SECP256R1())
        alternatives = x509.SubjectAlternativeName([_alternative(name) for name in names])
        made = self._begun(_named(names[0]), own).add_extension(alternatives, critical=False)
        made = made.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        made = made.add_extension(_usage(ca=False), critical=True)
        if self.key_identifiers:
            made = made.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        for extension in more:
            made = made.add_extension(extension, critical=False)
        certificate.write_bytes(made.sign(self._key, SHA256()).public_bytes(Encoding.PEM))
        key.write_bytes(own.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))

    def _begun(self, subject: x509.Name, key: EllipticCurvePrivateKey | RSAPrivateKey) -> x509.CertificateBuilder:
        begin, length = _YEARS
        made = x509.CertificateBuilder().subject_name(subject).issuer_name(self._name).public_key(key.public_key())
        return made.serial_number(x509.random_serial_number()).not_valid_before(begin).not_valid_after(begin + length)


def _named(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca, key_cert_sign=ca, crl_sign=ca, content_commitment=False, key_encipherment=False,
        data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip
