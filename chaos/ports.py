"""Ports for processes that have to come back at the same address."""

import socket

HOST = "127.0.0.1"


def free(count):
    """Ports that nobody listens on now; all different."""
    sockets = [socket.create_server((HOST, 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def split(address):
    host, _, port = address.rpartition(":")
    return host, int(port)
