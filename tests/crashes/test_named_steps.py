"""A registry that is killed at each step of its work, and started again on the same data."""

from pathlib import Path

import pytest

from crashes.dying import die_and_recover
from crashes.site import new_site
from crashes.steps import STEPS, Step
from harness.postgresql import PostgresqlServer


def nothing() -> None:
    """Do nothing."""


class TestOnSqlite:
    """Rows and bytes in one directory."""

    @pytest.mark.parametrize("step", STEPS, ids=str)
    def test_a_kill_loses_nothing(self, step: Step, tmp_path: Path) -> None:
        """What was answered is there, what is visible is whole, and what was interrupted can be done again."""
        die_and_recover(new_site(tmp_path / "site", None), step, between=nothing)


class TestOnPostgresql:
    """Rows on a server that lives on."""

    @pytest.mark.parametrize("step", STEPS, ids=str)
    def test_a_kill_loses_nothing(self, step: Step, tmp_path: Path, postgresql: PostgresqlServer) -> None:
        """What was answered is there, what is visible is whole, and what was interrupted can be done again."""
        die_and_recover(new_site(tmp_path / "site", postgresql.fresh_database()), step, between=nothing)
