"""What the pages' tables say, compared with what there is."""

import ast
import re
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, get_args

import msgspec
import pytest
from litestar import Litestar
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute
from msgspec import NODEFAULT

from services.api.access.store import Identity, Role
from services.api.app import create_app
from services.api.http.named import NamedRun
from services.api.problems import Problem
from services.cli.__main__ import COMMANDS
from services.infra import settings
from services.stack.up import UpSettings
from tests.docs.markdown import ROOT, code, pages, rows, source

READ = (
    settings.ApiSettings,
    settings.SchedulerSettings,
    settings.RunnerSettings,
    settings.ProvisionSettings,
    UpSettings,
)
ROLES: tuple[Role, ...] = get_args(Role)
IN_WORDS = {
    "KRONIK_JOBS": "the three",
    "KRONIK_HEYNABO_CRON": "by hand alone",
    "KRONIK_INSTANCE": "`<host>-<pid>`",
    "KRONIK_DINING_DATABASE_URL": "as `KRONIK_DATABASE_URL`",
}
NOT_SETTINGS = {
    "KRONIK_FAILPOINT",  # faults for tests
    "KRONIK_MIGRATE_URL",  # how `migrate` tells dbmate
    "KRONIK_PARAM_",  # how names begin that a command's job is told its params by
}


def _defaults() -> dict[str, set[str]]:
    """Every setting of a service, with the default of each service that has it, as the table writes it."""
    found: dict[str, set[str]] = {}
    for kind in READ:
        for field in msgspec.structs.fields(kind):
            name = f"KRONIK_{field.name.upper()}"
            found.setdefault(name, set()).add(IN_WORDS.get(name, _written(field.default)))
    return found


def _written(default: object) -> str:
    if default is NODEFAULT or default in (None, ""):
        return ""
    return f"`{default:g}`" if isinstance(default, (int, float)) else f"`{default}`"


def test_the_settings_are_those_of_the_services_with_their_defaults() -> None:
    table = {code(name)[0]: default for name, _, default in rows("docs/operating.md", "## Settings")}
    defaults = _defaults()
    assert {name: default for name, default in table.items() if name in defaults} == {
        name: values.pop() for name, values in defaults.items() if len(values) == 1
    }


def test_no_setting_that_the_code_reads_is_left_out_and_none_is_made_up() -> None:
    table = {code(name)[0] for name, *_ in rows("docs/operating.md", "## Settings")}
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "services").rglob("*.py")]
    read = {name for text in sources for name in re.findall(r'"(KRONIK_[A-Z_]+)"', text)} | set(_defaults())
    assert table == read - NOT_SETTINGS


def _app() -> Litestar:
    return create_app(settings.ApiSettings(nats_url="nats://127.0.0.1:1", database_url="postgres://127.0.0.1:1/none"))


def _calls() -> Iterator[tuple[str, dict[str, Any]]]:
    for path, operations in _app().openapi_schema.to_schema()["paths"].items():
        for method, operation in operations.items():
            yield f"{method.upper()} {path}", operation


def test_the_calls_are_those_of_the_served_description() -> None:
    written = [call for cell, *_ in rows("docs/api.md", "```") for call in code(cell)]
    assert sorted(call.partition("?")[0] for call in written) == sorted(call for call, _ in _calls())


def test_the_calls_take_the_query_that_the_page_shows() -> None:
    written = {call.partition("?")[0]: call for cell, *_ in rows("docs/api.md", "```") for call in code(cell)}
    for call, operation in _calls():
        taken = {one["name"] for one in operation.get("parameters", []) if one["in"] == "query"}
        filters = _filters() if "…" in written[call] else set()
        assert set(re.findall(r"[?&](\w+)=", written[call])) | filters == taken, call


def _filters() -> set[str]:
    """Of a call that ends with …; `param.NAME` has no one name."""
    return {name for cell, *_ in rows("docs/api.md", "## Filters") for name in code(cell)} - {"param.NAME"}


