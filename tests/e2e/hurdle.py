"""What stands between the bot and its homeserver and can go wrong: a proxy that
passes everything on, until it is told otherwise."""
import asyncio
import threading

HTML = b"<html><head><title>Maintenance</title></head><body>We will be back soon.</body></html>"


class Hurdle:
    """mode: "pass"; "html", "502": every request gets that page or status; "hang": connections are taken and nothing
    moves any more; "cut": connections break, new ones are refused at once."""

    def __init__(self, port):
        self.target = port
        self.mode = "pass"
        self.port = 0
        self.loop = asyncio.new_event_loop()
        self.open = asyncio.Event()
        self.writers = set()
        self.tasks = set()
        self.requests = 0
        ready = threading.Event()
        self.thread = threading.Thread(target=self._run, args=(ready,), daemon=True)
        self.thread.start()
        ready.wait()

    def _run(self, ready):
        asyncio.set_event_loop(self.loop)

        async def listen():
            self.open.set()
            server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
            self.port = server.sockets[0].getsockname()[1]
            ready.set()
            async with server:
                await self.stopped()

        self.ended = asyncio.Event()
        self.loop.run_until_complete(listen())

    async def stopped(self):
        await self.ended.wait()
        self._break_all()
        while self.tasks:
            for task in self.tasks:
                task.cancel()
            await asyncio.wait(list(self.tasks))

    def stop(self):
        self.loop.call_soon_threadsafe(self.ended.set)
        self.thread.join(10)

    def _break_all(self):
        for writer in list(self.writers):
            writer.transport.abort()

    def set(self, mode):
        """Also for the connections that are open."""
        def change():
            self.mode = mode
            if mode == "hang":
                self.open.clear()
            else:
                self.open.set()
            if mode != "hang":
                self._break_all()
        done = threading.Event()
        self.loop.call_soon_threadsafe(lambda: (change(), done.set()))
        done.wait(10)

    async def _pump(self, reader, writer):
        try:
            while data := await reader.read(65536):
                await self.open.wait()
                writer.write(data)
                await writer.drain()
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def _refuse(self, reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        status, kind, body = (b"200 OK", b"text/html", HTML) if self.mode == "html" else (b"502 Bad Gateway", b"text/html", HTML)
        writer.write(b"HTTP/1.1 " + status + b"\r\nContent-Type: " + kind + b"\r\nConnection: close\r\nContent-Length: "
                     + str(len(body)).encode() + b"\r\n\r\n" + body)
        await writer.drain()
        writer.close()

    async def _serve(self, reader, writer):
        self.requests += 1
        self.writers.add(writer)
        self.tasks.add(asyncio.current_task())
        try:
            if self.mode == "cut":
                writer.transport.abort()
            elif self.mode in ("html", "502"):
                await self._refuse(reader, writer)
            else:
                await self.open.wait()
                there, back = await asyncio.open_connection("127.0.0.1", self.target)
                self.writers.add(back)
                await asyncio.gather(self._pump(reader, back), self._pump(there, writer))
                self.writers.discard(back)
        except (OSError, asyncio.IncompleteReadError):
            writer.transport.abort()
        finally:
            self.writers.discard(writer)
            self.tasks.discard(asyncio.current_task())
