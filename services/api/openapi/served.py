"""Where the documents are served: OpenAPI as JSON, YAML and a page that needs nothing from elsewhere; AsyncAPI."""

import json
from functools import cache
from typing import Any, Final

from litestar import Litestar, Request, Router, get
from litestar.enums import MediaType
from litestar.openapi.plugins import JsonRenderPlugin, OpenAPIRenderPlugin, YamlRenderPlugin

from services.api.access.gate import gate
from services.api.openapi.completed import Document, completed
from services.api.panel.rendering import render, stranger
from services.log import asyncapi


def document_of(app: Litestar) -> Document:
    """The app's OpenAPI document, made anew."""
    return completed(json.loads(json.dumps(app.openapi_schema.to_schema())))


def text_of(document: Document) -> str:
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


class Json(JsonRenderPlugin):
    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        return super().render(request, request.app.state.openapi)


class Yaml(YamlRenderPlugin):
    """Made once, for it takes half a second."""

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        state = request.app.state
        if "openapi_yaml" not in state:
            state.openapi_yaml = super().render(request, state.openapi)
        made: bytes = state.openapi_yaml
        return made


class Page(OpenAPIRenderPlugin):
    """Every call with its parameters, bodies and answers, to be read without a network."""

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        document = request.app.state.openapi
        page = render(
            request,
            "openapi.html",
            stranger(request),
            live=False,
            document=document,
            groups=_groups(document),
            pretty=lambda value: json.dumps(value, indent=2, ensure_ascii=False),
        )
        return page.content.encode()


@get("/asyncapi.json", media_type=MediaType.JSON)
async def asyncapi_json() -> bytes:
    return _asyncapi()


@cache
def _asyncapi() -> bytes:
    return text_of(asyncapi.document()).encode()


def _groups(document: Document) -> dict[str, list[tuple[str, str, Document]]]:
    """Operations by their tag: method, path, and what is said of it."""
    groups: dict[str, list[tuple[str, str, Document]]] = {}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            groups.setdefault(operation.get("tags", ["others"])[0], []).append((method.upper(), path, operation))
    return groups


plugins: Final = (Json(), Yaml(), Page(path="/"))


def router() -> Router:
    """A new one, for Litestar adds to it."""
    return Router("/schema", route_handlers=[asyncapi_json], middleware=[gate], include_in_schema=False)
