"""The program ``docker-credential-entrepot``: keeps logins in the keyring of the desktop or the system.

docker, podman, skopeo, crane, oras and this client speak with it by docker's credential helper protocol: an action as
the argument, a JSON document or a registry's address on standard input, the answer, or what is wrong with exit code 1,
on standard output.
"""

import json
import sys
from typing import Any, Final, NoReturn

BYTES_AT_MOST: Final = 256 * 1024
SERVICE: Final = "entrepot registry login"
"""Under which the keyring has the entries; an entry's user is the registry's address."""
INDEX: Final = "addresses"
"""The entry that lists the addresses of all others, for keyrings cannot list."""
NOT_FOUND: Final = "credentials not found in native keychain"
_NO_KEYRING: Final = "no keyring here: python -m pip install 'entrepot[keyring]', and unlock the keyring of the desktop"


class _RefusedError(Exception):
    """The message goes to standard output, as the protocol wants it."""


def main() -> NoReturn:
    """Do what the first argument says."""
    action = sys.argv[1] if len(sys.argv) == 2 else ""  # ruff: ignore[magic-value-comparison]  program and action
    actions = {"store": _store, "get": _get, "erase": _erase, "list": _list, "version": _version}
    if action not in actions:
        _end(f"usage: docker-credential-entrepot <{'|'.join(actions)}>", 1)
    try:
        _end(actions[action](), 0)
    except _RefusedError as refusal:
        _end(str(refusal), 1)
    except Exception as error:  # ruff: ignore[blind-except]  every keyring has errors of its own
        _end(f"the keyring refuses: {type(error).__name__}: {' '.join(str(error).split())}", 1)


def _store() -> str:
    document = _read_json()
    try:
        address, username, secret = (document[key] for key in ("ServerURL", "Username", "Secret"))
    except (KeyError, TypeError):
        message = "ServerURL, Username and Secret are needed"
        raise _RefusedError(message) from None
    if not all(isinstance(text, str) for text in (address, username, secret)) or not address:
        message = "ServerURL, Username and Secret have to be texts"
        raise _RefusedError(message)
    keyring = _keyring()
    keyring.set_password(SERVICE, _key(address), json.dumps({"Username": username, "Secret": secret}))
    _index(keyring, {*_addresses(keyring), address})
    return ""


def _get() -> str:
    address = _read().strip()
    return json.dumps({"ServerURL": address, **_entry(_keyring(), address)})


def _erase() -> str:
    address = _read().strip()
    keyring = _keyring()
    _entry(keyring, address)
    keyring.delete_password(SERVICE, _key(address))
    _index(keyring, {*_addresses(keyring)} - {address})
    return ""


def _list() -> str:
    keyring = _keyring()
    return json.dumps({address: _entry(keyring, address)["Username"] for address in _addresses(keyring)})


def _version() -> str:
    from importlib.metadata import version  # ruff: ignore[import-outside-top-level]  slow, and seldom needed

    return f"docker-credential-entrepot {version('entrepot')}"


def _entry(keyring: Any, address: str) -> dict[str, str]:
    kept = keyring.get_password(SERVICE, _key(address))
    if kept is None:
        raise _RefusedError(NOT_FOUND)
    document: dict[str, str] = json.loads(kept)
    return document


def _addresses(keyring: Any) -> list[str]:
    kept = keyring.get_password(SERVICE, INDEX)
    return sorted(json.loads(kept)) if kept else []


def _index(keyring: Any, addresses: set[str]) -> None:
    keyring.set_password(SERVICE, INDEX, json.dumps(sorted(addresses)))


def _key(address: str) -> str:
    # Never the index's own.
    return f"login to {address}"


def _keyring() -> Any:
    """The keyring; raises _RefusedError where there is none but a file that anybody can read."""
    try:
        import keyring  # ruff: ignore[import-outside-top-level]  an extra
    except ModuleNotFoundError:
        raise _RefusedError(_NO_KEYRING) from None
    found = keyring.get_keyring()
    if found.priority < 1:
        raise _RefusedError(_NO_KEYRING)
    return found


def _read_json() -> Any:
    try:
        return json.loads(_read())
    except (ValueError, RecursionError):
        message = "standard input is no JSON"
        raise _RefusedError(message) from None


def _read() -> str:
    content = sys.stdin.buffer.read(BYTES_AT_MOST + 1)
    if len(content) > BYTES_AT_MOST:
        message = "standard input is too long"
        raise _RefusedError(message)
    return content.decode("utf-8", "replace")


def _end(text: str, code: int) -> NoReturn:
    if text:
        sys.stdout.write(text + "\n")
    sys.stdout.flush()
    sys.exit(code)
