"""Request bodies, and two ways to send them: by the kernel (plain TCP) or through a transport (TLS).

Both senders are driven by the event loop, send nothing after ``stop()``, and report to the connection that owns them.
A file that is in memory (page cache, tmpfs) is sent from the loop; one that is not is read by a thread, so that a slow
disk does not hold the loop up. (1 GiB dropped from the cache, 8 connections: the longest pause of the loop was 75 ms
without the thread and 13 ms with it, for 0.29 and 0.49 s of CPU.)
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import socket
import struct
import termios
from contextlib import suppress
from typing import Protocol

from snapdir.disk.system import NO_WAIT, expect_reads, more_follows, send_file
from snapdir.hashing.crc32c import crc32c
from snapdir.stores.base import Body, FileRange, body_length
from snapdir.stores.s3.http.errors import BodyChanged, BodyTruncated, BodyUnreadable, WireError

MORE_FOLLOWS = more_follows()
# A sendfile of 4 MiB takes the loop 0.8 ms and is what a full-grown socket buffer holds; in calls of 1 MiB the same
# GiB costs 1.3 to 1.7 times the CPU.
SENDFILE_BYTES = 4 << 20
# Pages are probed this far apart before a sendfile: 16 probes of 0.7 µs for 4 MiB. Holes between are one short read.
PROBE_BYTES = 256 << 10
# Seven TLS records: 0.62 s of CPU per GiB of a file, where 256 KiB take 0.8 and 1 MiB takes 1.5, since what is larger
# than 128 KiB comes from mmap and pays for its pages each time.
BLOCK_BYTES = 112 << 10
# After this many blocks, other tasks run.
BLOCKS_PER_TURN = 8


class BodyOwner(Protocol):
    """The connection that a sender works for."""

    def body_moved(self) -> None:
        """Some bytes have left."""

    def body_settled(self) -> None:
        """All bytes have left, or the thread that was sending has returned."""

    def body_failed(self, kind: type[WireError], detail: str | float = "", cause: BaseException | None = None) -> None:
        """The file cannot be read, is too short, or is not the one that was hashed."""

    def body_refused(self, error: OSError) -> None:
        """The peer takes no more; its response can still be read."""


def read_small(body: FileRange) -> bytes | None:
    """A small range, if it is in memory and unchanged; otherwise None. Never waits for a disk."""
    block = bytearray(body.length)
    if not _read_nowait(body, body.offset, block) or (body.compare and crc32c(block) != body.crc32c):
        return None
    return bytes(block)


class Sender:
    """The common part of both: the body, and how much of it has left.

    Attributes:
        sent: Bytes of the body that have left.
        busy: A thread is sending, so ``sent`` may lag behind; ``body_settled`` or ``body_failed`` follows.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, owner: BodyOwner, body: Body) -> None:
        self._loop = loop
        self._owner: BodyOwner | None = owner
        self.length = body_length(body)
        self.sent = 0
        self.busy = False
        self._file: FileRange | None = None
        self._memory = memoryview(b"")
        if isinstance(body, FileRange):
            self._file = body
        else:
            self._memory = memoryview(body).cast("B")

    @property
    def reads_disk(self) -> bool:
        """A thread is reading the disk; nothing can leave before it has returned."""
        return self.busy

    @property
    def done(self) -> bool:
        """The whole body has left."""
        return self.sent == self.length

    def _moved(self, count: int) -> None:
        self.sent += count
        if self._owner is not None:
            self._owner.body_moved()

    def _finish(self) -> None:
        owner = self._owner
        self.stop()
        if owner is not None:
            owner.body_settled()

    def _fail(self, kind: type[WireError], detail: str | float = "", cause: BaseException | None = None) -> None:
        owner = self._owner
        self.stop()
        if owner is not None:
            owner.body_failed(kind, detail, cause)

    def stop(self) -> None:
        """Stop sending and release the body. Safe to repeat."""
        self._owner = None
        self._memory = memoryview(b"")


