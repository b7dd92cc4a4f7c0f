"""Forged and malformed manifests, one file for each attack in ``tests/assets/manifests``."""

import json
from pathlib import Path

import pytest

from entrepot.oci import ManifestFault, ManifestInvalid, parse_manifest

FORGED = Path(__file__).parents[2] / "assets" / "manifests"

EXPECTED = {
    "annotation-key-long": (f'$.annotations["{"k" * 160}"]', ManifestFault.TOO_LONG),
    "annotation-null": ('$.annotations["org.example.k"]', ManifestFault.WRONG_TYPE),
    "annotation-number": ("$.annotations.k", ManifestFault.WRONG_TYPE),
    "annotations-list": ("$.annotations", ManifestFault.WRONG_TYPE),
    "annotations-many": ("$.annotations", ManifestFault.TOO_MANY),
    "artifact-manifest": ("$.mediaType", ManifestFault.ARTIFACT_MANIFEST),
    "artifact-type-markup": ("$.artifactType", ManifestFault.MEDIA_TYPE),
    "artifact-type-number": ("$.artifactType", ManifestFault.WRONG_TYPE),
    "boolean-size": ("$.layers[0].size", ManifestFault.WRONG_TYPE),
    "byte-order-mark": ("$", ManifestFault.NOT_UTF8),
    "case-folded-digest": ("$.layers[0]", ManifestFault.KEY_SPELLING),
    "case-folded-layers": ("$", ManifestFault.KEY_SPELLING),
    "child-digest-bad": ("$.manifests[1].digest", ManifestFault.DIGEST_FORMAT),
    "comment": ("$", ManifestFault.NOT_JSON),
    "config-digest-bad": ("$.config.digest", ManifestFault.DIGEST_FORMAT),
    "config-list": ("$.config", ManifestFault.WRONG_TYPE),
    "config-missing": ("$.config", ManifestFault.MISSING),
    "config-null": ("$.config", ManifestFault.MISSING),
    "control-character": ("$", ManifestFault.NOT_JSON),
    "data-not-base64": ("$.config.data", ManifestFault.DATA_ENCODING),
    "data-number": ("$.config.data", ManifestFault.WRONG_TYPE),
    "data-other-content": ("$.config.data", ManifestFault.DATA_MISMATCH),
    "data-other-size": ("$.config.data", ManifestFault.DATA_MISMATCH),
    "deep-nesting-objects": ("$", ManifestFault.TOO_DEEP),
    "deep-nesting": ("$", ManifestFault.TOO_DEEP),
    "digest-missing": ("$.layers[0].digest", ManifestFault.MISSING),
    "digest-newline": ("$.layers[0].digest", ManifestFault.DIGEST_FORMAT),
    "digest-number": ("$.layers[0].digest", ManifestFault.WRONG_TYPE),
    "digest-short": ("$.layers[0].digest", ManifestFault.DIGEST_FORMAT),
    "digest-traversal": ("$.layers[0].digest", ManifestFault.DIGEST_FORMAT),
    "digest-unicode-digits": ("$.layers[0].digest", ManifestFault.DIGEST_FORMAT),
    "digest-unknown-algorithm": ("$.layers[0].digest", ManifestFault.DIGEST_ALGORITHM),
    "digest-upper-case": ("$.layers[1].digest", ManifestFault.DIGEST_FORMAT),
    "duplicate-annotation": ("$.annotations", ManifestFault.DUPLICATE_KEY),
    "duplicate-key-escaped": ("$", ManifestFault.DUPLICATE_KEY),
    "duplicate-key-in-layer": ("$.layers[0]", ManifestFault.DUPLICATE_KEY),
    "duplicate-layers": ("$", ManifestFault.DUPLICATE_KEY),
    "empty": ("$", ManifestFault.NOT_JSON),
    "fractional-size": ("$.layers[0].size", ManifestFault.WRONG_TYPE),
    "image-with-fslayers": ("$.fsLayers", ManifestFault.AMBIGUOUS),
    "image-with-manifests": ("$.manifests", ManifestFault.AMBIGUOUS),
    "index-with-config": ("$.config", ManifestFault.AMBIGUOUS),
    "index-with-layers": ("$.layers", ManifestFault.AMBIGUOUS),
    "infinity-size": ("$", ManifestFault.NOT_JSON),
    "layer-annotation-number": ("$.layers[0].annotations.k", ManifestFault.WRONG_TYPE),
    "layer-media-type-long": ("$.layers[0].mediaType", ManifestFault.TOO_LONG),
    "layer-media-type-markup": ("$.layers[0].mediaType", ManifestFault.MEDIA_TYPE),
    "layer-media-type-missing": ("$.layers[0].mediaType", ManifestFault.MISSING),
    "layer-null": ("$.layers[1]", ManifestFault.WRONG_TYPE),
    "layer-text": ("$.layers[0]", ManifestFault.WRONG_TYPE),
    "layers-object": ("$.layers", ManifestFault.WRONG_TYPE),
    "lone-surrogate-key": ('$.annotations["\\udfff"]', ManifestFault.TEXT),
    "lone-surrogate": ("$.annotations.k", ManifestFault.TEXT),
    "long-exponent": ("$.layers[0].size", ManifestFault.WRONG_TYPE),
    "long-fraction": ("$.layers[0].size", ManifestFault.WRONG_TYPE),
    "long-integer": ("$.layers[0].size", ManifestFault.SIZE),
    "long-negative-integer": ("$.layers[0].size", ManifestFault.SIZE),
    "long-s-in-key": ("$", ManifestFault.KEY_SPELLING),
    "manifests-object": ("$.manifests", ManifestFault.WRONG_TYPE),
    "media-type-differs": ("$.config", ManifestFault.AMBIGUOUS),
    "media-type-number": ("$.mediaType", ManifestFault.WRONG_TYPE),
    "media-type-with-parameters": ("$.mediaType", ManifestFault.MEDIA_TYPE),
    "nan-size": ("$", ManifestFault.NOT_JSON),
    "negative-size": ("$.layers[0].size", ManifestFault.SIZE),
    "no-type-at-all": ("$.mediaType", ManifestFault.MEDIA_TYPE_MISSING),
    "not-an-object": ("$", ManifestFault.WRONG_TYPE),
    "not-utf8": ("$", ManifestFault.NOT_UTF8),
    "nul-in-annotation": ("$.annotations.k", ManifestFault.TEXT),
    "null-size": ("$.layers[0].size", ManifestFault.MISSING),
    "oras-artifact-manifest": ("$.mediaType", ManifestFault.ARTIFACT_MANIFEST),
    "platform-features-text": ('$.manifests[0].platform["os.features"]', ManifestFault.WRONG_TYPE),
    "platform-os-number": ("$.manifests[0].platform.os", ManifestFault.WRONG_TYPE),
    "platform-text": ("$.manifests[0].platform", ManifestFault.WRONG_TYPE),
    "schema-version-3": ("$.schemaVersion", ManifestFault.SCHEMA_VERSION),
    "schema-version-fraction": ("$.schemaVersion", ManifestFault.WRONG_TYPE),
    "schema-version-missing": ("$.schemaVersion", ManifestFault.MISSING),
    "schema-version-text": ("$.schemaVersion", ManifestFault.WRONG_TYPE),
    "schema-version-true": ("$.schemaVersion", ManifestFault.WRONG_TYPE),
    "schema1-as-image": ("$.schemaVersion", ManifestFault.DOCKER_SCHEMA1),
    "schema1-without-version": ("$.schemaVersion", ManifestFault.DOCKER_SCHEMA1),
    "schema1": ("$.schemaVersion", ManifestFault.DOCKER_SCHEMA1),
    "single-quotes": ("$", ManifestFault.NOT_JSON),
    "size-beyond-int64": ("$.layers[0].size", ManifestFault.SIZE),
    "subject-digest-bad": ("$.subject.digest", ManifestFault.DIGEST_ALGORITHM),
    "subject-size-missing": ("$.subject.size", ManifestFault.MISSING),
    "subject-text": ("$.subject", ManifestFault.WRONG_TYPE),
    "text-only": ("$", ManifestFault.WRONG_TYPE),
    "text-size": ("$.layers[0].size", ManifestFault.WRONG_TYPE),
    "too-many-layers": ("$.layers", ManifestFault.TOO_MANY),
    "trailing-garbage": ("$", ManifestFault.NOT_JSON),
    "truncated": ("$", ManifestFault.NOT_JSON),
    "unbalanced-deep-nesting": ("$", ManifestFault.NOT_JSON),
    "unknown-media-type": ("$.mediaType", ManifestFault.MEDIA_TYPE_UNSUPPORTED),
    "untyped-image-and-index": ("$.manifests", ManifestFault.AMBIGUOUS),
    "url-header-injection": ("$.layers[0].urls[0]", ManifestFault.URL),
    "url-number": ("$.layers[0].urls[1]", ManifestFault.WRONG_TYPE),
    "urls-many": ("$.layers[0].urls", ManifestFault.TOO_MANY),
    "urls-text": ("$.layers[0].urls", ManifestFault.WRONG_TYPE),
    "utf16": ("$", ManifestFault.NOT_UTF8),
}


