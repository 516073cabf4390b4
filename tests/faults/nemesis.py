"""The nemesis: random faults under random load for as long as asked, then every promise is checked.

All choices follow from the seed; when they come true, the machine decides.
"""

import asyncio
import contextlib
import json
import re
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from nats.errors import Error as NatsError
from nats.js.errors import Error as JetStreamError

from tests.faults.figures import Report, Scenario, report
from tests.faults.load import Load
from tests.faults.raw_stream import STREAM, RawStream, watch_acks
from tests.faults.stage import ACK_WAIT_S, JOBS, Stage, stage, under_load
from tests.faults.test_cluster_faults import all_current, stream_leader
from tests.faults.test_failpoints import WINDOWS
from tests.faults.test_nats_faults import works_again
from tests.invariants import Fact

_CREW = 3
_WAYS_TO_DIE = ("kill", "abort", "segfault", "os exit")
_SIGNALS = (-signal.SIGKILL, -signal.SIGABRT, -signal.SIGSEGV)
_JOBS = ("NAP", "HOLD", "NOOP", "WARNS", "ALONE", "THREAD", "BREAKS")


@dataclass
class Nemesis:
    """done: how often each fault was inflicted; statuses: how runners ended that nobody killed."""

    scene: Stage
    load: Load
    done: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    _waking: set[asyncio.Task[None]] = field(default_factory=set)

    async def go_on(self, until_s: float) -> None:
        faults = self._faults()
        while time.monotonic() < until_s:
            fault = self.scene.random.choices(list(faults), list(faults.values()))[0]
            await fault()
            self.done[fault.__name__] += 1
            self.statuses.update(self.scene.replace_ended())
            await asyncio.sleep(self.scene.random.expovariate(1.5))
        if self._waking:
            await asyncio.wait(self._waking)
        await works_again(self.load, within_s=90)

    async def supervise(self) -> None:
        """Jobs that kill their process go on doing so when the faults are over."""
        while True:
            await asyncio.sleep(0.3)
            self.statuses.update(self.scene.replace_ended())

    def _faults(self) -> dict[Callable[[], Awaitable[None]], int]:
        """Each with its weight."""
        of_runners = {self.kill: 6, self.pause: 4, self.deploy: 3, self.crash: 6, self.swamp: 2, self.forget: 1}
        of_runners |= {self.murder: 4, self.release: 3}
        of_servers = {self.kill_server: 3, self.hang_server: 2}
        return {**of_runners, **of_servers}

    async def kill(self) -> None:
        """kill -9 a runner; another one starts."""
        self.scene.kill(self._anyone())
        self.scene.hire()

    async def pause(self) -> None:
        """Stop a runner for up to three times ack_wait; the others go on meanwhile, and so do the faults."""
        name = self._anyone()
        process = self.scene.runners[name]
        process.freeze()
        waking = asyncio.create_task(self._wake(name, self.scene.random.uniform(0.2, 3) * ACK_WAIT_S))
        self._waking.add(waking)
        waking.add_done_callback(self._waking.discard)

    async def _wake(self, name: str, after_s: float) -> None:
        await asyncio.sleep(after_s)
        if name in self.scene.runners:
            self.scene.runners[name].thaw()

    async def deploy(self) -> None:
        """SIGTERM a runner; another one starts."""
        name = self._anyone()
        self.scene.runners[name].thaw()
        self.scene.terminate(name)
        self.scene.hire()

    async def crash(self) -> None:
        """One more runner, which will crash at a failpoint, and be replaced by one that does not."""
        name = self._anyone()
        self.scene.kill(name)
        window = self.scene.random.choice(list(WINDOWS))
        self.scene.hire(failpoint=f"{window}:{self.scene.random.randint(1, 5)}")

    async def murder(self) -> None:
        """A job that kills its process, in one of the ways there are: nobody else's attempt may count for it."""
        way = self.scene.random.choice(_WAYS_TO_DIE)
        await self.load.trigger("DEADLY", json.dumps({"what": way, "ms": 200}))

    async def release(self) -> None:
        """One runner is replaced by one of the second release of a job, and there are runs that only that one takes."""
        name = self._anyone()
        self.scene.runners[name].thaw()
        self.scene.terminate(name)
        self.scene.hire(jobs=f"{JOBS},tests.release_two")
        for body in ('{"ms": 300}', '{"ms": 300, "note": "second"}'):
            await self.load.trigger("RELEASED", body)

    async def swamp(self) -> None:
        """A hundred triggers at once."""
        await asyncio.gather(*(self.load.trigger("NOOP", "") for _ in range(100)))

    async def forget(self) -> None:
        """Delete a consumer: every trigger of its job is delivered again."""
        with contextlib.suppress(NatsError, JetStreamError, TimeoutError):
            name = f"runner-{self.scene.random.choice(_JOBS)}"
            await self.scene.connection.jetstream(timeout=2).delete_consumer(STREAM, name)

    async def kill_server(self) -> None:
        """kill -9 the server that leads the stream, or any of three; it comes back, and the others are waited for."""
        server = await self._server()
        server.kill()
        await asyncio.sleep(self.scene.random.choice([0.0, 0.5, 3.0]))
        server.start()
        await self._in_step()

    async def hang_server(self) -> None:
        """It answers nothing for a while, now and then for longer than anybody waits."""
        server = await self._server()
        server.freeze()
        await asyncio.sleep(self.scene.random.choice([0.5, 2.0, 5.0, 14.0]))
        server.start()
        await self._in_step()

    async def _server(self):  # type: ignore[no-untyped-def]
        if len(self.scene.servers) > 1 and self.scene.random.random() < 0.6:
            return await stream_leader(self.scene)
        return self.scene.random.choice(self.scene.servers)

    async def _in_step(self) -> None:
        if len(self.scene.servers) > 1:
            await all_current(self.scene, within_s=90)

    def _anyone(self) -> str:
        """A runner that is there; ended ones are replaced first."""
        self.statuses.update(self.scene.replace_ended())
        while len(self.scene.runners) < _CREW:
            self.scene.hire()
        return self.scene.random.choice(list(self.scene.runners))


