"""What is answered at the same moment is one write, and nothing of it waits when the runner leaves."""

import asyncio
from typing import Any

from nats.errors import ConnectionClosedError

from services.runner.answers import Answers


class Connection:
    """Of nats-py's client as much as a write takes."""

    is_closed = False
    is_connected = True

    def __init__(self) -> None:
        self.writes: list[bytes] = []

    async def _send_command(self, lines: bytes) -> None:
        self.writes.append(lines)

    async def _flush_pending(self) -> None: ...

    async def flush(self, **_: float) -> None:
        self.writes.append(b"PING\r\n")


def told(connection: Any, answers: int) -> Answers:
    async def tell() -> Answers:
        saying = Answers(connection)
        for number in range(answers):
            await saying.publish(f"$JS.ACK.{number}", b"+ACK")
        await saying.flush()
        return saying

    return asyncio.run(tell())


def test_answers_of_one_moment_leave_together_and_before_the_last_word() -> None:
    connection = Connection()
    told(connection, 3)
    ack = b"PUB $JS.ACK.%d 4\r\n+ACK\r\n"
    assert connection.writes == [ack % 0 + ack % 1 + ack % 2, b"PING\r\n"]


def test_an_answer_that_cannot_leave_costs_nobody_anything() -> None:
    class Closed(Connection):
        is_closed = True
        is_connected = False

        async def _send_command(self, lines: bytes) -> None:
            raise ConnectionClosedError

    told(Closed(), 2)
