"""Three servers with a copy of every event each: the leader dies, again and again."""

import asyncio
import json
import shutil
import time

import pytest
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.errors import Error as JetStreamError

from services.log.accounts import SYSTEM
from tests.faults.figures import Report, report, scenario, spread
from tests.faults.raw_stream import connect
from tests.faults.stage import Stage, stage, under_load
from tests.faults.test_nats_faults import assert_same_processes, works_again
from tests.servers import NatsServer
from tests.shipped import NODES


@scenario("kill -9 nats-server under load, leader of three", few=1, full=50)
async def killed_leaders(rounds: int, seed: int) -> Report:
    """The node that leads the stream dies; the other two go on, and it joins them again."""
    recoveries: list[float] = []
    async with stage(seed, nodes=3) as scene:
        names = await scene.crew(2)
        async with under_load(scene, seed, per_s=8) as load:
            for _ in range(rounds):
                await asyncio.sleep(scene.random.uniform(0.3, 1.0))
                leader = await stream_leader(scene)
                leader.kill()
                recoveries.append(await works_again(load, within_s=60))
                leader.start()
                await all_current(scene)
        verdict = await scene.settle(load, within_s=120)
        assert_same_processes(scene, names)
    return report(
        f"{rounds} kills, {len(load.acknowledged)} acknowledged",
        verdict,
        figures=f"0 acknowledged lost; a run is done with the leader gone after {spread(recoveries)}",
    )


async def stream_leader(scene: Stage) -> NatsServer:
    """The server that leads JOBS now."""
    cluster = await _cluster(scene)
    return scene.servers[NODES.index(cluster["leader"])]


@scenario("three nodes restarted one at a time, six runners", few=1, full=5)
async def restarted_nodes(rounds: int, seed: int) -> Report:
    """As a rolling update does it. Afterwards every connection is back, of every process, and none was replaced."""
    async with stage(seed, nodes=3) as scene:
        names = await scene.crew(6)
        async with under_load(scene, seed, per_s=3) as load:
            for node in scene.servers * rounds:
                node.stop()
                node.start()
                await all_current(scene)
        back_s = await all_connected(scene, {f"runner-{name}{which}" for name in names for which in ("", "-leases")})
        verdict = await scene.settle(load, within_s=120)
        assert_same_processes(scene, names)
    return report(f"{3 * rounds} restarts", verdict, figures=f"the last connection is back after {back_s:.1f} s")


async def all_connected(scene: Stage, wanted: set[str], within_s: float = 60) -> float:
    """Wait until the servers know a connection of each of these names; how long it took."""
    began = time.monotonic()
    async with connect(",".join(server.user(SYSTEM) for server in scene.servers)) as system:
        while missing := wanted - await _connections(system):
            assert time.monotonic() - began < within_s, f"not connected: {missing}"
            await asyncio.sleep(0.2)
    return time.monotonic() - began


async def _connections(system: Client) -> set[str]:
    """The names of all clients of all servers."""
    answers, names = await system.subscribe(inbox := system.new_inbox()), set()
    await system.publish("$SYS.REQ.SERVER.PING.CONNZ", b'{"auth":true,"limit":1024}', reply=inbox)
    try:
        while True:
            answer = json.loads((await answers.next_msg(timeout=0.5)).data)
            names |= {each.get("name", "") for each in answer["data"]["connections"]}
    except (NatsError, TimeoutError):
        return names
    finally:
        await answers.unsubscribe()


async def all_current(scene: Stage, within_s: float = 60) -> None:
    """Wait until both followers have everything: a second kill must not find a single copy."""
    give_up = time.monotonic() + within_s
    while True:
        cluster = await _cluster(scene)
        peers = cluster.get("replicas", [])
        if len(peers) == len(scene.servers) - 1 and all(p.get("current") and not p.get("offline") for p in peers):
            return
        assert time.monotonic() < give_up, f"not in step within {within_s:g} s: {cluster}"
        await asyncio.sleep(0.1)


async def _cluster(scene: Stage, within_s: float = 60) -> dict:  # type: ignore[type-arg]
    """What the stream's leader says of its cluster; asks again while there is none."""
    give_up = time.monotonic() + within_s
    while True:
        try:
            answer = await scene.connection.request("$JS.API.STREAM.INFO.JOBS", timeout=2)
            cluster = json.loads(answer.data).get("cluster", {})
            if cluster.get("leader"):
                return cluster
        except (NatsError, TimeoutError):
            pass
        assert time.monotonic() < give_up, f"no leader within {within_s:g} s"
        await asyncio.sleep(0.1)


async def test_every_connection_is_back_when_the_nodes_were_restarted() -> None:
    await restarted_nodes()


async def test_nothing_acknowledged_is_lost_when_the_leader_is_killed() -> None:
    await killed_leaders()


@pytest.mark.deep
async def test_a_stream_that_one_header_stopped_is_brought_back_whole() -> None:
    """nats-server 2.15.1: docs/security.md says what it does, docs/operating.md what to do. Where it does no harm any
    more, both can go."""
    async with stage(7, nodes=3) as scene:
        last = (await scene.connection.jetstream().publish("jobs.trigger.NAP.crm", b"{}")).seq
        group = (await _cluster(scene))["raft_group"]
        with pytest.raises((NatsError, JetStreamError, TimeoutError)):
            await scene.connection.jetstream(timeout=2).publish(
                "jobs.trigger.NAP.crm", b"{}", headers={"Nats-Expected-Last-Msg-Id": "other"}
            )
        with pytest.raises((NatsError, JetStreamError, TimeoutError)):
            await scene.connection.jetstream(timeout=2).publish("jobs.trigger.NAP.crm", b"{}")
        for node in scene.servers:
            node.stop()
        for node in scene.servers:
            shutil.rmtree(node.log.parent / "data" / "jetstream" / "SYS" / "_js_" / group)
            node.start()
        await all_current(scene)
        assert (await scene.connection.jetstream().publish("jobs.trigger.NAP.crm", b"{}")).seq == last + 1
        await scene.stream.anew()