async def _soak(seconds: int, seed: int, nodes: int, per_s: float) -> Report:
    async with stage(seed, nodes=nodes) as scene, watch_acks(scene.connection) as acks:
        await scene.crew(_CREW)
        async with under_load(scene, seed, per_s) as load:
            nemesis = Nemesis(scene, load)
            supervising = asyncio.create_task(nemesis.supervise())
            await nemesis.go_on(time.monotonic() + seconds)
        verdict = await scene.settle(load, within_s=180)
        supervising.cancel()
        assert acks.early(await scene.stream.anew()) == []
    # 137: a failpoint; 75: a job that ignored its end; 69: a NATS client that gave up; signals: a job that kills.
    assert set(nemesis.statuses) <= {137, 75, 69, *_SIGNALS}, f"runners ended with {nemesis.statuses}"
    assert _blamed_for_others(scene.stream) == []
    inflicted = ", ".join(f"{name} {count}" for name, count in sorted(nemesis.done.items()))
    ended = ", ".join(f"{status}: {count}" for status, count in sorted(nemesis.statuses.items()))
    figures = f"{inflicted}; exit statuses {ended or 'none'}; {load.unanswered} publishes unanswered"
    return report(f"{nemesis.done.total()} faults in {seconds} s", verdict, figures=figures)


def _blamed_for_others(stream: RawStream) -> list[Fact]:
    """Jobs that never fail by themselves, and did: their attempts were counted for what killed their runners."""
    return [each for each in stream.facts if re.fullmatch(r"jobs\.run\.(HOLD|NOOP|WARNS)\.\d+\.failed", each.subject)]


async def _one_server(seconds: int, seed: int) -> Report:
    return await _soak(seconds, seed, nodes=1, per_s=15)


async def _three_servers(seconds: int, seed: int) -> Report:
    return await _soak(seconds, seed, nodes=3, per_s=8)


SOAKS = {
    "soak_one_server": Scenario("the nemesis, one server", _one_server, few=30, full=300),
    "soak_cluster": Scenario("the nemesis, three servers", _three_servers, few=30, full=300),
}
"""rounds: seconds."""