async def test_the_calls_need_the_role_that_the_page_names() -> None:
    written = {call.partition("?")[0]: role for cell, role, _ in rows("docs/api.md", "```") for call in code(cell)}
    needed = {call: await _lowest_role(handler) for call, handler in _handlers() if call in written}
    assert {call: role for call, role in written.items() if role != "open"} == {
        call: role for call, role in needed.items() if call.partition(" ")[2].startswith("/api/")
    }


def _handlers() -> Iterator[tuple[str, HTTPRouteHandler]]:
    for route in _app().routes:
        if isinstance(route, HTTPRoute):
            path = re.sub(r"{(\w+):\w+}", r"{\1}", route.path)
            yield from (
                (f"{method} {path}", handler) for handler in route.route_handlers for method in handler.http_methods
            )


async def _lowest_role(handler: HTTPRouteHandler) -> Role:
    return [role for role in ROLES if await _may(handler, role)][0]  # noqa: RUF015


async def _may(handler: HTTPRouteHandler, role: Role) -> bool:
    asking: Any = SimpleNamespace(user=Identity("1", "somebody", role))
    try:
        for guard in handler.resolve_guards():
            await guard(asking, handler)
    except Problem:
        return False
    return True


def test_a_run_has_the_fields_that_the_page_lists() -> None:
    written = [name for cell, *_ in rows("docs/api.md", "## Runs") for name in code(cell)]
    assert sorted(written) == sorted(field.encode_name for field in msgspec.structs.fields(NamedRun))


def _defined(path: str) -> set[str]:
    """Functions and methods of a file; the latter with their class as well."""
    names: set[str] = set()
    for node in ast.parse((ROOT / path).read_text(encoding="utf-8")).body:
        names |= {node.name} if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) else set()
        if isinstance(node, ast.ClassDef):
            inner = (each for each in node.body if isinstance(each, (ast.FunctionDef, ast.AsyncFunctionDef)))
            names |= {f"{node.name}.{each.name}" for each in inner}
    return names


def _hops() -> list[list[str]]:
    return rows("docs/architecture.md", "## From a click to a row") + rows(
        "docs/architecture.md", "## From a slot to a trigger"
    )


@pytest.mark.parametrize("hop", _hops(), ids=lambda hop: f"hop {hop[0]}")
def test_a_hop_is_where_the_table_says(hop: list[str]) -> None:
    places = code(hop[-1])
    assert places
    for place in places:
        path, _, names = place.partition(":")
        assert (ROOT / path).is_file(), path
        assert set(filter(None, names.split(","))) <= _defined(path), place


@pytest.mark.parametrize("page", pages())
def test_every_file_that_a_page_names_is_there(page: str) -> None:
    inside = r"(?:services|contracts|deploy|docs|tests|schemas|migrations|benchmarks|\.ci)/[\w./-]*"
    named = {found[0] for span in code(source(page)) if (found := re.match(inside, span))}
    assert [name for name in named if not (ROOT / name).exists()] == [], page


@pytest.mark.parametrize("page", [*pages(), *(f"docs/adr/{path.name}" for path in (ROOT / "docs/adr").glob("*.md"))])
def test_every_link_leads_somewhere(page: str) -> None:
    targets = re.findall(r"\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)", source(page))
    assert [target for target in targets if not (ROOT / page).parent.joinpath(target).exists()] == []


@pytest.mark.parametrize("page", pages())
def test_every_command_that_a_page_names_exists(page: str) -> None:
    named = {name for span in code(source(page)) for name in re.findall(r"^kronik ([a-z-]+)", span)}
    assert named <= set(COMMANDS), page
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {name for span in code(source(page)) for name in re.findall(r"^make ([a-z]+)", span)} <= targets, page


@pytest.mark.parametrize("page", pages())
def test_prose_is_wrapped(page: str) -> None:
    prose = re.sub(r"^```.*?^```\n", "", source(page), flags=re.DOTALL | re.MULTILINE)
    assert [line for line in prose.splitlines() if len(line) > 120 and not line.startswith("|")] == []
