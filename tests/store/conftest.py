"""A network between a store and its server that can be cut at a chosen moment."""

from __future__ import annotations

import select
import socket
import threading
from contextlib import suppress
from urllib.parse import urlsplit

import pytest


class Network:
    """Hands on what a client and a server say to each other, until it is told to cut a line.

    Parameters:
        port: the server's, on this host.
    """

    def __init__(self, port):
        self.server_port = port
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.sign = None
        self.lets_through = False
        self.cuts = 0
        self.lines = []
        self.lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def cut_at(self, sign, *, lets_through):
        """Cut the line on which a client says `sign`, once.

        Parameters:
            sign: bytes that the client sends.
            lets_through: the server hears them and answers, and only the answer is lost.
        """
        with self.lock:
            self.sign, self.lets_through = sign, lets_through

    def _accept(self):
        with suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                server = socket.create_connection(("127.0.0.1", self.server_port))
                self.lines += [client, server]
                threading.Thread(target=self._carry, args=(client, server), daemon=True).start()

    def _carry(self, client, server):
        with client, server, suppress(OSError):
            while True:
                ready, _, _ = select.select([client, server], [], [])
                if server in ready:
                    said = server.recv(65_536)
                    client.sendall(said)
                    if not said:
                        return
                if client in ready:
                    said = client.recv(65_536)
                    if not said:
                        return
                    if self._cuts(said):
                        if self.lets_through:
                            server.sendall(said)
                            self._hear_out(client, server)
                        return
                    server.sendall(said)

    def _cuts(self, said):
        with self.lock:
            if self.sign is None or self.sign not in said:
                return False
            self.sign = None
            self.cuts += 1
        return True

    def _hear_out(self, client, server):
        """Hand on what the client says until the server answers: what was asked of it is done."""
        while server not in (ready := select.select([client, server], [], [], 30)[0]):
            said = client.recv(65_536) if ready else b""
            if not said:
                return
            server.sendall(said)

    def close(self):
        self.listener.close()
        for line in self.lines:
            with suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def network(postgres_server):
    made = Network(postgres_server.port)
    yield made
    made.close()


@pytest.fixture
def url_over_network(postgres_url, network):
    """The URL of an empty store behind the network."""
    port = urlsplit(postgres_url).port
    return postgres_url.replace(f":{port}/", f":{network.port}/")
