"""The folders certs.d."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrepot.client.configuration.certificate_folders import FILES_AT_MOST, files_in, find_certificates
from entrepot.client.errors import ConfigurationInvalid


def filled(folder: Path, *names: str) -> Path:
    """A folder with empty files of these names."""
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).touch()
    return folder


def test_what_a_name_says(tmp_path: Path) -> None:
    """Files are authorities or halves of a pair by their endings, and of no concern by any other."""
    folder = filled(tmp_path / "registry.example:5000", "b.crt", "a.crt", "me.cert", "me.key", "README", "old.pem")
    found = find_certificates([tmp_path], "registry.example:5000")
    assert found is not None
    assert found.tls.authorities == (folder / "a.crt", folder / "b.crt")
    assert (found.tls.certificate, found.tls.key) == (folder / "me.cert", folder / "me.key")
    assert found.found_in == (
        f"{folder / 'a.crt'} (authority)",
        f"{folder / 'b.crt'} (authority)",
        f"{folder / 'me.cert'} (client certificate)",
    )


def test_the_first_folder_counts(tmp_path: Path) -> None:
    """Also if it is empty: later ones are not looked at."""
    filled(tmp_path / "second" / "registry.example", "ca.crt")
    folders = [tmp_path / "first", tmp_path / "second"]
    found = find_certificates(folders, "registry.example")
    assert found is not None
    assert len(found.tls.authorities) == 1
    filled(tmp_path / "first" / "registry.example")
    found = find_certificates(folders, "registry.example")
    assert found is not None
    assert found.tls.authorities == ()


@pytest.mark.parametrize("asked", ["registry.example", "registry.example:443", "other.example:5000"])
def test_the_port_is_part_of_the_name(tmp_path: Path, asked: str) -> None:
    """What is for one port is for no other, nor for none."""
    filled(tmp_path / "registry.example:5000", "ca.crt")
    assert find_certificates([tmp_path], asked) is None


@pytest.mark.parametrize(("there", "missing"), [("me.cert", "me.key"), ("me.key", "me.cert")])
def test_half_a_pair(tmp_path: Path, there: str, missing: str) -> None:
    """Is an error that names the file that is missing."""
    folder = filled(tmp_path / "registry.example", there)
    with pytest.raises(ConfigurationInvalid) as raised:
        find_certificates([tmp_path], "registry.example")
    assert raised.value.subject == str(folder / missing)
    assert raised.value.reason == "incomplete"


def test_a_folder_without_end(tmp_path: Path) -> None:
    """Is refused, and not read in part."""
    filled(tmp_path / "registry.example", *(f"{number}.crt" for number in range(FILES_AT_MOST + 1)))
    with pytest.raises(ConfigurationInvalid) as raised:
        find_certificates([tmp_path], "registry.example")
    assert raised.value.reason == "too-many"


@given(st.sets(st.from_regex(r"[a-c]\.(crt|cert|key|txt)", fullmatch=True)))
def test_pairs_are_whole_or_refused(tmp_path_factory: pytest.TempPathFactory, names: set[str]) -> None:
    """Whatever lies there, a certificate is never found without its key, and all authorities are found."""
    parent = tmp_path_factory.mktemp("certs")
    filled(parent / "host", *names)
    halves = [{name.rpartition(".")[0] for name in names if name.endswith(end)} for end in (".cert", ".key")]
    if halves[0] != halves[1]:
        with pytest.raises(ConfigurationInvalid):
            find_certificates([parent], "host")
        return
    found = find_certificates([parent], "host")
    assert found is not None
    assert {file.name for file in found.tls.authorities} == {name for name in names if name.endswith(".crt")}
    assert (found.tls.certificate is None) == (found.tls.key is None) == (not halves[0])


def test_names_by_their_end(tmp_path: Path) -> None:
    """A list is in order; what is no folder has none."""
    filled(tmp_path / "conf.d", "b.conf", "a.conf", "c.toml")
    assert files_in(tmp_path / "conf.d", ".conf") == ["a.conf", "b.conf"]
    assert files_in(tmp_path / "conf.d" / "a.conf") is None