def test_every_forged_manifest_is_expected() -> None:
    """Each file has its expectation and each expectation its file."""
    assert {path.stem for path in FORGED.glob("*.json")} == EXPECTED.keys()


@pytest.mark.parametrize(("name", "path", "fault"), [(name, *expected) for name, expected in EXPECTED.items()])
def test_a_forged_manifest_is_refused_where_it_is_wrong(name: str, path: str, fault: ManifestFault) -> None:
    """The refusal names the JSON path and a stable reason."""
    content = (FORGED / f"{name}.json").read_bytes()

    with pytest.raises(ManifestInvalid) as refused:
        parse_manifest(content, None)

    assert (refused.value.detail["path"], refused.value.detail["reason"]) == (path, fault.value)


@pytest.mark.parametrize("name", EXPECTED)
def test_a_refusal_can_be_sent(name: str) -> None:
    """What is shown back of a forged manifest is short JSON in ASCII, without control characters."""
    with pytest.raises(ManifestInvalid) as refused:
        parse_manifest((FORGED / f"{name}.json").read_bytes(), None)

    shown = json.dumps(refused.value.detail)
    assert len(shown) < 1200
    assert all(text.isascii() and text.isprintable() for text in map(str, refused.value.detail.values()))


@pytest.mark.parametrize("name", ["schema1", "schema1-without-version", "schema1-as-image", "artifact-manifest"])
def test_a_retired_format_comes_with_advice(name: str) -> None:
    """The refusal of a format that clients once wrote says what to push instead."""
    with pytest.raises(ManifestInvalid) as refused:
        parse_manifest((FORGED / f"{name}.json").read_bytes(), None)

    assert "push" in str(refused.value.detail["advice"])


@pytest.mark.parametrize(
    "content_type",
    [
        "application/vnd.docker.distribution.manifest.v1+prettyjws",
        "application/vnd.docker.distribution.manifest.v1+json; charset=utf-8",
        "application/json",
    ],
)
def test_schema1_is_known_under_every_type_it_had(content_type: str) -> None:
    """Clients sent schema 1 under three types; each gets the same advice."""
    with pytest.raises(ManifestInvalid) as refused:
        parse_manifest((FORGED / "schema1.json").read_bytes(), content_type)

    assert refused.value.detail["reason"] == ManifestFault.DOCKER_SCHEMA1
