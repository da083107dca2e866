"""What lies outside of a machine: remotes that prove who they are, and proxies before them."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

_STS = """<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
<AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>ASIAX</AccessKeyId>
<SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration>
</Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"""


class Authority:
    """Signs certificates for host names; its own is ``pem``."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._key = folder, ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "an authority of one's own")])
        self.pem = folder / "authority.pem"
        made = self._certificate(self._name, self._key, x509.BasicConstraints(ca=True, path_length=None))
        self.pem.write_bytes(made.public_bytes(serialization.Encoding.PEM))

    def server_context(self, host: str) -> ssl.SSLContext:
        """Return what a server that calls itself ``host`` shows."""
        key = ec.generate_private_key(ec.SECP256R1())
        try:
            name: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(host))
        except ValueError:
            name = x509.DNSName(host)
        made = self._certificate(x509.Name([]), key, x509.SubjectAlternativeName([name]))
        path = self._folder / f"{host}.pem"
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            + made.public_bytes(serialization.Encoding.PEM)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context

    def _certificate(
        self, request: x509.Name, key: ec.EllipticCurvePrivateKey, extension: x509.ExtensionType
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(request)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(extension, critical=True)
            .sign(self._key, hashes.SHA256())
        )


@dataclass(slots=True)
class Remote:
    """Answers as S3, STS and Convex do when all is well."""

    port: int = 0
    asked: list[str] = field(default_factory=list)


@asynccontextmanager
async def remote(context: ssl.SSLContext | None = None) -> AsyncIterator[Remote]:
    """Run one on loopback."""
    made = Remote()

    async def answer(request: web.Request) -> web.Response:
        made.asked.append(f"{request.method} {request.path}")
        if request.path.startswith("/api/"):
            return web.json_response({"status": "success", "value": {"contractVersion": 1}})
        if request.method == "POST":
            return web.Response(text=_STS, content_type="text/xml")
        checked = {name: value for name, value in request.headers.items() if "x-amz-checksum-" in name}
        return web.Response(headers={"ETag": '"e"', **checked} if request.method == "PUT" else None)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    made.port = runner.addresses[0][1]
    try:
        yield made
    finally:
        await runner.cleanup()


@dataclass(slots=True)
class Way:
    """A proxy that leads wherever it is asked for to one port of loopback; HTTP's CONNECT, or SOCKS 5."""

    to: int
    scheme: str = "http"
    port: int = 0
    asked: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)  # credentials, as they came
    _serving: set[asyncio.Task[None] | None] = field(default_factory=set)

    @property
    def url(self) -> str:
        """Its address."""
        return f"{self.scheme}://127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Open the way to the port for one who asks."""
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await (self._socks(reader, writer) if self.scheme == "socks5" else self._connect(reader, writer))
            await self.join(reader, writer)
        await _closed(writer)

    async def join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry what both say to each other."""
        self._serving.add(asyncio.current_task())
        inner, outer = await asyncio.open_connection("127.0.0.1", self.to)
        await asyncio.gather(_pour(reader, outer), _pour(inner, writer))

    async def end(self) -> None:
        """End all that is under way."""
        for task in filter(None, self._serving):
            task.cancel()
        await asyncio.gather(*filter(None, self._serving), return_exceptions=True)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.asked.append(head.splitlines()[0])
        self.told += [line for line in head.splitlines() if line.lower().startswith("proxy-auth")]
        writer.write(b"HTTP/1.1 200 here you go\r\n\r\n")

    async def _socks(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _, count = await reader.readexactly(2)
        offered = await reader.readexactly(count)
        writer.write(bytes([5, max(offered)]))
        if max(offered) == 2:  # by name and password
            _, length = await reader.readexactly(2)
            name = await reader.readexactly(length)
            password = await reader.readexactly((await reader.readexactly(1))[0])
            self.told.append(f"{name.decode()}:{password.decode()}")
            writer.write(b"\x01\x00")
        *_, kind = await reader.readexactly(4)
        size = (await reader.readexactly(1))[0] if kind == 3 else 4
        host = await reader.readexactly(size)
        (port,) = struct.unpack(">H", await reader.readexactly(2))
        self.asked.append(f"{host.decode(errors='replace')}:{port}")
        writer.write(b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00")


@asynccontextmanager
async def way(to: int, scheme: str = "http") -> AsyncIterator[Way]:
    """Run a proxy on loopback."""
    made = Way(to, scheme)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        await made.end()


@asynccontextmanager
async def tls_before(port: int, context: ssl.SSLContext) -> AsyncIterator[int]:
    """Speak TLS in the place of a server on loopback; yield the port."""
    made = Way(port)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.CancelledError):
            await made.join(reader, writer)
        await _closed(writer)

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await made.end()


async def _pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        with contextlib.suppress(OSError):
            while piece := await reader.read(65536):
                writer.write(piece)
                await writer.drain()
    finally:
        await _closed(writer)


async def _closed(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError, asyncio.CancelledError):
        await writer.wait_closed()
