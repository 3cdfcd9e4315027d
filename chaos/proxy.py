"""A TCP proxy whose connections can be cut, stalled and refused."""

import asyncio
import socket
import struct

from .ports import HOST

CHUNK_BYTES = 64 * 1024
CONNECT_SECONDS = 5
# SO_LINGER with a time of zero: closing sends a reset, as a lost machine's kernel would.
RESET = struct.pack("ii", 1, 0)


class Weather:
    """What the connections of one party meet, shared by all proxies that it goes through."""

    def __init__(self):
        self.clear = asyncio.Event()
        self.clear.set()
        self.refused = False
        self.connections = set()

    def cut(self):
        """Resets every connection; how many there were."""
        connections = list(self.connections)
        for connection in connections:
            connection.abort()
        return len(connections)


class Connection:
    """One client's connection and the one behind it."""

    def __init__(self, *writers):
        self.writers = writers

    def abort(self):
        for writer in self.writers:
            raw = writer.get_extra_info("socket")
            if raw is not None and raw.fileno() >= 0:
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            writer.transport.abort()


class Proxy:
    """Listens, and passes bytes on to `target` under the weather that `weather_of(peer's port, own port)` answers."""

    def __init__(self, target, weather_of):
        self.target = target
        self.weather_of = weather_of
        self.address = None
        self._server = None

    async def start(self, port=0):
        self._server = await asyncio.start_server(self._serve, HOST, port)
        self.address = "%s:%d" % self._server.sockets[0].getsockname()
        return self

    def close(self):
        self._server.close()

    async def _serve(self, reader, writer):
        weather = self.weather_of(writer.get_extra_info("peername")[1], writer.get_extra_info("sockname")[1])
        if weather.refused:
            Connection(writer).abort()
            return
        await weather.clear.wait()
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                far_reader, far_writer = await asyncio.open_connection(*self.target)
        except (OSError, TimeoutError):
            Connection(writer).abort()
            return
        for one in (writer, far_writer):
            one.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = Connection(writer, far_writer)
        weather.connections.add(connection)
        try:
            pumps = [
                asyncio.create_task(pump(reader, far_writer, weather)),
                asyncio.create_task(pump(far_reader, writer, weather)),
            ]
            # Nobody here closes one direction alone: one end is the end.
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            for one in pumps:
                one.cancel()
            await asyncio.wait(pumps)
        finally:
            weather.connections.discard(connection)
            for one in (writer, far_writer):
                one.close()


async def pump(reader, writer, weather):
    try:
        while chunk := await reader.read(CHUNK_BYTES):
            await weather.clear.wait()
            writer.write(chunk)
            await writer.drain()
    except OSError:
        # Cut, or the other side is gone: either way the connection ends.
        pass
