import os
from pathlib import Path

import pytest

from entrepot import compose
from entrepot.cli.exit_codes import ExitCode
from entrepot.cli.failures import CommandFailed
from entrepot.cli.server.banner import banner
from entrepot.cli.server.directory_lock import LOCK_NAME, DirectoryInUseError, locked
from entrepot.cli.server.network_filesystems import mounted, network_filesystem
from entrepot.cli.server.serve import explain_listen_error, listeners_of, refuse_network_filesystem, warn
from entrepot.http.listen_errors import ListenError
from entrepot.settings import Settings, load_settings

MOUNTINFO = """\
22 1 254:1 / / rw,relatime shared:1 - ext4 /dev/root rw
30 22 0:26 / /srv rw,relatime shared:5 - nfs4 server:/export rw,vers=4.2
31 30 254:2 / /srv/local rw,relatime - xfs /dev/sdb1 rw
32 22 0:27 / /mnt/with\\040space rw master:1 propagate_from:2 - cifs //server/share rw
33 22 0:28 / /media/me/remote rw - fuse.sshfs me@server: rw
34 22 0:29 / /over rw - ext4 /dev/sdc1 rw
35 34 0:30 / /over rw - 9p host rw
36 22 0:31 / /fuse rw - fuse.lxcfs lxcfs rw
broken line
"""


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/var/lib/entrepot", None),
        ("/srv", "nfs4"),
        ("/srv/entrepot/entrepot.db", "nfs4"),
        ("/srv/local/entrepot", None),
        ("/srvx", None),
        ("/mnt/with space/data", "cifs"),
        ("/media/me/remote/data", "fuse.sshfs"),
        ("/over/data", "9p"),
        ("/fuse/data", None),
    ],
)
def test_the_filesystem_of_a_path(path: str, found: str | None) -> None:
    """The innermost mount decides, the last one where several lie on one another."""
    assert network_filesystem(Path(path), MOUNTINFO) == found


def test_the_filesystem_where_nobody_tells() -> None:
    """Without a list of mounts nothing is refused."""
    assert network_filesystem(Path("/srv"), "") is None


def test_this_machine_tells_its_mounts() -> None:
    """On Linux the root is always among the mounts."""
    assert any(line.split(" ")[4] == "/" for line in mounted().splitlines())


def test_sqlite_on_a_network_filesystem_is_refused_unless_forced() -> None:
    """The refusal names the path, the kind of file system and what to do; PostgreSQL's data may lie anywhere."""
    with pytest.raises(CommandFailed) as caught:
        refuse_network_filesystem(Settings.model_validate({"data": "/srv/data"}), MOUNTINFO)
    assert caught.value.code == ExitCode.USAGE
    assert "/srv/data/entrepot.db lies on a network file system (nfs4)" in caught.value.message
    assert "storage.allow_network_filesystem" in caught.value.message
    forced = {"data": "/srv/data", "storage": {"allow_network_filesystem": True}}
    elsewhere = {"data": "/srv/data", "database": "postgresql:///registry"}
    for allowed in (forced, elsewhere):
        refuse_network_filesystem(Settings.model_validate(allowed), MOUNTINFO)


def test_a_link_to_a_network_filesystem_is_followed(tmp_path: Path) -> None:
    """What counts is where the file really lies."""
    (tmp_path / "data").symlink_to("/srv/data")
    with pytest.raises(CommandFailed, match="nfs4"):
        refuse_network_filesystem(Settings.model_validate({"data": tmp_path / "data"}), MOUNTINFO)


def test_one_server_per_directory(tmp_path: Path) -> None:
    """A second holder is refused with the first one's process, and may come when it has gone."""
    with locked(tmp_path):
        assert (tmp_path / LOCK_NAME).stat().st_mode & 0o777 == 0o600
        with pytest.raises(DirectoryInUseError) as caught, locked(tmp_path):
            pass
        assert caught.value.pid == os.getpid()
        assert str(tmp_path) in str(caught.value)
    with locked(tmp_path):
        assert (tmp_path / LOCK_NAME).read_text(encoding="utf-8") == f"{os.getpid()}\n"


def test_a_lock_file_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    """Nobody gets another file emptied by placing a link."""
    victim = tmp_path / "victim"
    victim.write_text("kept", encoding="utf-8")
    (tmp_path / LOCK_NAME).symlink_to(victim)
    with pytest.raises(OSError, match="symbolic links"), locked(tmp_path):
        pass
    assert victim.read_text(encoding="utf-8") == "kept"


