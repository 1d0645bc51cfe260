"""The web server: uvicorn, with an end to its patience, that answers what is under way when it is
told to stop."""

import asyncio
import socket
from types import FrameType

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from pipeline.forecasting import endpoints
from pipeline.forecasting.service import Service


def serve(service: Service, listener: socket.socket, grace: float) -> None:
    """Answer on a bound socket until a signal comes, then for `grace` seconds what is under way.

    Raises the signal again when all is answered, which is a KeyboardInterrupt.
    """
    patience = type("Patient", (Patient,), {"seconds": service.patience})
    config = uvicorn.Config(
        endpoints.app(service), lifespan="off", log_level="warning", access_log=False,
        http=patience, timeout_graceful_shutdown=int(grace),
    )  # fmt: skip
    _Server(config, service).run([listener])


class _Server(uvicorn.Server):
    """Says that it is not ready any more before it stops."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self.service = service

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self.service.stopping = True
        super().handle_exit(sig, frame)


class Patient(H11Protocol):
    """Closes a connection whose headers do not come; uvicorn itself would wait for ever."""

    seconds: float  # from a connection, or the first byte of its next request
    late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Expect a request from now on."""
        super().connection_made(transport)
        self._expect()

    def data_received(self, data: bytes) -> None:
        """Expect the rest where headers are not whole."""
        super().data_received(data)
        if self.conn.their_state is h11.IDLE:
            self._expect()
        else:
            self._forget()

    def connection_lost(self, exc: Exception | None) -> None:
        """Expect nothing more."""
        self._forget()
        super().connection_lost(exc)

    def _expect(self) -> None:
        if self.late is None:
            self.late = self.loop.call_later(self.seconds, self.transport.close)

    def _forget(self) -> None:
        if self.late is not None:
            self.late.cancel()
            self.late = None
