"""Choosing the image of one platform (image spec, image-index.md, "platform")."""

import json
import re
from dataclasses import dataclass
from typing import Self

from entrepot.client.errors import ContentInvalid, PlatformNotFound, ReferenceInvalid
from entrepot.oci import Descriptor, Manifest, Platform

_TEXT = re.compile(r"([a-z0-9]+)/([a-z0-9_]+)(?:/([a-z0-9_.]+))?")
_DEFAULT_VARIANTS = {"arm64": "v8", "arm": "v7"}
_SAME = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True, slots=True)
class WantedPlatform:
    """``os/architecture[/variant]``."""

    os: str
    architecture: str
    variant: str | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a platform; raises ReferenceInvalid."""
        match = _TEXT.fullmatch(text.lower())
        if match is None:
            cause = "a platform is OS/ARCHITECTURE or OS/ARCHITECTURE/VARIANT, such as linux/amd64"
            raise ReferenceInvalid(text, reason="platform", cause=cause)
        system, architecture, variant = match.groups()
        return cls(system, _SAME.get(architecture, architecture), variant)

    def fits(self, platform: Platform) -> bool:
        """Whether an image for ``platform`` is wanted; a variant that nobody names is the architecture's usual one."""
        if (platform.os, platform.architecture) != (self.os, self.architecture):
            return False
        usual = _DEFAULT_VARIANTS.get(self.architecture)
        return self.variant is None or (platform.variant or usual) == self.variant

    def __str__(self) -> str:  # type: ignore[explicit-override]  # typing.override is newer than Python 3.11
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)


def choose(index: Manifest, wanted: WantedPlatform, subject: str) -> Descriptor:
    """The first entry of an index for the platform; raises PlatformNotFound that lists those there are."""
    for entry in index.child_references():
        if entry.platform is not None and wanted.fits(entry.platform):
            return entry
    there = sorted({platform_text(entry.platform) for entry in index.child_references() if entry.platform is not None})
    raise PlatformNotFound(f"{subject} for {wanted}", evidence=[f"there are: {', '.join(there)}"], platforms=there)


def check_config(content: bytes, wanted: WantedPlatform, subject: str) -> None:
    """Refuse an image whose config names another platform; raises PlatformNotFound, ContentInvalid."""
    try:
        document = json.loads(content)
        found = Platform(document.get("architecture"), document.get("os"), variant=document.get("variant"))
    except (ValueError, AttributeError, RecursionError) as error:
        raise ContentInvalid(subject, reason="config", cause="the config is no JSON object") from error
    if not wanted.fits(found):
        there = platform_text(found)
        raise PlatformNotFound(
            f"{subject} for {wanted}", evidence=[f"there is one image, for {there}"], platforms=[there]
        )


def platform_text(platform: Platform) -> str:
    """``os/architecture[/variant]`` of what an index says."""
    parts = (platform.os or "unknown", platform.architecture or "unknown", platform.variant)
    return "/".join(part for part in parts if part)
