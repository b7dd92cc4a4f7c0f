import json
from collections.abc import Mapping
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pydantic import ValidationError

from entrepot.settings import (
    DEFAULT_ORIGIN,
    Address,
    Anonymous,
    Loaded,
    Settings,
    SettingsError,
    check_reachable,
    json_schema,
    load_settings,
    options,
    value_of,
)

PASSWORD = "open-sesame-4711"
DATABASE = f"postgresql://user:{PASSWORD}@db/registry"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """An empty settings file."""
    path = tmp_path / "entrepot.toml"
    path.write_text("")
    return path


def problems_of(
    config: Path, text: str = "", environ: Mapping[str, str] | None = None, flags: Mapping[str, str] | None = None
) -> list[str]:
    """The lines that loading these layers fails with."""
    config.write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError) as caught:
        load_settings(flags or {}, environ or {}, config)
    lines = str(caught.value).splitlines()
    assert len(lines) == len(caught.value.problems)
    return lines


def test_defaults_alone(config: Path) -> None:
    """Without a layer every value is a default and says so."""
    loaded = load_settings({}, {}, config)
    assert loaded.settings.listen == Address("127.0.0.1", 5000)
    assert loaded.settings.uploads.lease == timedelta(hours=24)
    assert loaded.settings.manifests.bytes_at_most == 4 << 20
    assert loaded.settings.anonymous is Anonymous.NONE
    assert loaded.settings.database.sqlite_file == loaded.settings.data / "entrepot.db"
    assert set(loaded.origins) == {option.key for option in options()}
    assert set(loaded.origins.values()) == {DEFAULT_ORIGIN}


def test_flag_over_environment_over_file_over_default(config: Path) -> None:
    """Each layer wins over those below it, and each value knows its layer."""
    config.write_text(
        'listen = "127.0.0.1:1"\nanonymous = "pull"\nworkers = 2\n'
        '[uploads]\nlease = "1h"\ncheckpoint_bytes = 1048576\n',
        encoding="utf-8",
    )
    environ = {"ENTREPOT_LISTEN": "127.0.0.1:2", "ENTREPOT_UPLOADS__LEASE": "2h", "ENTREPOT_WORKERS": "3"}
    loaded = load_settings({"listen": "127.0.0.1:3"}, environ, config)
    assert loaded.settings.listen.port == 3
    assert loaded.settings.workers == 3
    assert loaded.settings.uploads.lease == timedelta(hours=2)
    assert loaded.settings.uploads.checkpoint_bytes == 1 << 20
    assert loaded.settings.anonymous is Anonymous.PULL
    expected = {
        "listen": "flag --listen",
        "workers": "environment ENTREPOT_WORKERS",
        "uploads.lease": "environment ENTREPOT_UPLOADS__LEASE",
        "uploads.checkpoint_bytes": f"file {config}",
        "anonymous": f"file {config}",
        "uploads.retry_window": "default",
    }
    assert {key: loaded.origins[key] for key in expected} == expected


