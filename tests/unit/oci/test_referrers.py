import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrepot.oci import (
    OCI_IMAGE_INDEX,
    OCI_IMAGE_MANIFEST,
    Algorithm,
    Descriptor,
    Digest,
    ReferrersTag,
    Tag,
    parse_manifest,
    referrers_page,
)

DIGESTS = st.builds(Digest.of, st.binary(max_size=8), st.sampled_from(Algorithm))
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
REFERRERS = st.builds(
    Descriptor,
    media_type=st.sampled_from([OCI_IMAGE_MANIFEST, OCI_IMAGE_INDEX]),
    digest=DIGESTS,
    size=st.integers(0, 2**63 - 1),
    annotations=st.dictionaries(TEXTS, TEXTS, max_size=3),
    artifact_type=st.sampled_from([None, "application/vnd.example.sbom.v1", "text/Spdx"]),
)


@given(st.lists(REFERRERS, max_size=5))
def test_a_page_is_an_index_of_its_referrers(referrers: list[Descriptor]) -> None:
    """The response is an image index that reads back to the same descriptors."""
    page = referrers_page(referrers, bytes_at_most=1 << 20)

    index = parse_manifest(page.content, None)
    assert index.media_type == OCI_IMAGE_INDEX
    assert list(index.manifests) == referrers
    assert (page.count, page.more) == (len(referrers), False)


@given(st.lists(REFERRERS, min_size=1, max_size=5), st.integers(0, 1500))
def test_pages_are_bounded_and_complete(referrers: list[Descriptor], bytes_at_most: int) -> None:
    """Page after page gives every referrer once, and only a referrer that is too long by itself passes the bound."""
    left, seen = referrers, list[Descriptor]()
    while left:
        page = referrers_page(iter(left), bytes_at_most)
        assert page.count >= 1
        assert page.more == (page.count < len(left))
        assert len(page.content) <= bytes_at_most or page.count == 1
        if page.more:
            assert len(referrers_page(left[: page.count + 1], 1 << 30).content) > bytes_at_most
        seen += parse_manifest(page.content, None).manifests
        left = left[page.count :]

    assert seen == referrers


def test_no_referrers_are_an_empty_index() -> None:
    """Without referrers the manifests are an empty list, not null."""
    page = referrers_page([], bytes_at_most=0)

    assert json.loads(page.content) == {"schemaVersion": 2, "mediaType": OCI_IMAGE_INDEX, "manifests": []}
    assert (page.count, page.more) == (0, False)


def test_an_absent_artifact_type_is_left_out() -> None:
    """An index without artifact type is listed without one ("MUST be omitted")."""
    referrer = Descriptor(OCI_IMAGE_INDEX, Digest.of(b""), 3)

    entry = json.loads(referrers_page([referrer], 1 << 20).content)["manifests"][0]

    assert entry == {"mediaType": OCI_IMAGE_INDEX, "digest": str(Digest.of(b"")), "size": 3}


@given(DIGESTS)
def test_a_fallback_tag_names_its_subject(subject: Digest) -> None:
    """A subject's tag is read back to it: wholly for sha256, as far as 64 characters go for sha512."""
    fallback = ReferrersTag.of(subject)

    parsed = ReferrersTag.parse(Tag.parse(str(fallback.tag)))

    assert parsed == fallback
    assert fallback.names(subject)
    assert fallback.subject == (subject if subject.algorithm is Algorithm.SHA256 else None)


@given(DIGESTS, DIGESTS)
def test_a_fallback_tag_names_no_other(one: Digest, other: Digest) -> None:
    """The tag of one subject is not that of another."""
    assert ReferrersTag.of(one).names(other) == (one == other)


@pytest.mark.parametrize(
    "text",
    [
        "latest",
        "sha256",
        "sha256-",
        "sha256-" + "a" * 63,
        "sha256-" + "a" * 65,
        "sha256-" + "A" * 64,
        "sha256-" + "a" * 64 + ".sig",
        "sha512-" + "a" * 64 + ".att",
        "sha512-" + "a" * 121,
        "md5-" + "a" * 64,
        "SHA256-" + "a" * 64,
        "sha256_" + "a" * 64,
    ],
)
def test_other_tags_are_no_fallback_tags(text: str) -> None:
    """Signature tags with a suffix, other lengths and other cases mean nothing here."""
    assert ReferrersTag.parse(Tag.parse(text)) is None
