"""From a template to a response: in the language of who asks, and with nothing on the page but our own files."""

import hashlib
from functools import cache
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from litestar import Request, Response
from litestar.datastructures import Cookie
from litestar.enums import MediaType

from services.words.language import LANGUAGES, Language, choose, known

STATIC: Final = Path(__file__).parent / "static"
STATIC_PATH: Final = "/admin/static"
LANGUAGE_COOKIE: Final = "kronik_language"
_TEMPLATES: Final = Path(__file__).parent / "templates"
_YEAR_S: Final = 365 * 24 * 3600

HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Vary": "Accept-Language, Cookie",
}
"""Of every page. Referrer-Policy is not stricter because browsers then send no Origin with a form."""


def render(
    request: Request[Any, Any, Any],
    template: str,
    language: Language,
    *,
    status_code: int = 200,
    **context: Any,
) -> Response[str]:
    """The page, and a cookie that remembers the language if the address asked for one."""
    content = (
        _environment(language)
        .get_template(template)
        .render(
            language=language,
            all_languages=LANGUAGES,
            in_language=lambda code: _in_language(request, code),
            **context,
        )
    )
    asked = known(request.query_params.get("lang"))
    cookies = [_remember(asked)] if asked else []
    return Response(content, status_code=status_code, media_type=MediaType.HTML, headers=HEADERS, cookies=cookies)


def language_of(request: Request[Any, Any, Any]) -> Language:
    return choose(
        request.query_params.get("lang"),
        request.cookies.get(LANGUAGE_COOKIE),
        request.headers.get("accept-language", ""),
    )


def _remember(code: str) -> Cookie:
    return Cookie(key=LANGUAGE_COOKIE, value=code, path="/admin", max_age=_YEAR_S, httponly=True, samesite="lax")


def _in_language(request: Request[Any, Any, Any], code: str) -> str:
    """The address of this page in another language."""
    asked = {name: value for name, value in request.query_params.items() if name != "lang"}
    return f"{request.url.path}?{urlencode({**asked, 'lang': code})}"


@cache
def _environment(language: Language) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    environment.install_gettext_translations(language.texts, newstyle=True)  # type: ignore[attr-defined]
    environment.globals["asset"] = asset
    return environment


@cache
def asset(name: str) -> str:
    """The address of a static file. It changes with the content, so browsers may keep what they have for ever."""
    digest = hashlib.sha256((STATIC / name).read_bytes()).hexdigest()
    return f"{STATIC_PATH}/{name}?v={digest[:12]}"
