"""FastStream's broker on a connection of ours."""

from faststream.nats import NatsBroker
from nats.aio.client import Client

from services.log import connection as nats_connection
from services.log.connection import Callback


class Broker(NatsBroker):
    """Its own would put callbacks before ours that raise inside nats-py's reconnecting, which ends with them: the
    process would live on, deaf. on_lost, patience_s: see nats_connection.connect."""

    def __init__(self, url: str, name: str, on_lost: Callback, patience_s: float) -> None:
        # Without a graceful timeout of its own: stopping a subscription must not wait for its job, drain() does.
        super().__init__(logger=None, graceful_timeout=None)
        self._url, self._name, self._on_lost, self._patience_s = url, name, on_lost, patience_s

    async def _connect(self) -> Client:
        connection = await nats_connection.connect(
            self._url, self._name, self._on_lost, patience_s=self._patience_s, alone=True
        )
        self.config.connect(connection)
        return connection
