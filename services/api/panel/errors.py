"""What went wrong, as a page for who prefers pages: the same problems that the API answers with."""

from typing import Any, Final

from litestar import Request, Response
from litestar.exceptions import HTTPException
from litestar.types import ExceptionHandlersMap

from services.api import problems
from services.api.panel.rendering import render, stranger
from services.api.panel.said import Said
from services.api.problems import BROKEN, LINK_USED_UP, NOT_SIGNED_IN, FieldError, Problem, problem_of
from services.infra import logs
from services.words.voice import Voice

log = logs.get()

_OFFERED: Final = [problems.MEDIA_TYPE, "application/json", "text/html"]
"""What an error can be answered as; what accepts everything gets the first."""

SIGN_IN: Final = "kronik signin"


def respond(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    """A page for a browser, problem details for everybody else."""
    if request.accept.best_match(_OFFERED) == "text/html":
        return _page(request, error)
    return problems.respond(request, error)


def _page(request: Request[Any, Any, Any], error: Exception) -> Response[str]:
    """The page for a request that ended with this exception; what nobody expected is logged with its traceback."""
    problem = problem_of(error)
    if problem.kind is BROKEN:
        log.error("page_failed", path=request.url.path, exc_info=error)
    voice = stranger(request)
    heading, explanation, command = _told(problem, voice)
    page = render(
        request,
        "message.html",
        voice,
        status_code=problem.kind.status,
        live=problem.kind.status == 503,
        heading=heading,
        explanation=explanation,
        command=command,
        details=[_detail(one, voice) for one in problem.errors],
    )
    page.headers.update(problem.headers)
    return page


def _told(problem: Problem, voice: Voice) -> tuple[str, str, str]:
    """Heading, explanation, and a command to copy."""
    say = voice.text
    if problem.kind is NOT_SIGNED_IN:
        return say("Sign in"), say("This command prints a link that signs you in:"), SIGN_IN
    if problem.kind is LINK_USED_UP:
        explanation = say("A link signs in once, within an hour. This command prints a new one:")
        return say("This link does not sign in any more"), explanation, SIGN_IN
    if isinstance(problem, Said):
        return problem.heading or _heading(problem.kind.status, voice), problem.detail, ""
    return _heading(problem.kind.status, voice), _explanation(problem, voice), ""


def _heading(status: int, voice: Voice) -> str:
    say = voice.text
    match status:
        case 403:
            return say("You may not do that")
        case 404:
            return say("There is nothing here")
        case 409:
            return say("That can't be done now")
        case 503:
            return say("Kronik is out of reach right now")
        case status if status < 500:
            return say("That could not be understood")
        case _:
            return say("Something went wrong")


def _explanation(problem: Problem, voice: Voice) -> str:
    """In the page's language; what a person at the panel does not meet is explained to readers of English alone."""
    say = voice.text
    known = {
        problems.NOT_ALLOWED: say("Your account's role does not allow it."),
        problems.CROSS_SITE: say("The request did not come from one of Kronik's own pages."),
        problems.NOT_FOUND: say("Nothing stands at this address."),
        problems.UNKNOWN_RUN: say("There is no such run."),
        problems.UNKNOWN_JOB_TYPE: say("No runner has announced such a job."),
        problems.RUN_FINISHED: say("The run is finished: there is nothing to cancel."),
        problems.RUN_NOT_FINISHED: say("The run is not finished: only a finished run can be run again."),
        problems.PARAMS_UNKNOWN: say("Its trigger could not be read: its parameters are not known. Run the job anew."),
        problems.BUSY: say("Somebody else is changing this right now: try again."),
        problems.KEY_REUSED: say("This page has asked for a run already, with other parameters. Load it anew first."),
        problems.INVALID_PARAMS: say("The job does not take these parameters:"),
        problems.BROKEN: say("The error is in the service's log."),
        problems.JOB_RETIRED: say("The job is out of use: a runner that announces it anew brings it back."),
        problems.QUEUE_FULL: say("As many runs of the job wait as may: try again later."),
        problems.UNKNOWN_BULK: say("There is no such work on many runs."),
        problems.BULK_ENDED: say("The work has ended already."),
        problems.TOO_MANY_RUNS: say("The filter selects more runs than can be worked on at once: narrow it."),
        problems.REPLAY_RUNNING: say("One is running already: wait for its end, or cancel it."),
        problems.NOT_RUNNING: say("None is running."),
        problems.NO_SCHEDULE: say("The job has no schedule."),
        problems.WRONG_METHOD: say("Nothing stands at this address."),
        problems.TOO_LARGE: say("More was sent than can be taken."),
        problems.ADDRESS_TOO_LONG: say("The address is too long."),
        problems.TOO_MANY_TRIES: say("Too many wrong links or tokens came from your address: wait a little."),
        problems.STREAM_AWAY: say("NATS does not answer. Try again in a moment."),
        problems.HISTORY_AWAY: say("Postgres does not answer. Try again in a moment."),
        problems.TOO_SLOW: say("The question takes too long: ask a narrower one."),
    }
    return known.get(problem.kind) or (problem.detail if voice.language.code == "en" else "")


def _detail(error: FieldError, voice: Voice) -> str:
    if voice.language.code == "en":
        return f"{error.field}: {error.problem}"
    return voice.text("“%(field)s” can't be understood.", field=error.field)


HANDLERS: ExceptionHandlersMap = {Exception: respond, HTTPException: respond}
