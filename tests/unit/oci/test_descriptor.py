import base64
import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrepot.oci import (
    DOCKER_FOREIGN_LAYER_GZIP,
    OCI_ARTIFACT_MANIFEST,
    OCI_EMPTY,
    OCI_IMAGE_CONFIG,
    OCI_IMAGE_INDEX,
    OCI_IMAGE_LAYER_GZIP,
    OCI_IMAGE_MANIFEST,
    OCI_NONDISTRIBUTABLE_LAYER,
    Algorithm,
    Descriptor,
    Digest,
    ManifestFault,
    ManifestInvalid,
    Platform,
)

DIGEST = "sha256:" + "a" * 64
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
OPTIONAL_TEXTS = st.one_of(st.none(), TEXTS)
DESCRIPTORS = st.builds(
    Descriptor,
    media_type=st.sampled_from([OCI_IMAGE_MANIFEST, OCI_IMAGE_LAYER_GZIP, "Text/X-Mixed.Case+Json"]),
    digest=st.builds(Digest.of, st.binary(max_size=8), st.sampled_from(Algorithm)),
    size=st.integers(0, 2**63 - 1),
    urls=st.lists(st.sampled_from(["https://example.com/a", "urn:x"]), max_size=2).map(tuple),
    annotations=st.dictionaries(TEXTS, TEXTS, max_size=3),
    artifact_type=st.sampled_from([None, "application/vnd.example"]),
    platform=st.one_of(
        st.none(),
        st.builds(
            Platform,
            OPTIONAL_TEXTS,
            OPTIONAL_TEXTS,
            OPTIONAL_TEXTS,
            st.lists(TEXTS, max_size=2).map(tuple),
            OPTIONAL_TEXTS,
        ),
    ),
)


def document(**properties: object) -> dict[str, object]:
    """A decoded descriptor with some properties set otherwise."""
    return {"mediaType": OCI_IMAGE_LAYER_GZIP, "digest": DIGEST, "size": 5, **properties}


@given(DESCRIPTORS)
def test_a_descriptor_is_written_as_it_was_read(descriptor: Descriptor) -> None:
    """Encoding and reading are inverse, through JSON text."""
    assert Descriptor.from_json(json.loads(json.dumps(descriptor.to_json()))) == descriptor


@given(st.binary(max_size=300), st.sampled_from(Algorithm))
def test_embedded_content_is_kept_when_it_is_the_content(content: bytes, algorithm: Algorithm) -> None:
    """``data`` that has the digest and size is decoded, and written back."""
    descriptor = Descriptor.from_json(
        document(digest=str(Digest.of(content, algorithm)), size=len(content), data=base64.b64encode(content).decode())
    )

    assert descriptor.data == content
    assert Descriptor.from_json(descriptor.to_json()) == descriptor


@given(st.binary(min_size=1, max_size=300), st.integers(0))
def test_embedded_content_that_differs_is_refused(content: bytes, position: int) -> None:
    """One flipped bit in ``data`` is noticed."""
    forged = bytearray(content)
    forged[position % len(content)] ^= 1
    data = base64.b64encode(forged).decode()

    with pytest.raises(ManifestInvalid) as refused:
        Descriptor.from_json(document(digest=str(Digest.of(content)), size=len(content), data=data))

    assert refused.value.detail == {"path": "$.data", "reason": ManifestFault.DATA_MISMATCH}


def test_null_is_absent_for_optional_properties() -> None:
    """Some clients write null where others leave out."""
    absent = dict.fromkeys(["urls", "annotations", "artifactType", "platform", "data"])

    assert Descriptor.from_json(document(**absent)) == Descriptor.from_json(document())
    assert Descriptor.from_json(document(artifactType="")).artifact_type is None
    assert (
        Descriptor.from_json(document(platform=dict.fromkeys(["os", "variant", "os.features"]))).platform == Platform()
    )


def test_unknown_properties_are_ignored() -> None:
    """Extensions of the specification do not hinder reading."""
    extended = document(**{"org.example.custom": {"deep": [1.5, None]}, "reserved": True})

    assert Descriptor.from_json(extended) == Descriptor.from_json(document())


def test_a_refusal_names_the_path_from_where_the_descriptor_stands() -> None:
    """The path begins with what the caller says."""
    with pytest.raises(ManifestInvalid) as refused:
        Descriptor.from_json(document(size=-1), "$.layers[7]")

    assert refused.value.detail == {"path": "$.layers[7].size", "reason": ManifestFault.SIZE}


@given(
    st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.just(DIGEST)),
        lambda inner: st.one_of(
            st.lists(inner, max_size=3),
            st.dictionaries(
                st.one_of(st.sampled_from([*document(), "urls", "annotations", "platform", "data", "os"]), st.text()),
                inner,
                max_size=5,
            ),
        ),
    )
)
def test_any_value_is_a_descriptor_or_refused(value: object) -> None:
    """Arbitrary decoded JSON never raises anything but ManifestInvalid with path and reason."""
    try:
        descriptor = Descriptor.from_json(value)
    except ManifestInvalid as error:
        refusal: ManifestInvalid | None = error
    else:
        refusal = None
        assert Descriptor.from_json(descriptor.to_json()) == descriptor
    if refusal is not None:
        assert str(refusal.detail["path"]).startswith("$")
        assert refusal.detail["reason"] in set(ManifestFault)


@pytest.mark.parametrize(
    ("media_type", "urls", "is_manifest", "is_elsewhere"),
    [
        (OCI_IMAGE_MANIFEST, [], True, False),
        (OCI_IMAGE_INDEX.upper(), [], True, False),
        (OCI_ARTIFACT_MANIFEST, [], True, False),
        (OCI_IMAGE_CONFIG, [], False, False),
        (OCI_IMAGE_LAYER_GZIP, ["https://example.com"], False, False),
        (OCI_NONDISTRIBUTABLE_LAYER, ["https://example.com"], False, True),
        (OCI_NONDISTRIBUTABLE_LAYER, [], False, False),
        (DOCKER_FOREIGN_LAYER_GZIP.upper(), ["https://example.com"], False, True),
    ],
)
def test_kinds_are_told_by_media_type(media_type: str, urls: list[str], is_manifest: bool, is_elsewhere: bool) -> None:
    """Case does not matter, and only foreign layers with somewhere to get them from are elsewhere."""
    descriptor = Descriptor.from_json(document(mediaType=media_type, urls=urls))

    assert (descriptor.is_manifest, descriptor.is_elsewhere) == (is_manifest, is_elsewhere)


@pytest.mark.parametrize("change", [lambda d: d.to_json(), lambda d: d.annotations | {}, repr, hash])
def test_a_descriptor_does_not_change(change: Callable[[Descriptor], object]) -> None:
    """Nothing that can be done with a descriptor alters it, and its annotations cannot be written."""
    descriptor = Descriptor.from_json(document(annotations={"k": "v"}))
    before = descriptor.to_json()

    change(descriptor)

    assert descriptor.to_json() == before
    with pytest.raises(TypeError):
        descriptor.annotations["k"] = "w"  # type: ignore[index]  # that is the point


def test_embedded_content_stays_out_of_logs() -> None:
    """A descriptor's representation has no content in it."""
    content = b"planted"
    descriptor = Descriptor(OCI_EMPTY, Digest.of(content), len(content), data=content)

    assert "planted" not in repr(descriptor)
