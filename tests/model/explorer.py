"""Every path through a world: depth first, by replaying, and no state twice."""

import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.model.actors import Violation
from tests.model.world import Action, World

Path = tuple["Path", Action] | None
"""The actions that lead to a state, the last one first."""


@dataclass
class Explored:
    """executions: paths walked to their end or to a state that was known; states, steps: of the graph of them all.

    ends: states in which nothing is left that will happen by itself.
    """

    executions: int = 0
    states: int = 0
    steps: int = 0
    ends: int = 0
    took_s: float = 0.0

    def __str__(self) -> str:
        return (
            f"{self.states:,} states, {self.steps:,} steps, {self.executions:,} executions,"
            f" {self.ends:,} ends, {self.took_s:.1f} s of CPU"
        )


@dataclass
class Explorer:
    """explore() walks everything and raises the first Violation with the actions that led there, in order."""

    make: Callable[[], World]
    found: Explored = field(default_factory=Explored)
    _known: dict[object, int] = field(default_factory=dict)
    _before: defaultdict[int, list[int]] = field(default_factory=lambda: defaultdict(list))
    _ends: list[int] = field(default_factory=list)
    _paths: list[Path] = field(default_factory=list)

    def explore(self) -> Explored:
        began = time.process_time()
        waiting: list[tuple[Path, int | None]] = [(None, None)]
        while waiting:
            path, origin = waiting.pop()
            self._walk(path, origin, waiting)
        self._check_ends_are_reached()
        self.found.states, self.found.took_s = len(self._known), time.process_time() - began
        return self.found

    def _walk(self, path: Path, origin: int | None, waiting: list[tuple[Path, int | None]]) -> None:
        """Replay the path, then go on by first choices until a known state; leave the other choices for later."""
        world = self.make()
        try:
            for action in actions_of(path):
                world.do(action)
            while True:
                state = self._arrive(world, path, origin)
                if state is None:
                    break
                first, *others = world.actions() or [None]
                waiting += [((path, action), state) for action in others if action]
                if first is None:
                    break
                path, origin = (path, first), state
                world.do(first)
        except Exception as error:
            error.add_note("\n".join(told(action) for action in actions_of(path)))
            raise
        finally:
            world.close()
        self.found.executions += 1

    def _arrive(self, world: World, path: Path, origin: int | None) -> int | None:
        """The state's number if it is a new one."""
        key = world.key()
        state = self._known.get(key)
        new = state is None
        if state is None:
            state = self._known[key] = len(self._known)
            self._paths.append(path)
            if world.quiet:
                world.check_quiet()
                self._ends.append(state)
                self.found.ends += 1
        if origin is not None:
            self._before[state].append(origin)
            self.found.steps += 1
        return state if new else None

    def _check_ends_are_reached(self) -> None:
        """From every state: else the actors can go in circles for ever."""
        reaching, waiting = set(self._ends), list(self._ends)
        while waiting:
            for state in self._before[waiting.pop()]:
                if state not in reaching:
                    reaching.add(state)
                    waiting.append(state)
        for state in range(len(self._known)):
            if state not in reaching:
                error = Violation("no end can be reached from here")
                error.add_note("\n".join(told(action) for action in actions_of(self._paths[state])))
                raise error


def actions_of(path: Path) -> list[Action]:
    actions: list[Action] = []
    while path is not None:
        path, action = path
        actions.append(action)
    return actions[::-1]


def told(action: Action) -> str:
    kind, index, answer = action
    how = "" if answer is None else f": {getattr(answer, 'value', answer)}"
    return f"  {kind} {index}{how}"
