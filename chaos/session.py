"""HTTP, as little of it as a client that is cut off in the middle needs: one connection, one request at a time."""

import asyncio
import json


class Session:
    """A kept-alive connection to one address. Any error closes it; the next request opens it anew."""

    def __init__(self, host, port):
        self.host, self.port = host, port
        self._reader = self._writer = None

    async def ask(self, method, path, body=b"", seconds=2.5):
        """The status and the JSON of the answer. Raises OSError or TimeoutError where none came."""
        try:
            async with asyncio.timeout(seconds):
                if self._writer is None:
                    self._reader, self._writer = await asyncio.open_connection(self.host, self.port)
                head = (
                    f"{method} {path} HTTP/1.1\r\nhost: {self.host}:{self.port}\r\n"
                    f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
                )
                self._writer.write(head.encode() + body)
                return await self._answer()
        except (EOFError, ValueError, asyncio.LimitOverrunError) as error:
            self.close()
            raise ConnectionError(f"half an answer: {error}") from error
        except BaseException:
            self.close()
            raise

    async def _answer(self):
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        status = int(head.split(" ", 2)[1])
        fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
        text = await self._reader.readexactly(int(fields.get("content-length", 0)))
        if fields.get("connection") == "close":
            self.close()
        return status, json.loads(text) if text else None

    def close(self):
        if self._writer is not None:
            self._writer.transport.abort()
        self._reader = self._writer = None