class SocketSender(Sender):
    """Sends a head and a body past a plain transport, through a duplicate of its socket.

    A transport copies bytes that the kernel does not accept at once, and uvloop's has no sendfile. Neither loop allows
    other code to watch a descriptor of a transport, hence the duplicate. The transport's own buffer is empty when a
    request begins, so bytes stay in order.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, owner: BodyOwner, body: Body, transport: asyncio.Transport
    ) -> None:
        super().__init__(loop, owner, body)
        original = transport.get_extra_info("socket")
        family, kind, protocol = original.family, original.type, original.proto
        self._socket = socket.socket(family, kind, protocol, fileno=os.dup(original.fileno()))
        self._socket.setblocking(False)
        self._head = b""
        self._watching = False

    def start(self, head: bytes) -> None:
        """Send ``head``, then the body as the socket has room."""
        self._head = head
        self._advance()

    def stop(self) -> None:
        super().stop()
        if self._watching:
            self._watching = False
            self._loop.remove_writer(self._socket.fileno())
        if self.busy:
            # The thread holds the descriptor: end the connection under it now, close when it has returned.
            with suppress(OSError):  # the peer closed it first
                self._socket.shutdown(socket.SHUT_RDWR)
        else:
            self._socket.close()

    def _advance(self) -> None:
        """Hand the kernel one portion; the loop calls again when there is room for more."""
        if self._owner is None or self.busy:
            return
        try:
            if self._head:
                sent = self._socket.send(self._head, MORE_FOLLOWS)
                self._head = self._head[sent:]
            if not self._head:
                self._send_some()
        except BlockingIOError:
            self._watch()
        except OSError as error:
            self._broken(error)

    def _send_some(self) -> None:
        file = self._file
        if file is None:
            self._sent_some(self._socket.send(self._memory[self.sent : self.sent + SENDFILE_BYTES]))
            return
        offset, length = file.offset + self.sent, min(self.length - self.sent, SENDFILE_BYTES)
        if file.in_memory or _in_page_cache(file.fd, offset, length):
            self._sent_some(send_file(self._socket.fileno(), file.fd, offset, length))
            return
        if self._watching:
            self._watching = False
            self._loop.remove_writer(self._socket.fileno())
        self.busy = True
        socket_fd = self._socket.fileno()
        future = self._loop.run_in_executor(None, _sendfile_from_disk, socket_fd, file.fd, offset, length)
        future.add_done_callback(self._thread_done)

    def _thread_done(self, future: asyncio.Future[int]) -> None:
        self.busy = False
        if self._owner is None:
            future.exception()  # retrieved here, because no task waits for it
            self._socket.close()
            return
        try:
            self._sent_some(future.result())
        except BlockingIOError:
            self._watch()
        except OSError as error:
            self._broken(error)
        if self._owner is not None:
            self._owner.body_settled()

    def _sent_some(self, count: int) -> None:
        if count == 0 and not self.done:
            self._fail(BodyTruncated, self.length)
            return
        self._moved(count)
        if self.done:
            self._finish()
        else:
            self._watch()

    def _watch(self) -> None:
        if not self._watching and self._owner is not None:
            self._watching = True
            self._loop.add_writer(self._socket.fileno(), self._advance)

    def _broken(self, error: OSError) -> None:
        if self._file is not None and not _is_from_the_socket(error):
            self._fail(BodyUnreadable, str(error), error)
            return
        owner = self._owner
        self.stop()
        if owner is not None:
            owner.body_refused(error)


class TransportSender(Sender):
    """Sends a head and a body through a transport, in blocks, as fast as its buffer empties.

    For TLS, and for a file that has to be compared with what was hashed: then the blocks that are summed are the ones
    that leave, which no sendfile can promise.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, owner: BodyOwner, body: Body, transport: asyncio.Transport
    ) -> None:
        super().__init__(loop, owner, body)
        self._transport: asyncio.Transport | None = transport
        self._paused = False
        self._scheduled = False
        self._reading = False  # a thread reads the next block
        self._crc = 0

    def start(self, head: bytes) -> None:
        """Send ``head``, then the body as the transport has room."""
        if self._transport is not None:
            self._transport.write(head)
        self._schedule()

    @property
    def reads_disk(self) -> bool:
        return self._reading

    def pause(self) -> None:
        """The transport's buffer is full."""
        self._paused = True

    def resume(self) -> None:
        """The transport's buffer has room again."""
        self._paused = False
        self._schedule()

    def stop(self) -> None:
        super().stop()
        self._transport = None

    def _schedule(self) -> None:
        if not self._scheduled and not self._reading and self._owner is not None:
            self._scheduled = True
            self._loop.call_soon(self._advance)

    def _advance(self) -> None:
        self._scheduled = False
        for _ in range(BLOCKS_PER_TURN):
            if self._paused or self._owner is None:
                return
            block = self._next_block()
            if block is None:
                return
            self._write(block)
        self._schedule()

    def _next_block(self) -> bytes | memoryview | None:
        file = self._file
        if file is None:
            return self._memory[self.sent : self.sent + BLOCK_BYTES]
        # A new block each time: a transport may keep what it is given, so a buffer could not be used again.
        offset, block = file.offset + self.sent, bytearray(min(self.length - self.sent, BLOCK_BYTES))
        if _read_nowait(file, offset, block):
            return memoryview(block)
        self._reading = True
        future = self._loop.run_in_executor(None, os.pread, file.fd, len(block), offset)
        future.add_done_callback(self._thread_done)
        return None

    def _thread_done(self, future: asyncio.Future[bytes]) -> None:
        self._reading = False
        error = future.exception()
        if self._owner is None:
            return
        if isinstance(error, OSError):
            self._fail(BodyUnreadable, str(error), error)
            return
        self._write(future.result())
        self._schedule()

    def _write(self, block: bytes | memoryview) -> None:
        if not block and not self.done:
            self._fail(BodyTruncated, self.length)
        elif not self._is_as_hashed(block):
            self._fail(BodyChanged)
        elif self._transport is not None:
            self._transport.write(block)
            self._moved(len(block))
            if self.done:
                self._finish()

    def _is_as_hashed(self, block: bytes | memoryview) -> bool:
        """Whether ``block`` may leave. The last block may only if the whole range has the right checksum."""
        if self._file is None or not self._file.compare:
            return True
        self._crc = crc32c(block, self._crc)
        return self.sent + len(block) < self.length or self._crc == self._file.crc32c


