"""SQL lives whole in `.sql` files beside the code that runs it."""

from functools import cache
from importlib.resources import files


@cache
def load(package: str, name: str) -> str:
    """The text of an SQL file: `load("services.api.history", "sql/position.sql")`.

    package: the importable package that `name`, a path with slashes, is relative to.
    Raises FileNotFoundError.
    """
    return files(package).joinpath(*name.split("/")).read_text(encoding="utf-8")
