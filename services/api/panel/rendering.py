"""From a template to a response: in the voice of who asks, and with nothing on the page but our own files."""

import hashlib
from collections.abc import Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from litestar import Request, Response
from litestar.datastructures import Cookie
from litestar.enums import MediaType
from litestar.response import Redirect
from msgspec import structs

from services.api.panel.views import moment
from services.api.panel.views.frame import frame
from services.api.panel.views.moment import AS_OF, Chooser, Shown, Then
from services.api.pulse import Beat
from services.words.language import LANGUAGES, Code, Language, choose, known
from services.words.voice import Voice

STATIC: Final = Path(__file__).parent / "static"
LANGUAGE_COOKIE: Final = "kronik_language"
REFRESH: Final = "x-kronik-refresh"
"""The header of an open page that asks for itself anew; it keeps its head, and many get the same answer."""
ZONE: Final = ZoneInfo("Europe/Copenhagen")
"""The community's clock, which every page goes by."""

_TEMPLATES: Final = Path(__file__).parent / "templates"
_YEAR_S: Final = 365 * 24 * 3600


def _version() -> str:
    """Of all static files together: modules import each other by names that say nothing of it."""
    whole = b"".join(path.read_bytes() for path in sorted(STATIC.iterdir()))
    return hashlib.sha256(whole).hexdigest()[:12]


STATIC_PATH: Final = f"/admin/static/{_version()}"
"""It changes with the files, so browsers may keep what they have for ever."""

HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "worker-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Vary": "Accept-Language, Cookie",
}
"""Of every page. Referrer-Policy is not stricter because browsers then send no Origin with a form."""

Asked = Request[Any, Any, Any]


def render(
    request: Asked,
    template: str,
    voice: Voice,
    *,
    status_code: int = 200,
    tab: str = "",
    then: Then | None = None,
    scrubs: bool = False,
    **context: Any,
) -> Response[str]:
    """The page in its frame. tab: which of the frame's pages it belongs to.

    then: the earlier moment that it shows; scrubs: whether it can show one.
    """
    whole = {
        "base": base_of(request),
        "link": partial(_link, base_of(request), then),
        "then": _then(request, then, voice),
        "scrubber": _scrubber(request, then, voice) if scrubs else None,
        "voice": voice,
        "frame": frame(_beat(request), request.app.state.pulse.titles, voice, tab, admin=_is_admin(request)),
        "identity": request.scope.get("user"),
        "all_languages": LANGUAGES,
        "name_here": _name(request),
        "in_language": lambda code: _in_language(request, code),
        "live": then is None,
        "every_ms": None,
        **context,
    }
    content = _environment(voice.language).get_template(template).render(whole)
    return Response(content, status_code=status_code, media_type=MediaType.HTML, headers=HEADERS)


def _name(request: Asked) -> str:
    """Of who reads the page."""
    identity = request.scope.get("user")
    return identity.name if identity and REFRESH not in request.headers else ""


def _link(base: str, then: Then | None, path: str) -> str:
    """To a page, of the same moment as this one."""
    if then is None:
        return base + path
    return f"{base}{path}{'&' if '?' in path else '?'}{urlencode({AS_OF: then.asked})}"


def _then(request: Asked, then: Then | None, voice: Voice) -> Shown | None:
    if then is None:
        return None
    return moment.shown(then, _path(request), _query(request), _beat(request).position, voice)


def _scrubber(request: Asked, then: Then | None, voice: Voice) -> Chooser:
    beat = _beat(request)
    return moment.chooser(then, _path(request), _query(request), beat.first, beat.position, voice)


def _path(request: Asked) -> str:
    return base_of(request) + str(request.scope["path"])


def _query(request: Asked) -> list[tuple[str, str]]:
    return [(name, value) for name, value in request.query_params.multi_items() if name != "lang"]


def stranger(request: Asked) -> Voice:
    """How to speak to somebody of whom nothing is known."""
    return Voice(language=language_of(request), zone=ZONE, now=request.app.state.log.clock.now())


def language_of(request: Asked) -> Language:
    """The one that this person chose, else what the browser prefers. Never what a link says: see `chosen`."""
    return choose(None, request.cookies.get(LANGUAGE_COOKIE), request.headers.get("accept-language", ""))


def chosen(request: Asked, code: Code) -> Redirect:
    """The same page without `?lang=`, and a cookie that remembers it if the person clicked on one of our own pages."""
    asked = _query(request)
    path = _path(request) + (f"?{urlencode(asked)}" if asked else "")
    ours = request.headers.get("sec-fetch-site", "none") == "same-origin"
    cookies = [_remember(code, base_of(request))] if ours else []
    return Redirect(path, status_code=303, cookies=cookies)


def choose_language(request: Asked) -> Redirect | None:
    """Before every page: `?lang=` is a choice, answered with the page without it."""
    asked = known(request.query_params.get("lang")) if request.method == "GET" else None
    return chosen(request, asked) if asked else None


def before_page(request: Asked) -> Redirect | None:
    """What answers before a page is made: a choice of language."""
    request.state.position = request.app.state.changes.position
    return choose_language(request)


def to(request: Asked, path: str) -> Redirect:
    """After something was done: the page that shows it."""
    return Redirect(base_of(request) + path, status_code=303)


def base_of(request: Asked) -> str:
    """The path below which a proxy shows us; "" for none."""
    return str(request.scope.get("root_path") or "")


def _is_admin(request: Asked) -> bool:
    identity = request.scope.get("user")
    return identity is not None and bool(identity.may("admin"))


def _beat(request: Asked) -> Beat:
    """The pulse is taken once a second; where the history stood when the page was asked for is known better."""
    beat: Beat = request.app.state.pulse.beat
    told = getattr(request.state, "position", 0)
    return structs.replace(beat, position=told) if told > beat.position else beat


def _remember(code: str, base: str) -> Cookie:
    path = f"{base}/admin"
    return Cookie(key=LANGUAGE_COOKIE, value=code, path=path, max_age=_YEAR_S, httponly=True, samesite="lax")


def _in_language(request: Asked, code: str) -> str:
    """The address that chooses another language for this page."""
    return f"{_path(request)}?{urlencode([*_query(request), ('lang', code)])}"


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
    environment.globals["with_query"] = with_query
    return environment


def with_query(path: str, query: Mapping[str, Any]) -> str:
    """The path with what is not empty of the query."""
    asked = urlencode({name: value for name, value in query.items() if value not in ("", None)}, doseq=True)
    return f"{path}?{asked}" if asked else path


def asset(name: str) -> str:
    """Where a static file stands."""
    return f"{STATIC_PATH}/{name}"
