import contextlib
import os
import sqlite3
import sys
from pathlib import Path

import pytest

from entrepot.cli import main as run
from entrepot.cli.exit_codes import ExitCode
from entrepot.cli.server.directory_lock import locked

pytestmark = pytest.mark.usefixtures("without_variables")


@pytest.fixture(name="without_variables")
def forget_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variables of whoever runs the tests are not settings of these."""
    for name in [name for name in os.environ if name.startswith("ENTREPOT_")]:
        monkeypatch.delenv(name)


class Ended:
    """How `entrepot db` ended for a data directory: exit code, stdout, stderr."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str, *arguments: str
    ) -> None:
        monkeypatch.setattr(sys, "argv", ["entrepot", "db", command, *arguments])
        with pytest.raises(SystemExit) as caught:
            run()
        self.code = caught.value.code
        self.out, self.err = capsys.readouterr()


def change(database: Path, statement: str) -> None:
    """Change the rows of a database behind the program's back."""
    with contextlib.closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("PRAGMA foreign_keys=OFF")
        connection.execute(statement)


def test_from_nothing_to_a_sound_database(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """A database is made where there is none, upgraded again without change, and found in order."""
    data = tmp_path / "new" / "data"
    given = ("--data", str(data))
    assert Ended(monkeypatch, capsys, "current", *given).out == "none\n"
    assert not data.exists()
    first = Ended(monkeypatch, capsys, "upgrade", *given)
    assert first.code == ExitCode.OK
    assert data.stat().st_mode & 0o777 == 0o700
    assert (data / "entrepot.db").stat().st_mode & 0o777 == 0o600
    revision = Ended(monkeypatch, capsys, "current", *given).out.strip()
    assert first.out == f"the database is at revision {revision}\n"
    assert Ended(monkeypatch, capsys, "upgrade", *given).out == first.out
    checked = Ended(monkeypatch, capsys, "check", *given)
    assert (checked.code, checked.out, checked.err) == (ExitCode.OK, "the database is in order\n", "")


def test_commands_work_beside_a_server(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """The lock of a running server keeps no database command out."""
    with locked(tmp_path):
        for command in ("upgrade", "current", "check"):
            assert Ended(monkeypatch, capsys, command, "--data", str(tmp_path)).code == ExitCode.OK


def test_a_missing_schema_is_said_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Checking where there is no database names the command that makes one."""
    ended = Ended(monkeypatch, capsys, "check", "--database", f"sqlite:///{tmp_path}/x.db")
    assert ended.code == ExitCode.OTHER
    assert ended.err.startswith("entrepot: database: the database has no schema yet; run: entrepot db upgrade")
    assert ended.err.count("\n") == 1


@pytest.mark.parametrize("command", ["upgrade", "check"])
def test_a_newer_schema_is_refused_in_words(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, command: str
) -> None:
    """A database of a later version is left as it is, and both revisions are named."""
    assert Ended(monkeypatch, capsys, "upgrade", "--data", str(tmp_path)).code == ExitCode.OK
    change(tmp_path / "entrepot.db", "UPDATE alembic_version SET version_num = '9999'")
    ended = Ended(monkeypatch, capsys, command, "--data", str(tmp_path))
    assert ended.code == ExitCode.OTHER
    assert "newer than this program" in ended.err
    assert "9999" in ended.err
    assert ended.err.count("\n") == 1


def test_an_unsound_database_is_exit_code_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Each thing that is wrong with the rows is a line."""
    assert Ended(monkeypatch, capsys, "upgrade", "--data", str(tmp_path)).code == ExitCode.OK
    change(tmp_path / "entrepot.db", "DELETE FROM projects WHERE id = 1")
    ended = Ended(monkeypatch, capsys, "check", "--data", str(tmp_path))
    assert (ended.code, ended.out) == (ExitCode.OTHER, "")
    assert ended.err.splitlines()
    assert all(line.startswith("entrepot: database: ") for line in ended.err.splitlines())


def test_what_is_no_database_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """A file of something else is named, without a traceback."""
    database = tmp_path / "entrepot.db"
    database.write_bytes(b"no database " * 512)
    for command in ("upgrade", "current", "check"):
        ended = Ended(monkeypatch, capsys, command, "--data", str(tmp_path))
        assert ended.code == ExitCode.OTHER
        assert ended.err.startswith(f"entrepot: database: sqlite:///{database} ")
        assert ended.err.count("\n") == 1


def test_a_server_that_does_not_answer_is_exit_code_6(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """A PostgreSQL that cannot be reached is named without its password."""
    monkeypatch.setenv("ENTREPOT_DATABASE", f"postgresql://user:opensesame@/registry?host={tmp_path}")
    ended = Ended(monkeypatch, capsys, "current")
    assert ended.code == ExitCode.NETWORK
    assert ended.err.startswith(f"entrepot: database: postgresql://user:********@/registry?host={tmp_path} ")
    assert "opensesame" not in ended.err
    assert ended.err.count("\n") == 1


def test_a_directory_that_cannot_be_made_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """A file in the way is a problem of the setting, with its origin."""
    (tmp_path / "file").touch()
    ended = Ended(monkeypatch, capsys, "upgrade", "--data", f"{tmp_path}/file/data")
    assert ended.code == ExitCode.USAGE
    assert ended.err.startswith(f"entrepot: data: cannot make {tmp_path}/file/data: ")
    assert ended.err.endswith("(flag --data)\n")
