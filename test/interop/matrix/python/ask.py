"""Asks with cryptography.x509.ocsp, which makes requests and reads responses; verifying them is the caller's part."""
import base64
import os
import sys
import urllib.parse
import urllib.request
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID


def verify(key, signature, octets, algorithm):
    if isinstance(key, ec.EllipticCurvePublicKey):
        key.verify(signature, octets, ec.ECDSA(algorithm))
    else:
        key.verify(signature, octets, padding.PKCS1v15(), algorithm)


def key_hash(certificate):
    return x509.SubjectKeyIdentifier.from_public_key(certificate.public_key()).digest


def signer_of(response, issuer):
    """The issuer, or a delegate that it certified for this and that is valid now."""
    for certificate in [issuer, *response.certificates]:
        if response.responder_key_hash not in (None, key_hash(certificate)):
            continue
        if response.responder_name not in (None, certificate.subject):
            continue
        if certificate is issuer:
            return certificate
        verify(
            issuer.public_key(),
            certificate.signature,
            certificate.tbs_certificate_bytes,
            certificate.signature_hash_algorithm,
        )
        purposes = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        if ExtendedKeyUsageOID.OCSP_SIGNING not in purposes:
            raise ValueError("the signer's certificate is not for signing OCSP")
        if not certificate.not_valid_before <= datetime.utcnow() <= certificate.not_valid_after:
            raise ValueError("the signer's certificate is not valid now")
        return certificate
    raise ValueError("no certificate of the signer")


def exchange(url, method, der):
    if method == "GET":
        request = url + urllib.parse.quote(base64.b64encode(der), safe="")
    else:
        headers = {"Content-Type": "application/ocsp-request"}
        request = urllib.request.Request(url, data=der, headers=headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return answer.read()


def ask(issuer, certificate, url, method, algorithm, nonce):
    builder = ocsp.OCSPRequestBuilder().add_certificate(certificate, issuer, algorithm)
    if nonce:
        builder = builder.add_extension(x509.OCSPNonce(nonce), critical=False)
    question = builder.build()
    response = ocsp.load_der_ocsp_response(exchange(url, method, question.public_bytes(Encoding.DER)))
    if response.response_status != ocsp.OCSPResponseStatus.SUCCESSFUL:
        return "refused", response.response_status.name
    signer = signer_of(response, issuer)
    verify(
        signer.public_key(),
        response.signature,
        response.tbs_response_bytes,
        response.signature_hash_algorithm,
    )
    for name in ("serial_number", "issuer_key_hash", "issuer_name_hash"):
        if getattr(response, name) != getattr(question, name):
            raise ValueError(f"answers for another {name}")
    if type(response.hash_algorithm) is not type(algorithm):
        raise ValueError("answers with another hash")
    if not response.this_update <= datetime.utcnow() <= response.next_update:
        raise ValueError("not current")
    if nonce:
        echoed = response.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce
        if echoed != nonce:
            raise ValueError("another nonce")
    reason = response.revocation_reason
    return response.certificate_status.name.lower(), f"reason {reason.value if reason else None}"


def load(path):
    with open(path, "rb") as file:
        return x509.load_pem_x509_certificate(file.read())


for line in sys.stdin:
    issuer_path, certificate_path, url, _ = line.rstrip("\n").split("\t")
    issuer, certificate = load(issuer_path), load(certificate_path)
    for method in ("GET", "POST"):
        for algorithm in (hashes.SHA1(), hashes.SHA256()):
            for nonce in (None, os.urandom(16)):
                try:
                    verdict, text = ask(issuer, certificate, url, method, algorithm, nonce)
                except (InvalidSignature, ValueError, x509.ExtensionNotFound) as error:
                    verdict, text = "refused", repr(error)
                way = f"{method} {algorithm.name}{' nonce' if nonce else ''}"
                print(way, verdict, text, sep="\t")
    print(flush=True)