@hypothesis_settings(deadline=None)  # it writes files
@given(layers=st.sets(st.sampled_from(["flag", "environment", "file"])))
def test_the_highest_layer_that_speaks_is_heard(layers: set[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    """For every choice of layers the highest one decides value and origin."""
    config = tmp_path_factory.mktemp("settings") / "entrepot.toml"
    config.write_text("workers = 11\n" if "file" in layers else "", encoding="utf-8")
    environ = {"ENTREPOT_WORKERS": "12"} if "environment" in layers else {}
    loaded = load_settings({"workers": "13"} if "flag" in layers else {}, environ, config)
    highest = next((layer for layer in ("flag", "environment", "file") if layer in layers), "default")
    assert loaded.settings.workers == {"flag": 13, "environment": 12, "file": 11, "default": 1}[highest]
    assert loaded.origins["workers"].split()[0] == highest


def test_every_option_can_be_given_by_variable_and_file(config: Path) -> None:
    """What the options show as their value is read back from either layer as the same value."""
    shown = load_settings({}, {"ENTREPOT_TRUSTED_PROXIES": "10.0.0.0/8, fd00::/8"}, config)
    environ: dict[str, str] = {}
    tables: dict[str, list[str]] = {}
    for option in options():
        value = value_of(shown.settings, option)
        if value is None:
            continue
        text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
        environ[option.environment] = text
        section, _, name = option.key.rpartition(".")
        tables.setdefault(section, []).append(f"{name} = {json.dumps(value)}")
    assert load_settings({}, environ, config).settings == shown.settings
    config.write_text(
        "\n".join(line for section, lines in tables.items() for line in [f"[{section}]" * bool(section), *lines]),
        encoding="utf-8",
    )
    assert load_settings({}, {}, config).settings == shown.settings


def test_an_empty_variable_takes_a_value_away(config: Path) -> None:
    """What the file sets can be unset for an option that may be absent."""
    config.write_text('ops_listen = "127.0.0.1:5001"\n', encoding="utf-8")
    loaded = load_settings({}, {"ENTREPOT_OPS_LISTEN": ""}, config)
    assert loaded.settings.ops_listen is None
    assert loaded.origins["ops_listen"] == "environment ENTREPOT_OPS_LISTEN"


def test_lists_and_switches_from_variables(config: Path) -> None:
    """Lists are separated by commas; switches have the usual words."""
    environ = {
        "ENTREPOT_TRUSTED_PROXIES": "10.0.0.0/8, 192.0.2.1",
        "ENTREPOT_STORAGE__ALLOW_NETWORK_FILESYSTEM": "Yes",
    }
    settings = load_settings({}, environ, config).settings
    assert settings.trusted_proxies == (ip_network("10.0.0.0/8"), ip_network("192.0.2.1/32"))
    assert settings.storage.allow_network_filesystem


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("lissten = 1", "lissten: unknown setting; did you mean listen? (file FILE)"),
        ("[uploads]\nlese = '1h'", "uploads.lese: unknown setting; did you mean uploads.lease? (file FILE)"),
        ("[nothing]\nx = 1", "nothing: unknown setting (file FILE)"),
        ("uploads = 5", "uploads: wants a table, [uploads] (file FILE)"),
        ("workers = '2'", "workers: wants a whole number, not '2' (file FILE)"),
        ("workers = true", "workers: wants a whole number, not True (file FILE)"),
        ("workers = 0", "workers: wants 1 to 128, not 0 (file FILE)"),
        ("anonymous = 'all'", "anonymous: wants one of none, pull, push, not 'all' (file FILE)"),
        (
            "[uploads]\nlease = 24",
            'uploads.lease: wants a duration such as "30s", "5m", "24h" or "7d", not 24 (file FILE)',
        ),
        ("[uploads]\nlease = '1ms'", "uploads.lease: wants 1s to 90d, not '1ms' (file FILE)"),
        (
            "[manifests]\nbytes_at_most = '4M'",
            'manifests.bytes_at_most: wants a size such as "512B", "32KiB", "64MiB" or "1TiB", not \'4M\' (file FILE)',
        ),
        ("[manifests]\nbytes_at_most = true", "not True (file FILE)"),
        (
            "[manifests]\nbytes_at_most = '1GiB'",
            "manifests.bytes_at_most: wants 64KiB to 64MiB, not '1GiB' (file FILE)",
        ),
        ("[lists]\npage = 2000", "lists.page_at_most: is less than lists.page (default)"),
        ("data = 5", "data: wants text in quotes, not 5 (file FILE)"),
        ("data = ''", "data: wants a path of printable characters without a question mark, not '' (file FILE)"),
        (
            "path_prefix = '/a/'",
            "path_prefix: wants a path such as \"/registry\", without a slash at its end, not '/a/'",
        ),
        ("path_prefix = '/../a'", "path_prefix: wants a path"),
        ("service = 'a\"b'", "service: wants a name of letters"),
        ("trusted_proxies = ['10.0.0.1/8']", "trusted_proxies: wants networks such as"),
        ("ops_listen = '0.0.0.0:5000'", "ops_listen: has the same port as listen, not '0.0.0.0:5000' (file FILE)"),
        ("[tls]\ncertificate = '/c'", "tls.key: tls.certificate and tls.key are given both or neither (default)"),
        ("[tls]\nkey = '/k'", "tls.key: tls.certificate and tls.key are given both or neither"),
        ("= 1", "--config: is not TOML: "),
        ("database = 'mysql://u:p@h/d'", 'database: wants "sqlite:////absolute/path"'),
    ],
)
def test_a_problem_is_one_line_with_key_and_origin(config: Path, text: str, said: str) -> None:
    """Whatever is wrong in a file is said once, by key, with what is wanted and where it stands."""
    (line,) = problems_of(config, text)
    assert said.replace("FILE", str(config)) in line


