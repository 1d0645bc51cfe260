"""Processes that share the updates of one fit: who has which parts, and how their sums travel.

The first leads: it listens at an address, the others connect with a token that they were given.
What goes through is JSON and numbers as they lie in memory, never pickle. The connections and how
both ends prove that they know the token are Python's own (multiprocessing.connection); nothing is
encrypted. TensorFlow's collectives would add the parts in an order of their own.
"""

import json
import os
import socket
import struct
import time
from collections.abc import Callable, Sequence
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Connection, answer_challenge, deliver_challenge
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from pipeline.errors import PipelineError
from pipeline.files.records import Record, parse
from pipeline.runtime.progress import say

Sums: TypeAlias = npt.NDArray[np.float32]
START = 300  # seconds that workers have to connect
SOON = 60  # and until it is said who does not
HANDSHAKE = 10  # and, once connected, to say who they are
WAIT = 600  # seconds that an update of a worker's may take longer than the leader's own
LONGEST = 2**24  # bytes of what a worker says of itself
# A machine that has lost its power says nothing: after some 40 seconds its connection is closed.
# The last counts milliseconds, of what was sent and not answered.
ALIVE = {"TCP_KEEPIDLE": 10, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 6, "TCP_USER_TIMEOUT": 40_000}
BROKEN = (AuthenticationError, EOFError, OSError, ValueError)


class LostError(PipelineError):
    """A process of the team is there no more."""


class NobodyError(PipelineError):
    """Nobody leads at an address, or not those who gave the token; how that showed."""


class Hello(Record):
    """What a worker says of itself when it connects."""

    place: int  # from 1; the leader has place 0
    host: str
    process: int
    about: dict[str, Any]  # what has to be the leader's as well


class Link:
    """A connection to another process of the team; what breaks it is LostError and names it."""

    def __init__(self, connection: Connection, who: str, wait: int = 0) -> None:
        """`wait`: seconds until the other end counts as lost; 0 where it may take its time."""
        self.connection, self.who = connection, who
        _settle(connection, wait)

    def send(self, data: bytes | Sums) -> None:
        """Bytes, or numbers as they lie in memory."""
        try:
            self.connection.send_bytes(data if isinstance(data, bytes) else data.tobytes())
        except OSError as error:
            raise self._lost(error) from None

    def receive(self) -> bytes:
        """What the other end sent next."""
        try:
            return self.connection.recv_bytes()
        except (EOFError, OSError) as error:
            raise self._lost(error) from None

    def close(self) -> None:
        """The other end notices."""
        self.connection.close()

    def _lost(self, error: Exception) -> LostError:
        found = "no answer in time" if isinstance(error, BlockingIOError) else "its end"
        return LostError(
            f"train: {self.who}: expected it to stay until the training ends, found {found}; "
            "called again, the stage goes on from its last kept epoch"
        )


class Alone:
    """A process that has all parts; whoever works with others is one of these as well."""

    place, count = 0, 1  # of this process, and how many there are

    def parts(self, count: int) -> range:
        """Which of a batch's parts, from 0, are this process'."""
        return range(self.place, count, self.count)

    def total(self, own: Sums) -> Sums:
        """From what its parts add up to, [parts, N], to the sum over all, [N]: in their order."""
        return in_order(own)

    def tell(self, data: bytes) -> None:
        """Send the others something."""

    def hear(self) -> list[tuple[str, bytes]]:
        """What each of the others sends, with who it is."""
        return []


ALONE = Alone()


