"""The SQL of the jobs, whole in `.sql` files below `sql/`."""

from functools import cache
from importlib.resources import files


@cache
def load(name: str) -> str:
    """The text of `sql/<name>.sql`: `load("daily_maintenance/close")`. Raises FileNotFoundError."""
    return files(__package__).joinpath("sql", *f"{name}.sql".split("/")).read_text(encoding="utf-8")
