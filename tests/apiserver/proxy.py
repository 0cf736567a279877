"""A TCP proxy that harms: TLS passes through it as bytes, so that it needs no key and knows no request."""

import contextlib
import socket
import struct
import threading
import time
from collections import deque
from enum import Enum, auto
from typing import Final

_TURN_SECONDS: Final = 0.02


class Mode(Enum):
    """What happens to what passes."""

    PASS = auto()
    SLOW_REPLIES = auto()
    """What the server says arrives `delay_seconds` later, in order."""
    LOSE_REPLIES = auto()
    """What the server says is lost; what the client says arrives: outcomes are unknown."""
    BLACK_HOLE = auto()
    """Nothing passes, nothing is closed."""
    HOLD_REQUESTS = auto()
    """What the client says is kept, and delivered when the mode changes, though the client may have gone.

    It is delivered with the pauses that it was sent with. At once, the request and the client's goodbye behind it would arrive together,
    and the API server gives up a request whose client has gone: most late writes would never land.
    """


class FaultProxy:
    """Forwards to a port of this machine; its mode may change at any time."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._listener = self._listen(0)
        self.port: int = self._listener.getsockname()[1]
        self.mode = Mode.PASS
        self.delay_seconds = 0.0
        self._ended = threading.Event()
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._lock = threading.Lock()

    @staticmethod
    def _listen(port: int) -> socket.socket:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(64)
        return listener

    def start(self) -> "FaultProxy":
        """Accept from now on."""
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()
        return self

    def heal(self) -> None:
        """Let everything pass, on connections old and new."""
        self.mode, self.delay_seconds = Mode.PASS, 0.0

    def slow(self, delay_seconds: float) -> None:
        """Delay what the server says."""
        self.delay_seconds, self.mode = delay_seconds, Mode.SLOW_REPLIES

    def refuse(self) -> None:
        """Refuse new connections and reset those that are open."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.reset()

    def accept_again(self) -> None:
        """Listen again, on the same port."""
        self._listener = self._listen(self.port)
        self.start()

    def reset(self) -> None:
        """RST every open connection."""
        with self._lock:
            pairs, self._pairs = self._pairs, []
        for pair in pairs:
            for end in pair:
                with contextlib.suppress(OSError):
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    end.shutdown(socket.SHUT_RDWR)
                end.close()

    def stop(self) -> None:
        """End it, and every connection."""
        self._ended.set()
        self.refuse()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self._target_port), timeout=5)
            except OSError:
                client.close()
                continue
            server.settimeout(None)
            with self._lock:
                self._pairs.append((client, server))
            threading.Thread(target=self._pump, args=(client, server), kwargs={"replies": False}, daemon=True).start()
            threading.Thread(target=self._pump, args=(server, client), kwargs={"replies": True}, daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, *, replies: bool) -> None:
        """One direction of one connection, in order."""
        queue: deque[tuple[float, bytes]] = deque()  # when it is due, and b"" for the end
        source.settimeout(_TURN_SECONDS)
        open_source, kept_since = True, 0.0
        while not self._ended.is_set() and (open_source or queue):
            heard: bytes | None = None
            try:
                heard = source.recv(65536) if open_source else self._pause()
                open_source = open_source and heard != b""
            except TimeoutError:
                pass
            except OSError:
                heard, open_source = b"", False
            now = time.monotonic()
            if heard is not None and not self._lost(replies=replies):
                queue.append((now + (self.delay_seconds if replies and self.mode is Mode.SLOW_REPLIES else 0), heard))
            if self._kept(replies=replies):
                kept_since = kept_since or (queue[0][0] if queue else 0.0)
                continue
            if kept_since:
                queue = deque((due + now - kept_since, data) for due, data in queue)
                kept_since = 0.0
            while queue and queue[0][0] <= now:
                try:
                    self._pass_on(sink, queue.popleft()[1])
                except OSError:
                    return

    @staticmethod
    def _pass_on(sink: socket.socket, data: bytes) -> None:
        if data:
            sink.sendall(data)
        else:
            sink.shutdown(socket.SHUT_WR)

    @staticmethod
    def _pause() -> None:
        time.sleep(_TURN_SECONDS)

    def _lost(self, *, replies: bool) -> bool:
        return self.mode is Mode.BLACK_HOLE or (replies and self.mode is Mode.LOSE_REPLIES)

    def _kept(self, *, replies: bool) -> bool:
        return not replies and self.mode is Mode.HOLD_REQUESTS