class Leader(Alone):
    """The process that adds up, validates, stops and keeps the result."""

    def __init__(self, links: Sequence[Link]) -> None:
        self.links, self.count = links, len(links) + 1

    def total(self, own: Sums) -> Sums:
        """See `Alone`; the others get the sum as well."""
        each = [own, *(np.frombuffer(data, np.float32) for _, data in self.hear())]
        each = [sums.reshape(-1, own.shape[1]) for sums in each]
        parts = range(sum(map(len, each)))
        total = in_order([each[part % self.count][part // self.count] for part in parts])
        for link in self.links:
            link.send(total)
        return total

    def tell(self, data: bytes) -> None:
        """See `Alone`."""
        for link in self.links:
            link.send(data)

    def hear(self) -> list[tuple[str, bytes]]:
        """See `Alone`."""
        return [(link.who, link.receive()) for link in self.links]

    def close(self) -> None:
        """The others notice, and end."""
        for link in self.links:
            link.close()


class Worker(Alone):
    """A process that computes its parts and applies the sum that the leader tells."""

    def __init__(self, link: Link, place: int, count: int) -> None:
        self.link, self.place, self.count = link, place, count

    def total(self, own: Sums) -> Sums:
        """See `Alone`."""
        self.link.send(own.ravel())
        return np.frombuffer(self.link.receive(), np.float32)


def in_order(sums: Sequence[Sums] | Sums) -> Sums:
    """Rows of float32 added one after the other: another order would be other bits."""
    total = np.array(sums[0])
    for one in sums[1:]:
        total += one
    return total


def named(place: int, count: int, host: str, process: int) -> str:
    """Who a worker is, in a message; people count the leader as the first."""
    return f"worker {place + 1} of {count} ({host}, process {process})"


def join(address: tuple[str, int], token: bytes, hello: Hello, count: int) -> Worker:
    """Become a worker of who leads at an address.

    Raises:
        NobodyError: nobody does that this machine can reach, or nobody does any more.
    """
    try:
        connection = Client(address, authkey=token)
    except BROKEN as error:
        raise NobodyError(str(error) or type(error).__name__) from None
    assert isinstance(connection, Connection)  # noqa: S101 - of a socket it is
    link = Link(connection, f"worker 1 of {count}, who leads")
    link.send(json.dumps(hello.model_dump(mode="json")).encode())
    return Worker(link, hello.place, count)


def gather(
    server: socket.socket,
    count: int,
    token: bytes,
    check: Callable[[str, dict[str, Any]], None],
    waiting: Callable[[], None],
) -> Leader:
    """Wait at a listening socket until all workers but the leader are there at the same time.

    Who does not know the token, or says nothing, is sent away. One that goes meanwhile may come
    again, started anew.

    Args:
        count: processes, the leader among them.
        check: raises PipelineError of what a worker, by who it is, says about itself.
        waiting: called while it waits; raises what has ended a worker.

    Raises:
        PipelineError: they were not all there in time.
    """
    links: dict[int, Link] = {}
    server.settimeout(0.2)
    began, said = time.monotonic(), False
    while len(links := _there(links)) < count - 1:
        waiting()
        if (passed := time.monotonic() - began) > SOON and not said:
            absent = [f"worker {place + 1}" for place in range(1, count) if place not in links]
            say(f"train: waits for {', '.join(absent)} of {count}, at most {START} seconds in all")
            said = True
        if passed > START:
            raise PipelineError(
                f"train: expected {count - 1} workers at the same time within {START} seconds, "
                f"found {len(links)}"
            )
        try:
            accepted, _ = server.accept()
        except TimeoutError:
            continue
        accepted.setblocking(True)
        connection = Connection(accepted.detach())
        try:
            _settle(connection, HANDSHAKE)
            deliver_challenge(connection, token)
            answer_challenge(connection, token)
            said = json.loads(connection.recv_bytes(LONGEST))
            hello = parse(said, Hello, "worker")
        except (*BROKEN, PipelineError):
            connection.close()
            continue
        who = named(hello.place, count, hello.host, hello.process)
        links[hello.place] = Link(connection, who, WAIT)  # who was started again takes its place
        check(who, hello.about)
    return Leader([links[place] for place in sorted(links)])


def _there(links: dict[int, Link]) -> dict[int, Link]:
    """Those that are still connected: until all are there, none says more than who it is."""
    return {place: link for place, link in links.items() if not link.connection.poll()}


def _settle(connection: Connection, wait: int) -> None:
    """Small messages leave at once, a dead machine is noticed, and so is one that says nothing."""
    with socket.socket(fileno=os.dup(connection.fileno())) as same:
        same.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        same.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in ALIVE.items():
            if hasattr(socket, name):  # not on every system
                same.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
        for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            same.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", wait, 0))