def test_every_problem_is_said_at_once(config: Path) -> None:
    """Problems of all layers come together, so that nobody has to start five times."""
    environ = {"ENTREPOT_WORKERS": "many", "ENTREPOT_LISTENN": "x"}
    lines = problems_of(config, "anonymous = 'all'\ndata = 1", environ, {"listen": "nowhere"})
    assert [line.partition(":")[0] for line in lines] == ["ENTREPOT_LISTENN", "listen", "data", "anonymous", "workers"]
    assert lines[0] == "ENTREPOT_LISTENN: unknown setting; did you mean ENTREPOT_LISTEN? (environment)"
    assert lines[1].endswith("not 'nowhere' (flag --listen)")
    assert lines[-1].endswith("wants a whole number, not 'many' (environment ENTREPOT_WORKERS)")


@pytest.mark.parametrize(
    "name",
    [
        "ENTREPOT_CLIENT_TIMEOUT",
        "ENTREPOT_PORT",
        "ENTREPOT_SERVICE_HOST",
        "ENTREPOT_SERVICE_PORT_HTTP",
        "ENTREPOT_PORT_5000_TCP_ADDR",
        "ENTREPOT_POSTGRES_PORT_5432_TCP",
        "XENTREPOT_LISTEN",
    ],
)
def test_variables_of_others_are_left_alone(config: Path, name: str) -> None:
    """The client's variables, and those that Kubernetes makes for a service called entrepot, are no settings."""
    assert set(load_settings({}, {name: "tcp://10.0.0.1:5000"}, config).origins.values()) == {DEFAULT_ORIGIN}


@pytest.mark.parametrize("name", ["ENTREPOT_WORKERS_FILE", "ENTREPOT_DATA__X", "ENTREPOT_", "ENTREPOT_listen"])
def test_unknown_variables_are_refused(config: Path, name: str) -> None:
    """A mistyped variable is named instead of being ignored."""
    (line,) = problems_of(config, environ={name: "1"})
    assert line.startswith(f"{name}: unknown setting")


def test_a_secret_from_a_file(config: Path, tmp_path: Path) -> None:
    """A secret's variable with _FILE names a file that holds it, without the newline at its end."""
    secret = tmp_path / "database-url"
    secret.write_text(DATABASE + "\n")
    loaded = load_settings({}, {"ENTREPOT_DATABASE_FILE": str(secret)}, config)
    assert loaded.settings.database.reveal() == DATABASE
    assert loaded.origins["database"] == "environment ENTREPOT_DATABASE_FILE"


def test_a_secret_given_twice_is_refused(config: Path, tmp_path: Path) -> None:
    """A variable and its file variant together are a mistake, and so is a file that is not there."""
    missing = str(tmp_path / "missing")
    environ = {"ENTREPOT_DATABASE": DATABASE, "ENTREPOT_DATABASE_FILE": missing}
    assert problems_of(config, environ=environ) == [
        "database: ENTREPOT_DATABASE is set as well (environment ENTREPOT_DATABASE_FILE)"
    ]
    assert problems_of(config, environ={"ENTREPOT_DATABASE_FILE": missing}) == [
        f"database: cannot read {missing}: No such file or directory (environment ENTREPOT_DATABASE_FILE)"
    ]


@pytest.mark.parametrize("database", [f"mysql://u:{PASSWORD}@h/d", f"postgresql://u:{PASSWORD}@x@h/d", PASSWORD])
def test_a_refused_secret_is_not_repeated(config: Path, database: str) -> None:
    """An error about a secret names the key and keeps the value to itself, in every layer."""
    for layers in (
        {"text": f"database = '{database}'"},
        {"environ": {"ENTREPOT_DATABASE": database}},
        {"flags": {"database": database}},
    ):
        (line,) = problems_of(config, **layers)
        assert line.startswith("database: ")
        assert PASSWORD not in line
    with pytest.raises(ValidationError) as caught:
        Settings.model_validate({"database": database})
    assert PASSWORD not in str(caught.value)


def test_settings_do_not_show_secrets() -> None:
    """No representation, dump or shown value has the database's password."""
    settings = Settings.model_validate({"database": DATABASE})
    assert settings.database.reveal() == DATABASE
    texts = [repr(settings), str(settings), settings.model_dump_json(), str(settings.model_dump())]
    texts += [str(value_of(settings, option)) for option in options()]
    assert not [text for text in texts if PASSWORD in text]


