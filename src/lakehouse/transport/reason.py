"""Why a connection failed, in words that a caller may see, and what to do about it.

Operating systems and TLS libraries have hundreds of messages; this module maps them to a few
reasons. The original text is for the operator, in `TransportFault.detail`.
"""

import errno
import socket
import ssl
from typing import Final, Literal

from lakehouse.transport.proxy import ProxyRefused

Reason = Literal[
    "refused",
    "no_name",
    "no_route",
    "untrusted",
    "not_tls",
    "tls",
    "closed",
    "timeout",
    "limit",
    "proxy",
    "other",
]

_NO_ROUTE: Final = frozenset(
    {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EHOSTDOWN, errno.ENETDOWN, errno.EADDRNOTAVAIL}
)
_LIMIT: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_NOT_TLS: Final = ("wrong version number", "http request", "record layer failure", "packet length")

_WORDS: Final[dict[Reason, str]] = {
    "refused": "connection refused",
    "no_name": "its host name does not resolve",
    "no_route": "no route to its host",
    "untrusted": "its TLS certificate is not trusted",
    "not_tls": "it does not speak TLS",
    "tls": "the TLS handshake failed",
    "closed": "it closed the connection without an answer",
    "timeout": "no connection in time",
    "limit": "this process may open no more connections",
}


def reason_of(error: BaseException) -> Reason:
    """Classify an error of a connection."""
    if isinstance(error, ProxyRefused):
        return "proxy"
    if isinstance(error, ssl.SSLCertVerificationError):
        return "untrusted"
    if isinstance(error, ssl.SSLError):
        text = str(error).lower().replace("_", " ")
        return "not_tls" if any(words in text for words in _NOT_TLS) else "tls"
    if isinstance(error, socket.gaierror | UnicodeError):
        return "no_name"
    if isinstance(error, ConnectionRefusedError):
        return "refused"
    if isinstance(error, ConnectionError):
        return "closed"
    if isinstance(error, OSError) and error.errno in _NO_ROUTE:
        return "no_route"
    return "limit" if isinstance(error, OSError) and error.errno in _LIMIT else "other"


def words_of(reason: Reason, detail: str) -> str:
    """Describe a reason without any address; for a certificate or a proxy, with its cause."""
    if reason == "proxy":
        return detail.partition(": ")[2]
    if reason == "untrusted":
        _, found, why = detail.partition("certificate verify failed: ")
        if found:
            return f"{_WORDS[reason]}: {why.partition(' (_ssl')[0]}"
    return _WORDS.get(reason, "the connection failed")


def hint_for(reason: Reason, *, server: str, setting: str) -> str:
    """Return what to do. `server`: what should answer; `setting`: what configures its address."""
    hints: dict[Reason, str] = {
        "refused": f"Nothing listens there: start {server}, or correct {setting}.",
        "no_name": f"Correct the host name in {setting}, or this machine's name resolution.",
        "no_route": f"Check this machine's network, and the host in {setting}.",
        "untrusted": "Let this machine trust the authority that signed the certificate "
        f"(SSL_CERT_FILE names a file of authorities), or correct the host name in {setting}.",
        "not_tls": f"The port speaks plain HTTP: write http:// in {setting}, or take its TLS port.",
        "tls": f"Check the TLS settings of {server}: protocol, ciphers, client certificates.",
        "closed": f"Check the log of {server}: it closed the connection. If its port speaks TLS, "
        f"write https:// in {setting}.",
        "timeout": f"Check that {server} is up and reachable: nothing answered at {setting}.",
        "proxy": "Check the proxy: `proxy` of the model, else HTTP_PROXY and HTTPS_PROXY; NO_PROXY "
        "names the hosts that are reached without it.",
        "limit": "Raise the limit on open files of this process (ulimit -n).",
    }
    return hints.get(reason, f"Check that {server} is up, and that {setting} is right.")
