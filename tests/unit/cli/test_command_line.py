import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import click
import pytest

import entrepot
from entrepot.cli import main as run
from entrepot.cli.exit_codes import ExitCode
from entrepot.cli.failures import CommandFailed
from entrepot.cli.main import entrepot as command_line

SECONDS_AT_MOST = 30
SOURCE = Path(entrepot.__file__).parents[1]
SERVER_PACKAGES = (
    "alembic",
    "argon2",
    "bcrypt",
    "joserfc",
    "psycopg",
    "pydantic",
    "sqlalchemy",
    "starlette",
    "uvicorn",
)


def ended(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Run a command line in this process and return its exit code."""
    monkeypatch.setattr(sys, "argv", ["entrepot", *arguments])
    with pytest.raises(SystemExit) as caught:
        run()
    assert isinstance(caught.value.code, int)
    return caught.value.code


@pytest.fixture(name="breaking")
def add_breaking_command(monkeypatch: pytest.MonkeyPatch) -> list[BaseException]:
    """A command ``break`` that raises the last exception of the list."""
    failures: list[BaseException] = []

    @click.command("break")
    def break_down() -> None:
        raise failures[-1]

    monkeypatch.setitem(command_line.commands, "break", break_down)
    return failures


def test_the_exit_codes_are_the_documented_ones() -> None:
    """Scripts rely on the numbers, which are one table for server and client."""
    assert {code.name.lower(): code.value for code in ExitCode} == {
        "ok": 0,
        "other": 1,
        "usage": 2,
        "not_found": 3,
        "login": 4,
        "forbidden": 5,
        "network": 6,
        "rate_limited": 7,
        "integrity": 8,
        "policy": 9,
        "partial": 10,
    }


def test_the_version(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The command says its name and version."""
    assert ended(monkeypatch, "--version") == ExitCode.OK
    assert capsys.readouterr().out == f"entrepot {version('entrepot')}\n"


def test_the_help_lists_every_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Each command is listed with the sentence that its own help begins with."""
    assert ended(monkeypatch, "--help") == ExitCode.OK
    listed = capsys.readouterr().out
    for name in ("serve", "settings", "db"):
        assert ended(monkeypatch, name, "--help") == ExitCode.OK
        own = capsys.readouterr().out
        summary = next(line for line in listed.splitlines() if line.startswith(f"  {name} ")).split(maxsplit=1)[1]
        assert summary.rstrip(".") in own


@pytest.mark.parametrize(
    "arguments", [["serve", "--bogus"], ["bogus"], ["serve", "too", "much"], ["settings", "show", "--output", "x"]]
)
def test_wrong_use_is_exit_code_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    """An unknown command, flag or argument is named."""
    assert ended(monkeypatch, *arguments) == ExitCode.USAGE
    assert "Error: " in capsys.readouterr().err


def test_a_failure_is_lines_and_its_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], breaking: list[BaseException]
) -> None:
    """What a command gives as its reason is all that is printed."""
    breaking.append(CommandFailed("one\ntwo", ExitCode.POLICY))
    assert ended(monkeypatch, "break") == ExitCode.POLICY
    assert capsys.readouterr().err == "entrepot: one\nentrepot: two\n"


def test_an_unexpected_error_is_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], breaking: list[BaseException]
) -> None:
    """The error takes one line, and another says how to see more."""
    breaking.append(ZeroDivisionError("a reason\nof two lines"))
    assert ended(monkeypatch, "break") == ExitCode.OTHER
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "entrepot: unexpected ZeroDivisionError: a reason of two lines"
    assert len(lines) == 2
    assert "entrepot --debug" in lines[1]


def test_debug_shows_the_trace(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], breaking: list[BaseException]
) -> None:
    """Who asks for it sees where an unexpected error, or the cause of a failure, came from."""
    breaking.append(ZeroDivisionError("a reason"))
    assert ended(monkeypatch, "--debug", "break") == ExitCode.OTHER
    assert "Traceback" in capsys.readouterr().err
    breaking.append(CommandFailed("one", ExitCode.NETWORK))
    breaking[-1].__cause__ = ConnectionRefusedError("the cause")
    assert ended(monkeypatch, "--debug", "break") == ExitCode.NETWORK
    assert "ConnectionRefusedError: the cause" in capsys.readouterr().err


@pytest.mark.parametrize("failure", [KeyboardInterrupt(), click.Abort()])
def test_an_interrupted_command_says_so(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    breaking: list[BaseException],
    failure: BaseException,
) -> None:
    """Ctrl-C ends a command in one line."""
    breaking.append(failure)
    assert ended(monkeypatch, "break") == ExitCode.OTHER
    assert capsys.readouterr().err == "entrepot: stopped\n"


def python(code: str, *options: str, path: str = str(SOURCE)) -> subprocess.CompletedProcess[str]:
    """Run some code in an interpreter of its own."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("ENTREPOT_")}
    return subprocess.run(
        [sys.executable, *options, "-c", code],
        env={**environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=SECONDS_AT_MOST,
        check=False,
    )


def test_listing_commands_imports_no_server_packages() -> None:
    """The client's commands start fast, and without what only a server needs."""
    code = (
        "import sys; sys.argv = ['entrepot', '--help']\n"
        "from entrepot.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        f"print(sorted({{name.partition('.')[0] for name in sys.modules}} & {set(SERVER_PACKAGES)!r}))"
    )
    assert python(code).stdout.splitlines()[-1] == "[]"


@pytest.fixture(name="client_only")
def install_client_only(tmp_path: Path) -> str:
    """A folder of packages as ``pip install entrepot`` leaves it: this one and click."""
    (tmp_path / "entrepot").symlink_to(SOURCE / "entrepot")
    (tmp_path / "click").symlink_to(Path(click.__file__).parent)
    return str(tmp_path)


@pytest.mark.parametrize("command", ["serve", "settings", "db"])
def test_a_command_without_its_packages_says_what_to_install(client_only: str, command: str) -> None:
    """Without the server's packages a server command is one line and exit code 2, while the rest works."""
    code = f"import sys; sys.argv = ['entrepot', '{command}']; from entrepot.cli import main; main()"
    ended = python(code, "-S", path=client_only)
    assert ended.returncode == ExitCode.USAGE
    assert ended.stderr.count("\n") == 1
    assert ended.stderr.startswith(f"entrepot: {command} needs packages that are not installed (")
    assert ended.stderr.endswith("run: python -m pip install 'entrepot[server]'\n")
    listed = python(code.replace(f"'{command}'", "'--help'"), "-S", path=client_only)
    assert listed.returncode == ExitCode.OK
    assert command in listed.stdout


def test_a_reader_that_goes_away_is_no_error_message() -> None:
    """Output cut off by the next program of a pipe ends the command quietly."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("ENTREPOT_")}
    reader, writer = os.pipe()
    os.close(reader)
    try:
        ended = subprocess.run(
            [str(Path(sys.executable).with_name("entrepot")), "settings", "schema"],
            env=environ,
            stdout=writer,
            stderr=subprocess.PIPE,
            timeout=SECONDS_AT_MOST,
            check=False,
        )
    finally:
        os.close(writer)
    assert ended.stderr == b""
    assert ended.returncode == ExitCode.OTHER
