"""Which image of an index is the one for a platform."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrepot.client.errors import ReferenceInvalid
from entrepot.client.platforms import WantedPlatform
from entrepot.oci import Platform

WORDS = st.from_regex(r"[a-z0-9]{1,8}", fullmatch=True)


@pytest.mark.parametrize(
    ("wanted", "there", "fits"),
    [
        ("linux/amd64", ("amd64", "linux", None), True),
        ("linux/x86_64", ("amd64", "linux", None), True),
        ("Linux/AMD64", ("amd64", "linux", None), True),
        ("linux/aarch64", ("arm64", "linux", "v8"), True),
        ("linux/arm64/v8", ("arm64", "linux", None), True),
        ("linux/arm64/v9", ("arm64", "linux", None), False),
        ("linux/arm/v6", ("arm", "linux", None), False),
        ("linux/arm/v7", ("arm", "linux", None), True),
        ("linux/amd64", ("amd64", "windows", None), False),
        ("linux/amd64", ("arm64", "linux", None), False),
    ],
)
def test_fitting(wanted: str, there: tuple[str, str, str | None], fits: bool) -> None:
    """Other words for the same, and the usual variant where nobody names one."""
    architecture, system, variant = there
    assert WantedPlatform.parse(wanted).fits(Platform(architecture, system, variant=variant)) is fits


@given(WORDS, WORDS, st.none() | WORDS)
def test_its_text_is_the_platform_again(system: str, architecture: str, variant: str | None) -> None:
    """Whatever is read can be written."""
    made = WantedPlatform.parse("/".join(part for part in (system, architecture, variant) if part))
    assert WantedPlatform.parse(str(made)) == made


@pytest.mark.parametrize("text", ["", "linux", "linux/", "/amd64", "linux/amd64/v1/x", "linux amd64", "linux/../x"])
def test_mistakes(text: str) -> None:
    """What is no platform is told with the form that one has."""
    with pytest.raises(ReferenceInvalid) as refused:
        WantedPlatform.parse(text)
    assert "OS/ARCHITECTURE" in refused.value.cause
