"""The bounded memory."""

from entrepot.access.lru import Recent


def test_the_oldest_is_forgotten() -> None:
    """Beyond the bound the entry that was used longest ago goes."""
    recent: Recent[str, int] = Recent(2)
    recent.put("a", 1)
    recent.put("b", 2)
    assert recent.get("a") == 1

    recent.put("c", 3)

    assert recent.get("b") is None
    assert (recent.get("a"), recent.get("c")) == (1, 3)
    assert len(recent) == 2


def test_an_entry_can_be_replaced_and_dropped() -> None:
    """A key has one value; dropping it twice is the same as once."""
    recent: Recent[str, int] = Recent(2)
    recent.put("a", 1)
    recent.put("a", 2)
    assert recent.get("a") == 2

    recent.drop("a")
    recent.drop("a")

    assert recent.get("a") is None
    assert len(recent) == 0
