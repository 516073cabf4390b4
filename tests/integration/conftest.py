"""Fixtures of the jobs' tests."""

from tests.dining_fixtures import db, dining_database, dining_url

__all__ = ["db", "dining_database", "dining_url"]
