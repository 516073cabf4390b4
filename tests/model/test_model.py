"""The protocol of a run in every order, not only in lucky ones.

It is the real code that goes through them: services.runner.attempt with the real EventLog, the API's cancel and the
reconciler, every one stopped at each request to NATS until the explorer says who goes on and what becomes of the
request. Stood in for are the stream and the consumer (memory_log.py, which the conformance suite compares with a real
nats-server, and actors.Broker), the heartbeats' thread, and the job. So what holds here holds of the code that runs,
for one run, two attempts by policy, and no more faults than the bounds say; what NATS does beyond a stream, a
consumer and lost answers is for tests/faults.

In every execution: tests.invariants, exactly one end, no event that the fold ignores, nothing acknowledged before its
end is stored, no attempt performed twice, no event taken for one's own that is not, no attempt given
up whose runner is well and whose lease never ran out; and from every state an end can be reached.
"""

import pytest

from services.runner import attempt
from tests.model.actors import Violation
from tests.model.explorer import Explorer
from tests.model.mutants import MUTANTS
from tests.model.world import Bounds, Mutant, World

ALL = {"crash": 2, "expire": 2, "lost": 2, "drain": 1, "recreate": 1, "reconcile": 1, "ignore": 1}
COMMON = {"crash": 1, "expire": 1, "lost": 1, "drain": 1}

QUICK = {
    "any one fault": Bounds(1, ALL, cancels=False),
    "any one fault on three replicas": Bounds(1, ALL, cancels=False, replicated=True),
    "a cancel, slow looks, and the reconciler's help": Bounds(0, {}, sweeps=True, slow_looks=True),
    "two runners' leases run out": Bounds(2, {"expire": 2}, cancels=False),
    "a crash and a lease": Bounds(2, {"expire": 1, "crash": 2}, cancels=False),
    "answers lost and a lease": Bounds(2, {"expire": 1, "lost": 2}, cancels=False),
    "a cancel and a crash": Bounds(1, {"crash": 1}),
}
DEEP = {
    "any two faults": Bounds(2, ALL, cancels=False),
    "a cancel and a common fault": Bounds(1, COMMON),
    "a cancel, the reconciler's help and a dead runner": Bounds(1, {"crash": 1, "expire": 1}, sweeps=True),
}


@pytest.mark.usefixtures("by_hand")
@pytest.mark.parametrize("bounds", QUICK.values(), ids=QUICK)
def test_every_order_keeps_every_promise(bounds: Bounds, capsys: pytest.CaptureFixture[str]) -> None:
    explore(bounds, capsys)


@pytest.mark.deep
@pytest.mark.timeout(900)
@pytest.mark.usefixtures("by_hand")
@pytest.mark.parametrize("bounds", DEEP.values(), ids=DEEP)
def test_every_order_of_more_keeps_every_promise(bounds: Bounds, capsys: pytest.CaptureFixture[str]) -> None:
    explore(bounds, capsys)


def explore(bounds: Bounds, capsys: pytest.CaptureFixture[str]) -> None:
    found = Explorer(lambda: World(bounds)).explore()
    with capsys.disabled():
        print(f" [{found}]", end="")  # noqa: T201
    assert found.ends > 0


@pytest.mark.usefixtures("by_hand")
@pytest.mark.parametrize(("mutant", "bounds"), MUTANTS.values(), ids=MUTANTS)
def test_a_broken_protocol_is_noticed(mutant: Mutant, bounds: Bounds, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in mutant.patches.items():
        monkeypatch.setattr(attempt, name, value)
    with pytest.raises(Violation) as caught:
        Explorer(lambda: World(bounds, mutant)).explore()
    assert caught.value.__notes__, "it says in which order"
