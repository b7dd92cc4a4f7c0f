import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrepot.oci import (
    BUILDKIT_CACHE_CONFIG,
    CONFIG_TYPES,
    IMAGE_MANIFEST_TYPES,
    INDEX_TYPES,
    LAYER_TYPES,
    MANIFEST_TYPES,
    NONDISTRIBUTABLE_LAYER_TYPES,
    OCI_IMAGE_MANIFEST,
    RETIRED_MANIFEST_TYPES,
    is_media_type,
    parse_media_type,
)

FIRST = string.ascii_letters + string.digits
REST = FIRST + "!#$&-^_.+"
RESTRICTED_NAMES = st.builds(str.__add__, st.sampled_from(FIRST), st.text(REST, max_size=126))


@given(RESTRICTED_NAMES, RESTRICTED_NAMES, st.sampled_from(["", ";charset=utf-8", " ; q=1;x", "\t"]))
def test_every_media_type_is_read_without_parameters(kind: str, subtype: str, parameters: str) -> None:
    """A type of RFC 6838's grammar is read in lower case, whatever follows it."""
    assert is_media_type(f"{kind}/{subtype}")
    assert parse_media_type(f"{kind}/{subtype}{parameters}") == f"{kind}/{subtype}".lower()


@given(st.text())
def test_any_header_is_a_media_type_or_none(header: str) -> None:
    """Arbitrary text never raises, and what is read is a media type."""
    media_type = parse_media_type(header)

    assert media_type is None or (is_media_type(media_type) and len(media_type) <= 255)


@pytest.mark.parametrize(
    "header",
    [
        "",
        ";",
        "text",
        "text/",
        "/plain",
        "text/plain/x",
        "text /plain",
        "*/*",
        "text/*",
        "text/plain\n",
        "text/pla\0in",
        "text/pl\u00e4in",
        "text/\u0661",
        ".a/b",
        "a/+b",
        "a" * 128 + "/b",
        "a/" + "b" * 128,
        "text/plain, text/html",
    ],
)
def test_what_is_no_media_type_is_none(header: str) -> None:
    """Wildcards, lists, control and unicode characters and too long names are no media types."""
    assert parse_media_type(header) is None


def test_the_sets_do_not_overlap() -> None:
    """A media type is a manifest of one kind, a layer or a config."""
    sets = [IMAGE_MANIFEST_TYPES, INDEX_TYPES, RETIRED_MANIFEST_TYPES, LAYER_TYPES, CONFIG_TYPES]

    assert len(frozenset().union(*sets)) == sum(len(types) for types in sets)
    assert MANIFEST_TYPES == IMAGE_MANIFEST_TYPES | INDEX_TYPES
    assert NONDISTRIBUTABLE_LAYER_TYPES < LAYER_TYPES
    assert BUILDKIT_CACHE_CONFIG in CONFIG_TYPES


def test_every_constant_is_a_media_type() -> None:
    """The constants are in RFC 6838's grammar and in lower case, as comparisons need them."""
    for media_type in MANIFEST_TYPES | RETIRED_MANIFEST_TYPES | LAYER_TYPES | CONFIG_TYPES:
        assert parse_media_type(media_type) == media_type
    assert OCI_IMAGE_MANIFEST in MANIFEST_TYPES
