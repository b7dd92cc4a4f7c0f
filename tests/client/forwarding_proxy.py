"""A proxy for plain HTTP, as companies have them, that leads every name to one registry."""

import contextlib
import http.client
import threading
from collections.abc import Generator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

SECONDS_AT_MOST = 20
PASSED_ON = ("Content-Type", "Content-Length", "Docker-Content-Digest", "WWW-Authenticate")


@dataclass
class ForwardingProxy:
    """Where it listens, and the URLs that it was asked for; it lets no TLS through."""

    url: str
    asked: list[str] = field(default_factory=list)


@contextlib.contextmanager
def forwarding_proxy(upstream: str) -> Generator[ForwardingProxy, None, None]:
    """Start one before the registry at ``upstream``, and end it."""

    class Forwarding(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            """Pass the registry's answer on."""
            proxy.asked.append(self.path)
            path = urlsplit(self.path)._replace(scheme="", netloc="").geturl()
            with contextlib.closing(http.client.HTTPConnection(upstream, timeout=SECONDS_AT_MOST)) as connection:
                connection.request(self.command, path, headers=dict(self.headers.items()))
                answer = connection.getresponse()
                content = answer.read()
            self.send_response(answer.status)
            for name in PASSED_ON:
                if answer.headers[name]:
                    self.send_header(name, answer.headers[name])
            self.end_headers()
            self.wfile.write(content)

        def do_HEAD(self) -> None:
            """Likewise, without a body."""
            self.do_GET()

    with ThreadingHTTPServer(("127.0.0.1", 0), Forwarding) as server:
        proxy = ForwardingProxy(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield proxy
        finally:
            server.shutdown()
            thread.join()
