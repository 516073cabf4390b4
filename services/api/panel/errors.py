"""What went wrong, as a page: the same problems that the API answers with."""

from typing import Any

from litestar import Request, Response
from litestar.exceptions import HTTPException
from litestar.types import ExceptionHandlersMap

from services.api.panel.language import Language
from services.api.panel.rendering import language_of, render
from services.api.problems import BROKEN, NOT_SIGNED_IN, Problem, problem_of
from services.infra import logs

log = logs.get()


def respond(request: Request[Any, Any, Any], error: Exception) -> Response[str]:
    """The page for a request that ended with this exception; what nobody expected is logged with its traceback."""
    problem = problem_of(error)
    if problem.kind is BROKEN:
        log.error("page_failed", path=request.url.path, exc_info=error)
    language = language_of(request)
    heading, explanation, command = _told(problem, language)
    return render(
        request,
        "message.html",
        language,
        status_code=problem.kind.status,
        live=False,
        every_ms=None,
        identity=request.scope.get("user"),
        heading=heading,
        explanation=explanation,
        command=command,
        details=[f"{one.field}: {one.problem}" for one in problem.errors],
    )


def _told(problem: Problem, language: Language) -> tuple[str, str, str]:
    """Heading, explanation, and a command to copy. An explanation that is about data is the problem's own."""
    say = language.text
    if problem.kind is NOT_SIGNED_IN:
        return say("Sign in"), say("This command prints a link that signs you in:"), "kronik signin"
    match problem.kind.status:
        case 403:
            heading = say("You may not do that")
        case 404:
            heading = say("There is nothing here")
        case 409:
            heading = say("That can't be done now")
        case 503:
            heading = say("Kronik is out of reach right now")
        case status if status < 500:
            heading = say("That could not be understood")
        case _:
            heading = say("Something went wrong")
    return heading, problem.detail, ""


HANDLERS: ExceptionHandlersMap = {Exception: respond, HTTPException: respond}
