"""nginx on loopback as a TLS 1.3 proxy, with a certificate of a local authority."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Proxy", "tls_proxy"]

_START_SECONDS = 10.0
_STOP_SECONDS = 10.0

# Bodies are not buffered, and connections to the server stay open, so only the cost of TLS remains.
_CONFIGURATION = """
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    client_max_body_size 0;
    keepalive_requests 1000000;
    upstream plain {{ server {upstream}; keepalive 256; keepalive_requests 1000000; }}
    server {{
        listen 127.0.0.1:{port} ssl backlog=1024;
        ssl_certificate {folder}/server.pem;
        ssl_certificate_key {folder}/server.key;
        ssl_protocols TLSv1.3;
        ssl_session_cache shared:bench:4m;
        location / {{
            proxy_pass http://plain;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
            proxy_buffering off;
            proxy_buffer_size 64k;
            proxy_buffers 8 64k;
            proxy_busy_buffers_size 128k;
            proxy_request_buffering off;
        }}
    }}
}}
"""


@dataclass(frozen=True, slots=True)
class Proxy:
    """A running proxy and its authority."""

    endpoint: str
    ca_file: Path
    about: str


@contextmanager
def tls_proxy(upstream: str, folder: Path, port: int) -> Iterator[Proxy]:
    """Run nginx in front of ``upstream`` (host:port).

    Raises:
        FileNotFoundError: nginx or openssl is not installed.
    """
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    openssl = shutil.which("openssl")
    if not nginx or not openssl:
        raise FileNotFoundError(f"{'openssl' if nginx else 'nginx'} is not installed (a package of that name has it)")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    _certificates(openssl, folder)
    configuration = folder / "nginx.conf"
    configuration.write_text(_CONFIGURATION.format(folder=folder, upstream=upstream, port=port))
    command = [nginx, "-p", str(folder), "-c", str(configuration), "-e", str(folder / "error.log"), "-g", "daemon off;"]
    version = subprocess.run([nginx, "-v"], capture_output=True, text=True, check=True).stderr.strip()
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    try:
        _wait_for(port, process, folder)
        yield Proxy(f"https://127.0.0.1:{port}", folder / "ca.pem", version.rpartition(": ")[2])
    finally:
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _certificates(openssl: str, folder: Path) -> None:
    """Create an authority and a certificate for loopback."""
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30")
    authority = ("-x509", "-subj", "/CN=snapdir bench authority", "-keyout", "ca.key", "-out", "ca.pem")
    usage = ("-addext", "keyUsage=critical,keyCertSign,cRLSign")
    request = ("-subj", "/CN=localhost", "-keyout", "server.key", "-out", "server.csr")
    (folder / "server.ext").write_text(
        "subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth\nbasicConstraints=CA:FALSE\n"
        "authorityKeyIdentifier=keyid\n"
    )
    signed = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "30", "-extfile", "server.ext")
    for arguments in (
        ("req", *key, *authority, *usage),
        ("req", *key, *request),
        ("x509", "-req", "-in", "server.csr", *signed, "-out", "server.pem"),
    ):
        subprocess.run([openssl, *arguments], cwd=folder, check=True, capture_output=True)


def _wait_for(port: int, process: subprocess.Popen[bytes], folder: Path) -> None:
    until = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < until:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1.0).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    log = folder / "error.log"
    raise RuntimeError("nginx did not start:\n" + (log.read_text() if log.is_file() else ""))
