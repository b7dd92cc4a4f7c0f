"""The keys that sign tokens, kept in the database so that every process knows them."""

from entrepot.access.sealing import SealInvalid, is_sealed, seal, unseal
from entrepot.access.secret import Secret
from entrepot.access.signing_key import SigningKey
from entrepot.metadata import Database, Transaction, add_first_signing_key, list_signing_keys

_PURPOSE = "token-signing-key"


async def load_signing_keys(database: Database, key_file: bytes | None) -> list[SigningKey]:
    """Every signing key, the one to sign with first; the first start makes one.

    With ``key_file``, its bytes seal what is stored. Raises SealInvalid for the wrong key file, or none where one was
    used.
    """
    fresh = SigningKey.generate()
    sealed = _sealed(fresh, key_file)

    def unit(tx: Transaction) -> list[tuple[str, bytes]]:
        add_first_signing_key(tx, fresh.kid, sealed)
        return list_signing_keys(tx)

    stored = await database.read(list_signing_keys) or await database.write(unit)
    return [_opened(content, key_file) for _, content in stored]


def _sealed(key: SigningKey, key_file: bytes | None) -> bytes:
    content = key.to_jwk().reveal().encode()
    return content if key_file is None else seal(content, key_file, purpose=_PURPOSE)


def _opened(stored: bytes, key_file: bytes | None) -> SigningKey:
    if is_sealed(stored):
        if key_file is None:
            raise SealInvalid(reason="key-file-missing")
        stored = unseal(stored, key_file, purpose=_PURPOSE)
    return SigningKey.from_jwk(Secret(stored.decode()))
