"""The address as dbmate gets it."""

import pytest

from services.stack.migrations import directory, for_dbmate


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://u:p@h:1/d", "postgresql://u:p@h:1/d?sslmode=prefer"),
        ("postgresql://u:p@h/d?sslmode=require", "postgresql://u:p@h/d?sslmode=require"),
        ("postgres://h/d?application_name=x", "postgres://h/d?application_name=x&sslmode=prefer"),
    ],
)
def test_encryption_is_used_where_there_is_some_unless_said_otherwise(url: str, expected: str) -> None:
    assert for_dbmate(url) == expected


def test_the_migrations_are_found() -> None:
    assert [path.name for path in directory().glob("*_history.sql")]
