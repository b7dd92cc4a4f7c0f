import json
import os
import sys
import tomllib
from pathlib import Path

import pytest

from entrepot.cli import main as run
from entrepot.cli.exit_codes import ExitCode
from entrepot.settings import load_settings, options

PASSWORD = "open-sesame-4711"
DATABASE = f"postgresql://user:{PASSWORD}@db/registry"


pytestmark = pytest.mark.usefixtures("without_variables")


@pytest.fixture(name="without_variables")
def forget_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variables of whoever runs the tests are not settings of these."""
    for name in [name for name in os.environ if name.startswith("ENTREPOT_")]:
        monkeypatch.delenv(name)


class Ended:
    """How a command ended: exit code, stdout, stderr."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str) -> None:
        monkeypatch.setattr(sys, "argv", ["entrepot", *arguments])
        with pytest.raises(SystemExit) as caught:
            run()
        self.code = caught.value.code
        self.out, self.err = capsys.readouterr()


def test_show_says_value_and_origin(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Each option has a line with its value and the layer that it came from."""
    config = tmp_path / "entrepot.toml"
    config.write_text("workers = 3\n", encoding="utf-8")
    monkeypatch.setenv("ENTREPOT_UPLOADS__LEASE", "2h")
    ended = Ended(monkeypatch, capsys, "settings", "show", "--config", str(config), "--listen", "[::1]:5000")
    assert ended.code == ExitCode.OK
    lines = {line.split()[0]: line.split(maxsplit=2)[1:] for line in ended.out.splitlines()}
    assert set(lines) == {option.key for option in options()}
    assert lines["listen"] == ['"[::1]:5000"', "flag --listen"]
    assert lines["uploads.lease"] == ['"2h"', "environment ENTREPOT_UPLOADS__LEASE"]
    assert lines["workers"] == ["3", f"file {config}"]
    assert lines["anonymous"] == ['"none"', "default"]
    assert lines["ops_listen"] == ["-", "default"]


@pytest.mark.parametrize("output", ["table", "json", "toml"])
@pytest.mark.parametrize("layer", ["flag", "variable", "file"])
def test_show_masks_secrets(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, output: str, layer: str
) -> None:
    """The database's password is in no form of the output, wherever it was given."""
    arguments = ["settings", "show", "--output", output]
    if layer == "flag":
        arguments += ["--database", DATABASE]
    elif layer == "variable":
        monkeypatch.setenv("ENTREPOT_DATABASE", DATABASE)
    else:
        config = tmp_path / "entrepot.toml"
        config.write_text(f"database = '{DATABASE}'\n", encoding="utf-8")
        arguments += ["--config", str(config)]
    ended = Ended(monkeypatch, capsys, *arguments)
    assert ended.code == ExitCode.OK
    assert "postgresql://user:********@db/registry" in ended.out
    assert PASSWORD not in ended.out + ended.err


def test_show_as_json(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Programs get every key with value and origin."""
    shown = json.loads(Ended(monkeypatch, capsys, "settings", "show", "--output", "json", "--workers", "2").out)
    assert list(shown) == [option.key for option in options()]
    assert shown["workers"] == {"value": 2, "origin": "flag --workers"}
    assert shown["trusted_proxies"] == {"value": [], "origin": "default"}
    assert shown["http.minimum_rate"] == {"value": "1KiB", "origin": "default"}


def test_show_as_toml_is_a_settings_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """What is printed can be given back as the file, also with quotes and backslashes in a path."""
    flags = {"data": f'{tmp_path}/a"b\\c#é', "ops_listen": "127.0.0.1:5001", "anonymous": "pull"}
    monkeypatch.setenv("ENTREPOT_TRUSTED_PROXIES", "10.0.0.0/8,fd00::/8")
    typed = [part for key, value in flags.items() for part in ("--" + key.replace("_", "-"), value)]
    ended = Ended(monkeypatch, capsys, "settings", "show", "--output", "toml", *typed)
    assert tomllib.loads(ended.out)["data"] == flags["data"]
    config = tmp_path / "entrepot.toml"
    config.write_text(ended.out, encoding="utf-8")
    assert load_settings({}, {}, config).settings == load_settings(flags, dict(os.environ), None).settings


def test_a_masked_value_is_no_setting_of_the_printed_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file that would set a masked password sets none."""
    ended = Ended(monkeypatch, capsys, "settings", "show", "--output", "toml", "--database", DATABASE)
    assert "database" not in tomllib.loads(ended.out)


def test_check_is_content(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Settings with which a server could start are said to be in order, and nothing is made."""
    ended = Ended(monkeypatch, capsys, "settings", "check", "--data", str(tmp_path / "data"))
    assert (ended.code, ended.out, ended.err) == (ExitCode.OK, "the settings are in order\n", "")
    assert not list(tmp_path.iterdir())


def test_check_names_every_problem(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Each problem is a line on stderr, and the exit code is that of settings."""
    (tmp_path / "file").touch()
    arguments = ["--data", str(tmp_path / "file" / "data"), "--admin-password-file", str(tmp_path / "missing")]
    ended = Ended(monkeypatch, capsys, "settings", "check", *arguments)
    assert (ended.code, ended.out) == (ExitCode.USAGE, "")
    assert [line.split(":")[1] for line in ended.err.splitlines()] == [" data", " admin.password_file"]


def test_schema_is_json(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The schema is printed as it is, whatever the environment says."""
    monkeypatch.setenv("ENTREPOT_WORKERS", "nonsense")
    ended = Ended(monkeypatch, capsys, "settings", "schema")
    assert ended.code == ExitCode.OK
    assert json.loads(ended.out)["properties"]["workers"]["maximum"] == 128
