import pickle  # ruff: ignore[suspicious-pickle-import]  settings are sent to worker processes
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrepot.settings.addresses import MASK, WANTS_ENCODED, Address, DatabaseUrl, parse_public_url

PASSWORDS = st.text(alphabet=st.characters(min_codepoint=33, max_codepoint=126), min_size=4, max_size=24)


@pytest.mark.parametrize(
    ("text", "address", "is_loopback"),
    [
        ("127.0.0.1:5000", Address("127.0.0.1", 5000), True),
        ("[::1]:0", Address("::1", 0), True),
        ("localhost:80", Address("localhost", 80), True),
        ("0.0.0.0:5000", Address("0.0.0.0", 5000), False),  # ruff: ignore[hardcoded-bind-all-interfaces]  read, not bound
        ("registry.example:65535", Address("registry.example", 65535), False),
    ],
)
def test_addresses_read_back(text: str, address: Address, *, is_loopback: bool) -> None:
    """An address is written as it was read, and says whether others can reach it."""
    assert Address.parse(text) == address
    assert str(address) == text
    assert address.is_loopback is is_loopback


@pytest.mark.parametrize(
    "text",
    ["", "5000", ":5000", "host", "host:", "host:65536", "host:-1", "::1:5000", "[::g]:1", "[]:1", "a b:1", "h:٣"],
)
def test_what_is_no_address(text: str) -> None:
    """Without host, without port, out of range or with IPv6 outside brackets: refused with examples."""
    with pytest.raises(ValueError, match="wants HOST:PORT"):
        Address.parse(text)


@given(PASSWORDS)
def test_a_database_password_shows_only_when_revealed(password: str) -> None:
    """Neither text nor representation has the password, wherever in the URL it stands."""
    encoded = quote(password, safe="")
    for url in (
        f"postgresql://user:{encoded}@db:5432/registry",
        f"postgres://db/registry?user=u&p%61ssword={encoded}&x=y",
    ):
        parsed = DatabaseUrl.parse(url)
        assert parsed.has_password
        assert encoded in parsed.reveal()
        assert str(parsed).count(MASK) == 1
        assert str(parsed).replace(MASK, encoded) == parsed.reveal()
        assert repr(parsed) == f"DatabaseUrl({str(parsed)!r})"


@given(PASSWORDS)
def test_an_unencoded_password_is_masked_or_refused_unseen(password: str) -> None:
    """A password with raw characters of URLs is never shown, be the URL taken or refused."""
    try:
        parsed = DatabaseUrl.parse(f"postgresql://user:{password}@db/registry")
    except ValueError as error:
        shown = str(error)
    else:
        shown = str(parsed)
    assert shown in {f"postgresql://user:{MASK}@db/registry", WANTS_ENCODED}


def test_a_database_without_a_password_is_shown_as_it_is() -> None:
    """There is nothing to mask without a password."""
    for url in ("postgresql:///registry?host=/run/postgresql", "postgresql://user@db/registry"):
        parsed = DatabaseUrl.parse(url)
        assert str(parsed) == parsed.reveal() == url
        assert not parsed.has_password
        assert parsed.sqlite_file is None


def test_sqlite_files_are_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative path begins at the working directory."""
    monkeypatch.chdir(tmp_path)
    assert DatabaseUrl.parse("sqlite:///registry.db").sqlite_file == tmp_path / "registry.db"
    assert DatabaseUrl.parse("sqlite:////srv/registry.db").sqlite_file == Path("/srv/registry.db")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "registry.db",
        "mysql://h/d",
        "sqlite://",
        "sqlite:///",
        "sqlite:///:memory:",
        "sqlite:///a?mode=ro",
        "postgresql:x",
    ],
)
def test_what_is_no_database(text: str) -> None:
    """Other databases, memory and SQLite's URL parameters are refused."""
    with pytest.raises(ValueError, match='wants "sqlite:'):
        DatabaseUrl.parse(text)


def test_a_database_url_reaches_another_process_whole() -> None:
    """What a worker gets has the password, though no text of it shows one."""
    url = DatabaseUrl.parse("postgresql://user:opensesame@db/registry")
    assert pickle.loads(pickle.dumps(url)).reveal() == url.reveal()  # ruff: ignore[suspicious-pickle-usage]  our own bytes


@pytest.mark.parametrize(
    ("text", "origin"),
    [("https://r.example", "https://r.example"), ("http://[::1]:5000/", "http://[::1]:5000")],
)
def test_public_urls(text: str, origin: str) -> None:
    """An origin is taken, a slash at its end left out."""
    assert parse_public_url(text) == origin


@pytest.mark.parametrize(
    "text",
    [
        "",
        "r.example",
        "ftp://r",
        "https://r/x",
        "https://u@r",
        "https://r?x",
        "https://r:99999",
        "https://r:0",
        "https://",
    ],
)
def test_what_is_no_public_url(text: str) -> None:
    """Paths, users, queries and other schemes are refused."""
    with pytest.raises(ValueError, match='wants "https:'):
        parse_public_url(text)
