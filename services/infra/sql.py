"""SQL lives whole in `.sql` files beside the code that runs it."""

from functools import cache
from importlib.resources import files


@cache
def load(package: str, name: str) -> str:
    """The text of an SQL file: `load("services.runner.jobs", "sql/daily_maintenance/close.sql")`.

    package: the importable package that `name`, a path with slashes, is relative to.
    Raises FileNotFoundError.
    """
    return files(package).joinpath(*name.split("/")).read_text(encoding="utf-8")
