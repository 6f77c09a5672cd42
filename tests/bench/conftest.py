"""Fixtures of the tests of `bench`."""

from tests.fixtures.user_code import user

__all__ = ["user"]
