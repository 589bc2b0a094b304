"""Posts to a URL that a client has chosen lead into no private network, whatever they answer."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives import serialization

from serverless_patterns.lambdas.foundation import endpoints
from serverless_patterns.lambdas.foundation.outcomes import RefusedError
from serverless_patterns.patterns.sns_webhook.scenario import PRIVATE
from serverless_patterns.sandbox.http_endpoint import Post, listening
from tests.sandbox.helpers import serve

from . import signing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

connect_at_once = socket.create_connection
CENTURY = 36_500  # days
LONGER = "https://" + "a" * 2_048 + ".example.com/"


def found(*addresses: str) -> Any:
    return lambda *_, **__: [(0, 0, 0, "", (address, 443)) for address in addresses]


@pytest.mark.parametrize(
    "url",
    [*PRIVATE, LONGER, "", None, 7, "https://", "https:///", "https://partner/", "//a.example/",
     "https://a.example\\@10.0.0.8/", "https://a.example/\r\nHost: b", "https://a.example:0x/",
     "https://\uff41.example/", "https://10.0.0.8%00.example.com/", "https://a.example/#b",
     "https://127.0.0.1.", "https://[fd00:ec2::254]/", "https://1.2.3.4.5/"],
)  # fmt: skip
def test_what_is_no_public_url_with_tls_is_refused(url: Any) -> None:
    with pytest.raises(RefusedError) as refused:
        endpoints.check(url)
    assert refused.value.reason in ("url", "host")


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.0.0.8", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
     "0.0.0.0", "255.255.255.255", "224.0.0.1", "240.0.0.1", "192.0.2.1", "198.18.0.1", "::1", "::",  # noqa: S104
     "fe80::1", "fe80::1%eth0", "fd00:ec2::254", "fc00::1", "ff02::1", "::ffff:10.0.0.8",
     "64:ff9b::a00:8", "2002:a00:8::1", "2001:0:a00:8::1", "2001:db8::1", "fec0::1", "3fff::1",
     "192.0.0.8", "192.88.99.1", "::10.0.0.8", "no address"],
)  # fmt: skip
def test_an_address_that_is_not_on_the_internet_is_refused_beside_a_public_one_too(
    address: str,
) -> None:
    target = endpoints.check("https://partner.example.com/hook?a=b")
    with pytest.raises(RefusedError, match="private_address"):
        endpoints.resolve(target, found("93.184.216.34", address))


def test_a_public_address_is_taken() -> None:
    target = endpoints.check("https://partner.example.com/hook?a=b")
    assert (target.host, target.port, target.path) == ("partner.example.com", 443, "/hook?a=b")
    for address in (
        "93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946", "::ffff:93.184.216.34",
    ):  # fmt: skip
        assert endpoints.resolve(target, found(address)) == address


def test_a_name_without_an_address_is_unreachable() -> None:
    target = endpoints.check("https://partner.example.com/")
    with pytest.raises(endpoints.UnreachableError, match=r"^no_address$"):
        endpoints.resolve(target, found())


def test_a_name_is_resolved_once_and_the_address_that_was_checked_is_connected_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers = iter(["93.184.216.34", "127.0.0.1"])  # the second look-up would be rebound
    connected: list[Any] = []

    def connect(address: Any, _: float) -> Any:
        connected.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "create_connection", connect)
    target = endpoints.check("https://partner.example.com/")
    look_up: Any = lambda *_, **__: [(0, 0, 0, "", (next(answers), 443))]  # noqa: E731
    with pytest.raises(endpoints.UnreachableError, match="ConnectionRefusedError"):
        endpoints.post(target, b"", {}, seconds=5, look_up=look_up)
    assert connected == [("93.184.216.34", 443)]
    assert next(answers) == "127.0.0.1"


def post(answer: Any, seconds: float = 5) -> endpoints.Answer:
    with listening(answer) as endpoint:
        target = endpoints.check(endpoint.url, [endpoint.origin])
        found = endpoints.post(target, b"body", {"webhook-id": "1"}, seconds=seconds)
        assert not endpoint.followed
        return found


def test_a_redirect_is_an_answer_and_not_followed() -> None:
    assert post(lambda _: 302).status == 302


def test_the_body_and_its_headers_arrive_as_they_were_given() -> None:
    asked: list[Post] = []

    def take(one: Post) -> int:
        asked.append(one)
        return 200

    assert post(take).status == 200
    assert (asked[0].body, asked[0].headers["webhook-id"]) == (b"body", "1")


def test_an_endpoint_says_when_to_come_again() -> None:
    class Busy(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(503)
            self.send_header("Retry-After", "7")
            self.send_header("Content-Length", "0")
            self.end_headers()

    with serve(Busy) as port:
        origin = f"http://127.0.0.1:{port}"
        answer = endpoints.post(endpoints.check(origin, [origin]), b"", {}, seconds=5)
    assert answer == endpoints.Answer(503, 7)


def test_a_connection_that_took_all_the_time_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    def connect(address: Any, _: float) -> Any:
        time.sleep(0.5)
        return connect_at_once(address, 5)

    monkeypatch.setattr(socket, "create_connection", connect)
    with pytest.raises(endpoints.UnreachableError, match="timeout"):
        post(lambda _: 200, seconds=0.1)


def test_an_endpoint_that_hangs_is_cut_off() -> None:
    with pytest.raises(endpoints.UnreachableError, match="timeout"):
        post(lambda _: 0, seconds=0.2)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_an_endpoint_that_answers_a_byte_now_and_then_is_cut_off(scheme: str) -> None:
    drop = b"HTTP/1.1 200 OK" * 20 if scheme == "http" else b"\x16\x03\x03\x40\x00" + bytes(300)
    with socket.create_server(("127.0.0.1", 0)) as server:
        origin = f"{scheme}://127.0.0.1:{server.getsockname()[1]}"
        target = endpoints.check(f"{origin}/", [origin])

        def drip() -> None:
            client, _ = server.accept()
            with client, suppress(OSError):
                for byte in drop:
                    client.sendall(bytes([byte]))
                    time.sleep(0.05)

        thread = threading.Thread(target=drip)
        thread.start()
        with pytest.raises(endpoints.UnreachableError, match="timeout"):
            endpoints.post(target, b"", {}, seconds=0.3)
        assert thread.is_alive(), "it was still answering"
        thread.join()


@contextmanager
def with_certificate_of(name: str, folder: Path) -> Iterator[int]:
    """Answer one request by TLS with 200, if the client believes the certificate."""
    chain, key = folder / "chain", folder / "key"
    chain.write_bytes(signing.pem(name, CENTURY))
    private = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    key.write_bytes(signing.key("sns").private_bytes(serialization.Encoding.PEM, *private))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)

    def answer() -> None:
        with suppress(OSError), context.wrap_socket(server.accept()[0], server_side=True) as one:
            one.recv(4_096)
            one.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=answer)
        thread.start()
        yield int(server.getsockname()[1])
        thread.join()


@pytest.mark.parametrize("name", ["partner.example.com", "another.example.com"])
def test_the_certificate_must_be_of_the_name_wherever_it_leads(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority, made = signing.pem("", CENTURY).decode(), ssl.create_default_context
    monkeypatch.setattr(ssl, "create_default_context", lambda: made(cadata=authority))
    with with_certificate_of(name, tmp_path) as port:
        origin = f"https://partner.example.com:{port}"
        target = endpoints.check(origin, [origin])
        try:
            endpoints.post(target, b"", {}, seconds=5, look_up=found("127.0.0.1"))
            error = ""
        except endpoints.UnreachableError as unreachable:
            error = str(unreachable)
    assert error == ("" if name == target.host else "SSLCertVerificationError")


def test_only_the_origin_that_is_allowed_may_be_private() -> None:
    allowed = ["http://127.0.0.1:8080"]
    assert endpoints.check("http://127.0.0.1:8080/hook", allowed).trusted
    for url in ("http://127.0.0.1:8081/", "http://127.0.0.1/", "https://127.0.0.1:8080/"):
        with pytest.raises(RefusedError):
            endpoints.check(url, allowed)
