"""Requests to a URL that somebody else has chosen: public, with TLS, and never redirected.

A server that posts where its clients tell it to can be told to post into its own network. So a name
is resolved once, each of its addresses must be public, and the connection goes to the address that
was checked: a name that resolves to another one a moment later (DNS rebinding) changes nothing.

Source: https://cheatsheetseries.owasp.org/cheatsheets/Server_Side_Request_Forgery_Prevention_Cheat_Sheet.html
"""

from __future__ import annotations

import http.client
import ipaddress
import re
import socket
import ssl
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from .outcomes import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    LookUp = Callable[..., Any]

HTTPS_PORT = 443
MAX_URL = 2_048
# https://www.iana.org/assignments/ipv6-address-space has all public ones in here, but for those
# that carry an IPv4 address and may lead where it does: 6to4 and Teredo.
PUBLIC_IPV6 = ipaddress.IPv6Network("2000::/3")
# Documentation, protocols and relays: not each Python knows them.
OTHERS = tuple(
    map(
        ipaddress.ip_network,
        ("2002::/16", "2001::/32", "3fff::/20", "192.0.0.0/24", "192.88.99.0/24"),
    )
)
NOT_PUBLIC = (".internal", ".local", ".localhost", ".home.arpa")
_NAME = re.compile(r"(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]*[a-z0-9]")


class UnreachableError(Exception):
    """No answer came; a word says why."""


@dataclass(frozen=True)
class Target:
    """A URL that may be posted to.

    Attributes:
        tls: Whether it is HTTPS.
        host: Its name.
        port: Its port.
        path: Path and query.
        trusted: Whether it was allowed by name, wherever it leads.
    """

    tls: bool
    host: str
    port: int
    path: str
    trusted: bool


@dataclass(frozen=True)
class Answer:
    """What an endpoint answered; ``retry_after`` is in seconds, 0 if it names none."""

    status: int
    retry_after: int = 0


def check(url: Any, allowed: Collection[str] = ()) -> Target:
    """Return where a URL leads, without a look-up of its name.

    Args:
        url: Of any type, as a client sent it.
        allowed: Origins such as ``https://partner.internal:8443`` that may be private, have no TLS
            or another port.

    Raises:
        RefusedError: it is no URL of a public host with TLS on port 443.
    """
    if not isinstance(url, str) or not 1 <= len(url) <= MAX_URL or re.search(r"[^!-~]|\\", url):
        raise RefusedError("url", f"url must be printable ASCII, at most {MAX_URL} characters.")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise RefusedError("url", "url is no URL.") from None
    tls, host = parts.scheme == "https", (parts.hostname or "").rstrip(".")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    port = port if port is not None else HTTPS_PORT if tls else 80
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise RefusedError("url", "url must have no user name, password or fragment.")
    if f"{parts.scheme}://{parts.netloc}" in allowed:
        return Target(tls, host, port, path, trusted=True)
    if not tls or port != HTTPS_PORT:
        raise RefusedError("url", f"url must begin with https:// and use port {HTTPS_PORT}.")
    if not _NAME.fullmatch(host) or len(host) > 253 or host.endswith(NOT_PUBLIC):
        raise RefusedError("host", "url must have a public domain name, not an address.")
    return Target(tls, host, port, path, trusted=False)


def resolve(target: Target, look_up: LookUp = socket.getaddrinfo) -> str:
    """Return the address to connect to.

    Raises:
        RefusedError: the name leads into a network that is not public, with one of its addresses.
        UnreachableError: nobody has such a name now.
    """
    try:
        found = look_up(target.host, target.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise UnreachableError("no_address") from None
    addresses = [str(one[4][0]) for one in found]
    if not addresses:
        raise UnreachableError("no_address")
    if not target.trusted and not all(map(is_public, addresses)):
        raise RefusedError("private_address", "The host of url is not in a public network.")
    return addresses[0]


def is_public(address: str) -> bool:
    """Whether an address is on the internet, and not private, local, shared or multicast."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return is_public(str(found.ipv4_mapped))
        if found not in PUBLIC_IPV6:
            return False
    if any(found in network for network in OTHERS):
        return False
    return found.is_global and not found.is_multicast and not found.is_reserved


def post(
    target: Target,
    body: bytes,
    headers: Mapping[str, str],
    *,
    seconds: float,
    look_up: LookUp = socket.getaddrinfo,
) -> Answer:
    """Post to the address that ``target`` has now; a redirect is an answer like another.

    Args:
        target: See ``check``.
        body: What to post.
        headers: Of the request.
        seconds: For all but the look-up: an endpoint that answers a byte a second is cut off, too.
        look_up: Resolves names.

    Raises:
        RefusedError: see ``resolve``.
        UnreachableError: no answer came in time.
    """
    connection = _Connection(target, resolve(target, look_up), seconds)
    watch = threading.Timer(seconds, connection.cut)
    watch.daemon = True
    watch.start()
    try:
        connection.request("POST", target.path, body, dict(headers))
        answer = connection.getresponse()
        return Answer(answer.status, _seconds(answer.headers.get("Retry-After", "")))
    except (OSError, http.client.HTTPException, ValueError) as error:
        timeout = connection.is_cut or isinstance(error, TimeoutError)
        raise UnreachableError("timeout" if timeout else type(error).__name__) from None
    finally:
        watch.cancel()
        connection.close()


class _Connection(http.client.HTTPConnection):
    """A connection to an address that was checked, whatever its host's name resolves to now."""

    def __init__(self, target: Target, address: str, seconds: float) -> None:
        super().__init__(target.host, target.port, timeout=seconds)
        self._tls, self._address, self.is_cut = target.tls, address, False
        if target.tls:
            self.default_port = HTTPS_PORT  # else Host would name it

    def connect(self) -> None:
        self.sock = socket.create_connection((self._address, self.port), self.timeout)
        if self._tls:
            # Detaches the socket, so that the one to cut has to be known before the handshake.
            self.sock = ssl.create_default_context().wrap_socket(
                self.sock, server_hostname=self.host, do_handshake_on_connect=False
            )
        if self.is_cut:
            raise TimeoutError
        if isinstance(self.sock, ssl.SSLSocket):
            self.sock.do_handshake()

    def cut(self) -> None:
        """End it from another thread."""
        self.is_cut = True
        if sock := self.sock:
            try:
                socket.socket.shutdown(sock, socket.SHUT_RDWR)
            except OSError:
                return


def _seconds(header: str) -> int:
    return int(header) if re.fullmatch(r"[0-9]{1,5}", header) else 0
