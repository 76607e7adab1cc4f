"""Opening a connection: addresses in turn, addresses that do not respond, time limits, TLS."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from snapdir.errors import InvalidOption
from snapdir.stores.s3.http.dns import AddressBook, SocketAddress, resolve
from snapdir.stores.s3.http.errors import ConnectFailed, ConnectionLost, ConnectTimeout, TLSFailed
from snapdir.stores.s3.http.pool import Pool
from snapdir.stores.s3.http.responses import Reception
from snapdir.stores.s3.http.timeouts import Timeouts
from snapdir.stores.s3.http.tls import ResumingContext, trusted_context
from tests.stores.s3.scripted_server import CERTIFICATE, Peer, Script, answer, client_tls, ok, serve, server_tls


@pytest.fixture(params=[True, False], ids=["uvloop", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": request.param}


class Names:
    """Looks names up in a list of addresses, and counts how often."""

    def __init__(self, *hosts: str) -> None:
        self.hosts = hosts
        self.lookups = 0

    def __call__(self, host: str, port: int) -> Sequence[SocketAddress]:
        self.lookups += 1
        return [address for number in self.hosts for address in resolve(number, port)]


CLOSE = ok(b"", b"Connection: close")


async def test_a_silent_connection_is_probed() -> None:
    """During long work a gateway may drop the connection, or the peer may disappear."""
    async with serve(answer(ok())) as server, Pool("127.0.0.1", server.port) as pool:
        await pool.request(b"GET", b"/")
        (connection,) = pool._connections
        assert connection._transport is not None
        sock = connection._transport.get_extra_info("socket")
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1


async def test_connections_are_spread_over_the_addresses() -> None:
    async with serve(*[answer(ok())] * 6, host="0.0.0.0") as server:  # noqa: S104
        names = Names("127.0.0.1", "127.0.0.2", "127.0.0.3")
        async with Pool("three.example", server.port, resolve=names) as pool:
            await asyncio.gather(*[pool.request(b"GET", b"/") for _ in range(6)])
            assert sorted(peer.address for peer in server.peers) == [f"127.0.0.{n}" for n in (1, 1, 2, 2, 3, 3)]
            assert names.lookups == 1


async def test_an_address_that_refuses_is_left_out() -> None:
    async with serve(*[answer(CLOSE)] * 4, host="127.0.0.2") as server:
        names = Names("127.0.0.1", "127.0.0.2")
        async with Pool("two.example", server.port, resolve=names) as pool:
            for _ in range(4):
                assert (await pool.request(b"GET", b"/")).status == 200
            assert names.lookups == 1


async def test_ipv6_and_ipv4_side_by_side() -> None:
    async with serve(*[answer(CLOSE)] * 2, host="::1") as server:
        async with Pool("::1", server.port) as pool:
            assert (await pool.request(b"GET", b"/")).status == 200
        async with Pool("both.example", server.port, resolve=Names("127.0.0.1", "::1")) as pool:
            assert (await pool.request(b"GET", b"/")).status == 200


async def test_a_name_is_looked_up_again_after_a_while() -> None:
    names = Names("127.0.0.1", "127.0.0.2")
    for lifetime_seconds, lookups in ((0, 2), (100, 3)):
        book = AddressBook("a.example", 80, lifetime_seconds=lifetime_seconds, resolve=names)
        first, second = await book.candidates(), await book.candidates()
        assert names.lookups == lookups
        assert first == second[::-1] if lookups == 3 else True


async def test_nobody_listens(open_descriptors: None) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    async with Pool("127.0.0.1", port, max_connections=1) as pool:
        for _ in range(2):  # the failed attempt has given its place back
            with pytest.raises(ConnectFailed, match=f"cannot connect to 127.0.0.1:{port}: Connection refused"):
                await pool.request(b"GET", b"/")


async def test_a_name_without_address() -> None:
    def unknown(host: str, port: int) -> Sequence[SocketAddress]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    for look_up, reason in ((unknown, "no address: Name or service not known"), (Names(), "no.example has no address")):
        async with Pool("no.example", 80, resolve=look_up) as pool:
            with pytest.raises(ConnectFailed, match=reason):
                await pool.request(b"GET", b"/")


async def test_a_look_up_is_shared_and_survives_those_who_give_up() -> None:
    answered = threading.Event()

    def slow(host: str, port: int) -> Sequence[SocketAddress]:
        answered.wait()
        return resolve("127.0.0.1", port)

    book = AddressBook("slow.example", 80, resolve=slow)
    tasks = [asyncio.create_task(book.candidates()) for _ in range(3)]
    await asyncio.sleep(0)
    tasks[0].cancel()
    await asyncio.sleep(0)
    answered.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(results[0], asyncio.CancelledError)
    assert results[1] == results[2] == resolve("127.0.0.1", 80)


async def test_a_look_up_has_a_limit() -> None:
    answered = threading.Event()

    def slow(host: str, port: int) -> Sequence[SocketAddress]:
        answered.wait()
        return []

    async with Pool("slow.example", 80, resolve=slow, timeouts=Timeouts(connect_seconds=0.02)) as pool:
        with pytest.raises(ConnectTimeout, match=r"no response within 0\.02 s"):
            await pool.request(b"GET", b"/")
    answered.set()


@pytest.fixture
def black_hole() -> tuple[str, int]:
    """An address that neither accepts nor refuses connections: a listener with a full queue."""
    listener = socket.socket()
    listener.bind(("127.0.0.3", 0))
    listener.listen(0)
    address = listener.getsockname()
    fillers = [socket.socket() for _ in range(2)]
    for filler in fillers:
        filler.setblocking(False)
        filler.connect_ex(address)
    yield address
    for sock in (*fillers, listener):
        sock.close()


async def test_connecting_has_a_limit(black_hole: tuple[str, int], open_descriptors: None) -> None:
    async with Pool(*black_hole, timeouts=Timeouts(connect_seconds=0.05)) as pool:
        with pytest.raises(ConnectTimeout, match=r"cannot connect to 127\.0\.0\.3:\d+: no response within 0.05 s"):
            await pool.request(b"GET", b"/")


async def test_an_address_that_does_not_answer_leaves_time_for_the_next(black_hole: tuple[str, int]) -> None:
    host, port = black_hole
    async with serve(answer(ok()), host="127.0.0.1", port=port) as server:
        names = Names(host, "127.0.0.1")
        async with Pool("two.example", server.port, resolve=names, timeouts=Timeouts(connect_seconds=2)) as pool:
            assert (await pool.request(b"GET", b"/")).status == 200


async def test_cancelling_while_connecting_leaves_nothing_open(
    black_hole: tuple[str, int], open_descriptors: None
) -> None:
    async with Pool(*black_hole) as pool:
        task = asyncio.create_task(pool.request(b"GET", b"/"))
        while not task.cancelled():
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task], timeout=0.01)


async def test_tls_carries_requests_both_ways() -> None:
    body = bytes(range(256)) * 4096

    async def script(peer: Peer) -> None:
        for _ in range(3):
            assert (await peer.request())[1] == body
            await peer.send(ok(body))
        await peer.until_closed()

    async with (
        serve(script, tls=server_tls()) as server,
        Pool("localhost", server.port, ssl_context=client_tls(), resolve=Names("127.0.0.1")) as pool,
    ):
        buffer = memoryview(bytearray(len(body)))
        for _ in range(3):
            response = await pool.request(b"PUT", b"/", body=body, reception=Reception(into=buffer))
            assert (response.received, buffer) == (len(body), body)
        assert pool.opened == 1


async def refused(peer: Peer) -> None:
    await peer.until_closed()


@pytest.mark.parametrize(
    ("host", "context", "reason"),
    [
        ("localhost", trusted_context(), "self.signed certificate"),
        ("other.example", client_tls(), "Hostname mismatch.*not valid for 'other.example'"),
    ],
    ids=["untrusted", "another host"],
)
async def test_a_certificate_that_is_not_acceptable(
    host: str, context: ResumingContext, reason: str, open_descriptors: None
) -> None:
    async with (
        serve(refused, tls=server_tls()) as server,
        Pool(host, server.port, ssl_context=context, resolve=Names("127.0.0.1")) as pool,
    ):
        with pytest.raises(TLSFailed, match=rf"TLS with {host}:\d+ failed: .*{reason}") as caught:
            await pool.request(b"GET", b"/")
        assert isinstance(caught.value.__cause__, ssl.SSLCertVerificationError)


async def test_a_server_that_speaks_no_tls(open_descriptors: None) -> None:
    async def plain(peer: Peer) -> None:
        await peer.read(1)
        await peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await peer.until_closed()

    async with serve(plain) as server, Pool("127.0.0.1", server.port, ssl_context=client_tls()) as pool:
        with pytest.raises(TLSFailed, match="WRONG_VERSION_NUMBER"):
            await pool.request(b"GET", b"/")


@pytest.mark.parametrize("end", [Peer.close, Peer.reset])
async def test_a_server_that_closes_within_the_handshake(end, open_descriptors: None) -> None:
    async def script(peer: Peer) -> None:
        await peer.read(1)
        await end(peer)

    async with serve(script) as server, Pool("127.0.0.1", server.port, ssl_context=client_tls()) as pool:
        with pytest.raises(ConnectFailed, match=r"closed within the TLS handshake|Connection reset by peer"):
            await pool.request(b"GET", b"/")


async def test_a_handshake_has_a_limit(open_descriptors: None) -> None:
    async with serve(refused) as server:
        limits = Timeouts(connect_seconds=0.05)
        async with Pool("127.0.0.1", server.port, ssl_context=client_tls(), timeouts=limits) as pool:
            with pytest.raises(ConnectTimeout):
                await pool.request(b"GET", b"/")


def truncated(end: bytes) -> Script:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\n%b\r\nhalf" % end)
        await peer.cut()

    return script


@pytest.mark.parametrize("framing", [b"", b"Content-Length: 8\r\n"])
async def test_tls_that_is_cut_off_without_goodbye_ends_no_body(framing: bytes) -> None:
    async with (
        serve(truncated(framing), tls=server_tls()) as server,
        Pool("127.0.0.1", server.port, ssl_context=client_tls()) as pool,
    ):
        with pytest.raises(ConnectionLost):
            await pool.request(b"GET", b"/")


async def test_a_later_handshake_goes_on_from_an_earlier_one() -> None:
    reused: list[bool] = []
    context = trusted_context(str(CERTIFICATE))

    async def script(peer: Peer) -> None:
        reused.append(peer.session_reused)
        await answer(CLOSE)(peer)

    async with (
        serve(script, script, script, tls=server_tls()) as server,
        Pool("localhost", server.port, ssl_context=context, resolve=Names("127.0.0.1")) as pool,
    ):
        for _ in range(3):
            assert (await pool.request(b"GET", b"/")).status == 200
    assert reused == [False, True, True]


@pytest.mark.parametrize("content", [None, "", "no certificate"], ids=["missing", "empty", "text"])
def test_a_machine_that_trusts_nobody_is_said_to(
    content: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "folder").mkdir()
    if content is not None:
        (tmp_path / "bundle").write_text(content)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "bundle"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "folder"))
    with pytest.raises(
        InvalidOption, match=r"no trusted certificates .*/bundle and .*/folder.*ca-certificates"
    ) as caught:
        trusted_context()
    assert "AWS_CA_BUNDLE" in str(caught.value)
    assert trusted_context(str(CERTIFICATE)).cert_store_stats()["x509_ca"] == 1


def test_either_a_file_or_a_folder_of_certificates_is_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
    monkeypatch.setenv("SSL_CERT_DIR", "/gone")
    assert trusted_context().cert_store_stats()["x509_ca"] == 1
    monkeypatch.setenv("SSL_CERT_FILE", "/gone")
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    (tmp_path / "0123abcd.0").write_text(CERTIFICATE.read_text())
    assert trusted_context().cert_store_stats()["x509_ca"] == 0
