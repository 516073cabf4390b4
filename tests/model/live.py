"""Which locals of a frame can still be read: what is dead makes no two states different."""

import dis
from functools import cache
from types import CodeType


@cache
def live_at(code: CodeType, offset: int) -> frozenset[str]:
    """The names that may be loaded from here on before they are stored anew. Rather too many than too few."""
    instructions = list(dis.get_instructions(code))
    place = {each.offset: number for number, each in enumerate(instructions)}
    live: list[frozenset[str]] = [frozenset()] * len(instructions)
    changed = True
    while changed:
        changed = False
        # Any instruction may raise: what a handler reads is live everywhere.
        handled = frozenset().union(*(live[n] for n, each in enumerate(instructions) if each.opname == "PUSH_EXC_INFO"))
        for number in range(len(instructions) - 1, -1, -1):
            now = _before(instructions[number], _after(instructions, number, live, place)) | handled
            if now != live[number]:
                live[number], changed = now, True
    return live[place[offset]]


def _after(
    instructions: list[dis.Instruction], number: int, live: list[frozenset[str]], place: dict[int, int]
) -> frozenset[str]:
    instruction = instructions[number]
    names: frozenset[str] = frozenset()
    if not instruction.opname.startswith(("RETURN", "RAISE", "RERAISE", "JUMP_FORWARD", "JUMP_BACKWARD")):
        names |= live[number + 1] if number + 1 < len(live) else names
    if instruction.opcode in dis.hasjrel or instruction.opcode in dis.hasjabs:
        names |= live[place[instruction.argval]]
    return names


def _before(instruction: dis.Instruction, after: frozenset[str]) -> frozenset[str]:
    name = instruction.argval
    match instruction.opname.split("_"):
        case ["STORE" | "DELETE", "FAST", *_] if isinstance(name, str):
            return after - {name}
        case ["LOAD", "FAST", *_]:
            return after | ({name} if isinstance(name, str) else set(name))
        case ["STORE", "FAST", *_]:  # the double instructions of later versions: stores and loads of two names
            return after | set(name)
    return after