def unsent_in_kernel(sock: socket.socket) -> int:
    """Bytes that the server's host has not acknowledged; 0 if the system cannot tell."""
    try:
        (count,) = struct.unpack("i", fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, bytes(4)))
    except OSError:
        return 0
    return int(count)


def _read_nowait(file: FileRange, offset: int, block: bytearray) -> bool:
    """Fill ``block`` if the range is known to be in memory; otherwise a thread has to read it."""
    if NO_WAIT is None and not file.in_memory:
        return False
    try:
        return os.preadv(file.fd, [block], offset, 0 if file.in_memory else NO_WAIT or 0) == len(block)
    except OSError:
        return False


def _in_page_cache(fd: int, offset: int, length: int) -> bool:
    """Whether the pages of this range are in memory; False if the system cannot tell (tmpfs, NFS)."""
    if not length:
        return True
    if NO_WAIT is None:
        return False
    probe = [bytearray(1)]
    try:
        for at in range(offset, offset + length, PROBE_BYTES):
            os.preadv(fd, probe, at, NO_WAIT)
        os.preadv(fd, probe, offset + length - 1, NO_WAIT)
    except OSError:
        return False
    return True


def _sendfile_from_disk(to: int, fd: int, offset: int, length: int) -> int:
    expect_reads(fd, offset, 2 * length)  # this chunk, and the next while this one leaves
    return send_file(to, fd, offset, length)


_UNREACHABLE = {errno.ENOTCONN, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETDOWN}


def _is_from_the_socket(error: OSError) -> bool:
    return isinstance(error, (ConnectionError, TimeoutError)) or error.errno in _UNREACHABLE
