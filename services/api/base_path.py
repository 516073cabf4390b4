"""Behind a proxy, below a path: what is asked for at `/kronik/admin/system` is `/admin/system`, and links say both."""

from typing import Any, cast

from litestar.types import ASGIApp, Receive, Scope, Send


def below(base: str, app: ASGIApp) -> ASGIApp:
    """The app as it is seen at this path; "" is the root. A proxy may take the path off, or leave it on."""
    if not base:
        return app

    async def shifted(scope: Scope, receive: Receive, send: Send) -> None:
        parts = cast("dict[str, Any]", scope)
        if (path := parts.get("path")) is not None:  # a lifespan has none
            inside = path.removeprefix(base) or "/" if path == base or path.startswith(f"{base}/") else path
            parts.update(root_path=base, path=inside, raw_path=inside.encode())
        await app(scope, receive, send)

    return shifted
