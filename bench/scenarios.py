"""What is measured, in the order of the tables."""

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from bench.registries import NAMES, Name
from bench.sizes import Size

Login: TypeAlias = Literal["none", "basic", "bearer"]
Unit: TypeAlias = Literal["request", "blob", "manifest", "GiB"]

PUSHERS_OF_BLOBS: Final = 32
PUSHERS_OF_TAGS: Final = 8


@dataclass(frozen=True, slots=True)
class Scenario:
    """One load on each of ``registries``."""

    key: str
    load: str
    unit: Unit
    amount: float
    login: Login = "none"
    method: str = "GET"
    connections: int = 1
    registries: tuple[Name, ...] = NAMES


def scenarios(size: Size) -> list[Scenario]:
    """All of them; a blob is pushed before it is pulled."""
    listed = [
        Scenario(
            f"manifest-{method.lower()}-{login}-{connections}",
            "manifest",
            "request",
            size.seconds,
            login,
            method,
            connections,
            # distribution has no token server of its own.
            ("entrepot",) if login == "bearer" else NAMES,
        )
        for login in _LOGINS
        for method in ("GET", "HEAD")
        for connections in size.connections
    ]
    blobs = PUSHERS_OF_BLOBS * size.small_blobs_per_pusher
    return [
        *listed,
        Scenario("large-push", "large-push", "GiB", size.large_blob_bytes),
        Scenario("large-pull", "large-pull", "GiB", size.large_blob_bytes),
        Scenario("small-blobs", "small-blobs", "blob", blobs, connections=PUSHERS_OF_BLOBS),
        Scenario("tags", "tags", "manifest", size.tags, connections=PUSHERS_OF_TAGS),
    ]


_LOGINS: Final[tuple[Login, ...]] = ("none", "basic", "bearer")
