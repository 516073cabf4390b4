"""`asOf=`: which earlier moment a page is asked for, and in which voice it is told then."""

from typing import Annotated

from litestar.params import QueryParameter

from services.api.as_of import first_event, moment_of
from services.api.history import queries
from services.api.history.selection import Moment
from services.api.panel.said import Said
from services.api.panel.views import moment as views
from services.api.panel.views.moment import Then
from services.api.past import History
from services.api.problems import BEFORE_HISTORY, INVALID, TO_COME, Problem
from services.words.voice import Voice

AsOf = Annotated[str, QueryParameter(name=views.AS_OF, max_length=40)]


async def then_of(past: History, as_of: str, voice: Voice) -> tuple[Then | None, Voice]:
    """None, and the voice as it is: now. Raises LogUnavailable, and Problem in the reader's language."""
    if not as_of:
        return None, voice
    asked = views.read(as_of, voice)
    try:
        moment = await moment_of(past, asked)
    except Problem as problem:
        if problem.kind not in (BEFORE_HISTORY, TO_COME, INVALID):
            raise
        raise await _refused(past, as_of, problem, voice) from problem
    assert moment is not None
    return Then(moment, asked), voice.as_of(moment.time)


async def _refused(past: History, asked: str, problem: Problem, voice: Voice) -> Problem:
    too_early = problem.kind is BEFORE_HISTORY
    first = await first_event(past) if too_early else None
    last = (await queries.position(past.pool)).sequence
    to_come = voice.text("Not yet") if problem.kind is TO_COME else ""
    heading = voice.text("Before the first event") if too_early else to_come
    return Said(problem.kind, views.refused(asked, too_early=too_early, first=first, last=last, voice=voice), heading)


def moment_in(then: Then | None) -> Moment | None:
    return then.moment if then else None
