"""`?dryRun=true` on a command: its plan is the answer."""

from typing import Annotated, Any

from litestar import Response
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import QueryParameter

from services.api.commands.plan import Plan

DryRun = Annotated[
    bool, QueryParameter(name="dryRun", description="true: nothing is done; the answer, 200, says what would be")
]


def planned(plan: Plan) -> Response[Any]:
    return Response(plan, status_code=200)


def or_plan(answer: Any, description: str) -> dict[int, ResponseSpec]:
    """For a handler's OpenAPI: 200 is this, or what would be done."""
    either: Any = answer | Plan
    return {200: ResponseSpec(either, description=f"{description}; dry: what would be done", generate_examples=False)}