def test_settings_are_immutable() -> None:
    """Nobody changes settings while a server runs with them."""
    settings = Settings()
    with pytest.raises(ValidationError, match="frozen"):
        settings.workers = 2
    with pytest.raises(ValidationError, match="frozen"):
        settings.uploads.lease = timedelta()


def test_the_data_directory_of_a_user_follows_xdg(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For root data lies below /var/lib, for others in their data directory."""
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert load_settings({}, {"XDG_DATA_HOME": "/x"}, config).settings.data == Path("/var/lib/entrepot")
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setenv("HOME", "/people/somebody")
    assert load_settings({}, {"XDG_DATA_HOME": "/x"}, config).settings.data == Path("/x/entrepot")
    for environ in ({}, {"XDG_DATA_HOME": "relative"}):
        assert load_settings({}, environ, config).settings.data == Path("/people/somebody/.local/share/entrepot")


def test_paths_begin_at_home_or_the_working_directory(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tilde and a relative path are resolved once, when settings are read."""
    monkeypatch.setenv("HOME", "/people/somebody")
    monkeypatch.chdir(tmp_path)
    assert load_settings({"data": "~/registry"}, {}, config).settings.data == Path("/people/somebody/registry")
    assert load_settings({"data": "."}, {}, config).settings.data == tmp_path
    with pytest.raises(SettingsError, match="data: wants a path"):
        load_settings({"data": "~no-such-user-here/x"}, {}, config)


def test_a_settings_file_that_is_asked_for_has_to_be_there(tmp_path: Path) -> None:
    """A missing or unreadable file is named."""
    for path, reason in ((tmp_path / "missing", "No such file or directory"), (tmp_path, "Is a directory")):
        with pytest.raises(SettingsError) as caught:
            load_settings({}, {}, path)
        assert str(caught.value) == f"--config: cannot read {path}: {reason} (file {path})"


def test_a_settings_file_that_is_no_text(tmp_path: Path) -> None:
    """Bytes that are no UTF-8, and a file without end, are refused."""
    path = tmp_path / "entrepot.toml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match="not a text file in UTF-8"):
        load_settings({}, {}, path)
    with pytest.raises(SettingsError, match="larger than 1 MiB"):
        load_settings({}, {}, Path("/dev/zero"))


def reachable(flags: Mapping[str, str], config: Path) -> Loaded:
    """Load and check settings."""
    loaded = load_settings(flags, {}, config)
    check_reachable(loaded)
    return loaded


def test_directories_may_be_missing_and_are_not_made(config: Path, tmp_path: Path) -> None:
    """Checking looks at what is there and leaves it as it is."""
    reachable({"data": str(tmp_path / "a" / "b")}, config)
    assert [path.name for path in tmp_path.iterdir()] == [config.name]


def test_directories_that_cannot_be(config: Path, tmp_path: Path) -> None:
    """A file in the way of a directory is named, for data and database alike."""
    with pytest.raises(SettingsError) as caught:
        reachable({"data": f"{config}/data", "database": f"sqlite:///{config}/x/entrepot.db"}, config)
    assert str(caught.value).splitlines() == [
        f"data: cannot use {config}/data: {config} is not a directory (flag --data)",
        f"database: cannot use {config}/x: {config} is not a directory (flag --database)",
    ]
    with pytest.raises(SettingsError, match=r"data: cannot use .*File name too long"):
        reachable({"data": str(tmp_path / ("x" * 300))}, config)


def test_files_that_cannot_be_read(config: Path, tmp_path: Path) -> None:
    """Each file that settings name has to be readable."""
    missing = str(tmp_path / "missing")
    flags = {
        "data": str(tmp_path),
        "tls.certificate": missing,
        "tls.key": str(tmp_path),
        "admin.password_file": missing,
    }
    with pytest.raises(SettingsError) as caught:
        reachable(flags, config)
    assert str(caught.value).splitlines() == [
        f"admin.password_file: cannot read {missing}: No such file or directory (flag --admin-password-file)",
        f"tls.certificate: cannot read {missing}: No such file or directory (flag --tls-certificate)",
        f"tls.key: cannot read {tmp_path}: Is a directory (flag --tls-key)",
    ]


def test_the_schema_has_every_option_with_its_sentence() -> None:
    """The JSON Schema allows what a file may have, describes it, and forbids the rest."""
    schema = json_schema()
    assert schema["additionalProperties"] is False
    assert "required" not in schema
    for option in options():
        section, _, name = option.key.rpartition(".")
        holder = schema
        if section:
            holder = schema["$defs"][schema["properties"][section]["$ref"].rpartition("/")[2]]
        assert holder["additionalProperties"] is False
        assert holder["properties"][name]["description"] == option.description


def test_secrets_can_lie_in_files_of_their_own(config: Path, tmp_path: Path) -> None:
    """A settings file names a secret's file with ``_file`` at the key's end; both at once are refused, as is none."""
    secret = tmp_path / "secret"
    secret.write_text(f"{PASSWORD}\n", encoding="utf-8")
    oidc = '[oidc]\nissuer = "https://login.example.com"\nclient_id = "entrepot"\n'
    config.write_text(f'{oidc}client_secret_file = "{secret}"\n', encoding="utf-8")
    loaded = load_settings({}, {}, config)
    assert loaded.settings.oidc.client_secret is not None
    assert loaded.settings.oidc.client_secret.get_secret_value() == PASSWORD
    assert PASSWORD not in repr(loaded.settings)
    assert [value_of(loaded.settings, option) for option in options() if option.key == "oidc.client_secret"] == [
        "*" * 10
    ]
    assert problems_of(config, f'{oidc}client_secret = "x"\nclient_secret_file = "{secret}"\n') == [
        f"oidc.client_secret_file: oidc.client_secret is set as well (file {config})"
    ]
    assert "cannot read" in problems_of(config, f'{oidc}client_secret_file = "/nowhere/at/all"\n')[0]
    assert "wants text" in problems_of(config, f"{oidc}client_secret_file = 7\n")[0]


def test_lists_of_tables(config: Path) -> None:
    """Tables come from the file, or as JSON from a variable; what is wrong names the entry and what in it."""
    entries = [{"issuer": "https://token.example.com", "audience": "entrepot"}]
    config.write_text(
        '[[workload.issuers]]\nissuer = "https://token.example.com"\naudience = "entrepot"\n', encoding="utf-8"
    )
    from_file = load_settings({}, {}, config).settings.workload
    config.write_text("", encoding="utf-8")
    given = load_settings({}, {"ENTREPOT_WORKLOAD__ISSUERS": json.dumps(entries)}, config).settings
    assert given.workload == from_file
    assert [value_of(given, option) for option in options() if option.key == "workload.issuers"] == [entries]
    for wrong, words in (
        ([*entries, {"issuer": "https://a.example.com"}], "entry 2, 'audience': is missing"),
        ([{**entries[0], "audience": 7}], "entry 1, 'audience': wants text in quotes"),
        ([{**entries[0], "issuer": "http://token.example.com"}], "entry 1, 'issuer': wants https"),
        ([{**entries[0], "other": "x"}], "entry 1, 'other': unknown setting"),
        (entries * 2, "names an issuer twice"),
        (["x"], "entry 1: wants a table"),
        ("x", "wants a list of tables"),
    ):
        assert words in problems_of(config, environ={"ENTREPOT_WORKLOAD__ISSUERS": json.dumps(wrong)})[0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            '[oidc]\nissuer = "https://login.example.com"',
            "oidc.client_id: oidc.issuer and oidc.client_id are given both",
        ),
        ('[oidc]\nissuer = "http://login.example.com"\nclient_id = "x"', "oidc.allow_http: has to be true"),
        ('[oidc]\nissuer = "https://login.example.com?x"\nclient_id = "x"', "oidc.issuer: wants"),
        ('[oidc]\nscopes = ["profile"]', "oidc.scopes: wants openid"),
        ('[ldap]\nurl = "ldaps://ldap.example.com"', "ldap.base_dn: ldap.url and ldap.base_dn are given both"),
        ('[ldap]\nurl = "https://ldap.example.com"\nbase_dn = "dc=x"', "ldap.url: wants"),
        ('[ldap]\nbind_dn = "cn=x"', "ldap.bind_password: ldap.bind_dn and ldap.bind_password are given both"),
        ('[ldap]\nuser_filter = "(uid=alice)"', "ldap.user_filter: wants a filter with {username}"),
        ('[ldap]\ngroup_filter = "(cn=x)"', "ldap.group_filter: wants a filter with {dn}"),
    ],
)
def test_providers_that_are_half_set(config: Path, text: str, words: str) -> None:
    """What of a provider is missing, or would not protect passwords, is said before the server starts."""
    assert [words in line for line in problems_of(config, text)] == [True]