def test_the_banner_has_the_lines_to_type(tmp_path: Path) -> None:
    """Address, password file and the commands of both engines, quoted for a shell."""
    password_file = tmp_path / "it's here" / "admin-password"
    text = banner(
        "http://127.0.0.1:5000", "http://127.0.0.1:5001", public_url=None, password_file=password_file, data=tmp_path
    )
    quoted = "'" + str(password_file).replace("'", "'\"'\"'") + "'"
    assert "http://127.0.0.1:5000" in text
    assert "http://127.0.0.1:5001" in text
    assert str(password_file) in text
    assert f"docker login 127.0.0.1:5000 -u admin --password-stdin < {quoted}" in text
    assert f"podman login --tls-verify=false 127.0.0.1:5000 -u admin --password-stdin < {quoted}" in text


@pytest.mark.parametrize(
    ("url", "public_url", "host", "plain"),
    [
        ("http://0.0.0.0:5000", None, "127.0.0.1:5000", True),
        ("http://[::]:5000", None, "[::1]:5000", True),
        ("https://192.0.2.1:443", None, "192.0.2.1:443", False),
        ("http://0.0.0.0:5000", "https://r.example", "r.example", False),
    ],
)
def test_the_banner_names_an_address_that_clients_can_use(
    url: str, public_url: str | None, host: str, *, plain: bool
) -> None:
    """A listener on all addresses is reached by one of them, one behind a proxy by its public name."""
    text = banner(url, None, public_url=public_url, password_file=None, data=Path("/d"))
    assert f"docker login {host} -u admin\n" in text
    assert text.endswith(f"podman login {'--tls-verify=false ' if plain else ''}{host} -u admin")
    assert "password" not in text


@pytest.mark.parametrize(
    ("listener", "free", "line"),
    [
        (
            compose.PUBLIC,
            5002,
            "--listen: in use (on macOS, AirPlay Receiver uses 5000); try --listen 127.0.0.1:5002",
        ),
        (compose.OPERATIONS, 5002, "--ops-listen: in use; try --ops-listen [::1]:5002"),
        (compose.PUBLIC, None, "--listen: in use"),
        (None, None, "in use"),
    ],
)
def test_a_taken_port_is_explained(listener: str | None, free: int | None, line: str) -> None:
    """The line names the flag, and the flag with a port that is free."""
    settings = Settings.model_validate({"ops_listen": "[::1]:5001"})
    assert explain_listen_error(ListenError("in use", listener=listener, free_port=free), settings) == line


def test_only_the_public_listener_speaks_tls() -> None:
    """The certificate is for clients; the operators' address is plain."""
    tls = {"certificate": "/c", "key": "/k"}
    public, operations = listeners_of(Settings.model_validate({"ops_listen": "127.0.0.1:5001", "tls": tls}))
    assert public.tls is not None
    assert (public.tls.certificate, public.tls.key) == (Path("/c"), Path("/k"))
    assert (public.name, public.port) == (compose.PUBLIC, 5000)
    assert (operations.name, operations.port, operations.tls) == (compose.OPERATIONS, 5001, None)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"listen": "0.0.0.0:5000"}, ["unencrypted"]),
        ({"listen": "127.0.0.1:5000"}, []),
        ({"listen": "[::1]:5000"}, []),
        ({"listen": "0.0.0.0:5000", "tls.certificate": "/c", "tls.key": "/k"}, []),
        ({"listen": "0.0.0.0:5000", "public_url": "https://r.example"}, []),
        ({"listen": "0.0.0.0:5000", "public_url": "http://r.example"}, ["unencrypted"]),
        ({"database": "postgresql://u:opensesame@h/d"}, ["ENTREPOT_DATABASE_FILE"]),
        ({"database": "postgresql://u@h/d"}, []),
    ],
)
def test_what_may_be_a_mistake_is_warned_about(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, flags: dict[str, str], said: list[str]
) -> None:
    """Listening to the world without TLS, and a password that every user of the machine can see."""
    config = tmp_path / "entrepot.toml"
    config.touch()
    warn(load_settings(flags, {}, config))
    assert len(caplog.messages) == len(said)
    assert all(part in message for part, message in zip(said, caplog.messages, strict=True))
    assert "opensesame" not in caplog.text
