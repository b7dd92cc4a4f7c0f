"""Keys of objects."""

from hypothesis import given
from hypothesis import strategies as st

from entrepot.storage import new_key
from entrepot.storage.keys import checked_key, is_key, is_shard


def test_new_keys_differ_and_are_keys() -> None:
    """A thousand new keys are a thousand different ones, spread over the shards."""
    keys = {new_key() for _ in range(1000)}

    assert len(keys) == 1000
    assert all(checked_key(key) == key for key in keys)
    assert len({key.split("/")[1] for key in keys}) > 100


@given(text=st.one_of(st.text(), st.from_regex(r"objects/.{2}/.{32}", fullmatch=True)))
def test_keys_hold_nothing_but_hex(text: str) -> None:
    """Whatever passes for a key has two slashes, lower-case hex and no more."""
    expected = (
        len(text) == 43
        and text[:8] == "objects/"
        and text[10] == "/"
        and set(text[8:10] + text[11:]) <= set("0123456789abcdef")
    )

    assert is_key(text) == expected


def test_shards() -> None:
    """A shard is two lower-case hex digits."""
    assert is_shard("0f")
    assert not any(map(is_shard, ["", "0", "0F", "00f", "..", "0\n"]))
