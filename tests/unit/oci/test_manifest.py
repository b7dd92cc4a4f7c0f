import copy
import json
import time
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrepot.oci import (
    BUILDKIT_CACHE_CONFIG,
    DOCKER_CONFIG,
    DOCKER_FOREIGN_LAYER_GZIP,
    DOCKER_LAYER_GZIP,
    DOCKER_MANIFEST,
    DOCKER_MANIFEST_LIST,
    DOCKER_SCHEMA1_SIGNED_MANIFEST,
    OCI_EMPTY,
    OCI_IMAGE_CONFIG,
    OCI_IMAGE_INDEX,
    OCI_IMAGE_LAYER_GZIP,
    OCI_IMAGE_MANIFEST,
    OCI_NONDISTRIBUTABLE_LAYER_GZIP,
    BlobRole,
    Digest,
    Manifest,
    ManifestFault,
    ManifestInvalid,
    parse_manifest,
    parse_timestamp,
)

Document = dict[str, object]

BYTES_AT_MOST = 4 << 20
EXAMPLE_TYPE = "application/vnd.example.conformance.v1"


def descriptor(name: str, media_type: str = OCI_IMAGE_LAYER_GZIP, size: int = 100, **more: object) -> Document:
    """A decoded descriptor of made-up content."""
    return {"mediaType": media_type, "digest": str(Digest.of(name.encode())), "size": size, **more}


def image(**properties: object) -> Document:
    """An OCI image of one layer with some properties set otherwise."""
    made: Document = {
        "schemaVersion": 2,
        "mediaType": OCI_IMAGE_MANIFEST,
        "config": descriptor("config", OCI_IMAGE_CONFIG),
        "layers": [descriptor("layer")],
    }
    return made | properties


def index(**properties: object) -> Document:
    """An OCI index of one image with some properties set otherwise."""
    made: Document = {
        "schemaVersion": 2,
        "mediaType": OCI_IMAGE_INDEX,
        "manifests": [descriptor("child", OCI_IMAGE_MANIFEST, platform={"architecture": "amd64", "os": "linux"})],
    }
    return made | properties


def without(document: Document, *keys: str) -> Document:
    """The document without some properties."""
    return {key: value for key, value in document.items() if key not in keys}


def parse(document: object, content_type: str | None = None) -> Manifest:
    """Encode a document and read it."""
    return parse_manifest(json.dumps(document).encode(), content_type)


def refusal(document: object, content_type: str | None = None) -> tuple[object, object]:
    """Path and reason for which a document is refused."""
    with pytest.raises(ManifestInvalid) as refused:
        parse(document, content_type)
    return refused.value.detail["path"], refused.value.detail["reason"]


def test_an_image() -> None:
    """An image has a config and layers, all of which the repository must have."""
    content = json.dumps(image()).encode()

    manifest = parse_manifest(content, OCI_IMAGE_MANIFEST)

    assert (manifest.media_type, manifest.is_index, manifest.size) == (OCI_IMAGE_MANIFEST, False, len(content))
    assert manifest.artifact_type == OCI_IMAGE_CONFIG
    assert [(blob.role, blob.ordinal, blob.required) for blob in manifest.blob_references()] == [
        (BlobRole.CONFIG, 0, True),
        (BlobRole.LAYER, 0, True),
    ]
    assert manifest.child_references() == ()
    assert manifest.subject is None
    assert manifest.total_size == len(content) + 200
    assert hash(manifest) == hash(parse_manifest(content, None))


def test_an_index() -> None:
    """An index has children that need not be there, and no artifact type unless it names one."""
    manifest = parse(index())

    assert (manifest.media_type, manifest.is_index, manifest.config) == (OCI_IMAGE_INDEX, True, None)
    assert manifest.artifact_type is None
    assert manifest.blob_references() == ()
    assert [child.digest for child in manifest.child_references()] == [Digest.of(b"child")]
    assert manifest.total_size == manifest.size + 100


def test_dockers_formats() -> None:
    """Docker's schema 2 manifest and list are read as their OCI counterparts are."""
    made = image(
        mediaType=DOCKER_MANIFEST,
        config=descriptor("config", DOCKER_CONFIG),
        layers=[descriptor("layer", DOCKER_LAYER_GZIP)],
    )
    manifest = parse(made, DOCKER_MANIFEST)
    listed = parse(index(mediaType=DOCKER_MANIFEST_LIST, manifests=[descriptor("x", DOCKER_MANIFEST)]))

    assert (manifest.artifact_type, len(manifest.blob_references())) == (DOCKER_CONFIG, 2)
    assert (listed.is_index, len(listed.child_references())) == (True, 1)


def test_dockers_formats_have_no_subject() -> None:
    """``subject`` and ``artifactType`` belong to OCI's formats; in Docker's they are unknown properties."""
    manifest = parse(image(mediaType=DOCKER_MANIFEST, subject=descriptor("s"), artifactType=EXAMPLE_TYPE))

    assert manifest.subject is None
    assert manifest.artifact_type == OCI_IMAGE_CONFIG


def test_an_artifact_with_a_subject() -> None:
    """The artifact type is the written one, and the subject need not be there."""
    made = image(
        artifactType=EXAMPLE_TYPE,
        config=descriptor("{}", OCI_EMPTY),
        subject=descriptor("absent", OCI_IMAGE_MANIFEST),
        annotations={"org.opencontainers.conformance": "hello"},
    )

    manifest = parse(made)

    assert manifest.artifact_type == EXAMPLE_TYPE
    assert manifest.subject is not None
    assert manifest.subject.digest == Digest.of(b"absent")
    assert manifest.annotations == {"org.opencontainers.conformance": "hello"}
    assert Digest.of(b"absent") not in {blob.descriptor.digest for blob in manifest.blob_references()}


def test_an_index_may_be_an_artifact() -> None:
    """An index keeps its own artifact type and its subject."""
    manifest = parse(index(artifactType=EXAMPLE_TYPE, subject=descriptor("s", OCI_IMAGE_INDEX)))

    assert manifest.artifact_type == EXAMPLE_TYPE
    assert manifest.subject is not None


def test_an_artifact_type_keeps_its_case() -> None:
    """Clients compare artifact types with what they wrote."""
    assert parse(image(artifactType="application/vnd.Example.SBOM")).artifact_type == "application/vnd.Example.SBOM"


@pytest.mark.parametrize(
    "key", ["layers", "manifests", "annotations", "subject", "mediaType", "artifactType", "fsLayers"]
)
def test_null_is_absent(key: str) -> None:
    """Regctl 0.11 sends ``"layers": null``; null says as much as leaving out, in an image and in an index."""
    for made in (image(), index()):
        plain = parse(without(made, key), str(made["mediaType"]))
        nulled = parse({**made, key: None}, str(made["mediaType"]))

        assert without(vars_of(nulled), "size") == without(vars_of(plain), "size")


def vars_of(manifest: Manifest) -> Document:
    """The fields of a manifest."""
    return {name: getattr(manifest, name) for name in manifest.__dataclass_fields__}


def test_foreign_layers_need_not_be_there() -> None:
    """Only a non-distributable layer that has ``urls`` may be absent; other layers are required whatever they have."""
    urls = ["https://example.com/blob"]
    made = image(
        layers=[
            descriptor("a", OCI_NONDISTRIBUTABLE_LAYER_GZIP, urls=urls),
            descriptor("b", DOCKER_FOREIGN_LAYER_GZIP, urls=urls),
            descriptor("c", OCI_NONDISTRIBUTABLE_LAYER_GZIP),
            descriptor("d", urls=urls),
            descriptor("e", EXAMPLE_TYPE),
        ]
    )

    layers = parse(made).blob_references()[1:]

    assert [layer.required for layer in layers] == [False, False, True, True, True]
    assert [layer.ordinal for layer in layers] == [0, 1, 2, 3, 4]


def test_a_cache_index_of_buildkit_names_blobs() -> None:
    """Entries of layer and cache types are blobs; an entry of an unknown type is one that need not be there."""
    made = index(
        manifests=[
            descriptor("layer"),
            descriptor("child", OCI_IMAGE_MANIFEST),
            descriptor("cache", BUILDKIT_CACHE_CONFIG),
            descriptor("unknown", EXAMPLE_TYPE),
            descriptor("old", DOCKER_SCHEMA1_SIGNED_MANIFEST),
        ]
    )

    manifest = parse(made)

    assert [(blob.role, blob.ordinal, blob.required) for blob in manifest.blob_references()] == [
        (BlobRole.ENTRY, 0, True),
        (BlobRole.ENTRY, 2, True),
        (BlobRole.ENTRY, 3, False),
    ]
    assert [child.digest for child in manifest.child_references()] == [Digest.of(b"child"), Digest.of(b"old")]


def test_embedded_data_does_not_replace_the_blob() -> None:
    """A config that embeds its content is required all the same, for clients that fetch it."""
    empty = descriptor("{}", OCI_EMPTY, size=2, data="e30=")

    config, *_ = parse(image(config=empty)).blob_references()

    assert config.descriptor.data == b"{}"
    assert config.required


def test_content_type_and_body_may_both_be_silent_in_part() -> None:
    """The header's parameters and case do not count; one of header and body is enough."""
    header = OCI_IMAGE_MANIFEST.upper() + ' ; charset="utf-8"'

    assert parse(image(), header).media_type == OCI_IMAGE_MANIFEST
    assert parse(without(image(), "mediaType"), header).media_type == OCI_IMAGE_MANIFEST
    assert parse(without(image(), "mediaType"), DOCKER_MANIFEST).media_type == DOCKER_MANIFEST
    assert parse(image(mediaType=DOCKER_MANIFEST), None).media_type == DOCKER_MANIFEST
    assert parse(image(), "").media_type == OCI_IMAGE_MANIFEST


def test_the_type_is_inferred_where_the_specification_lets_it_out() -> None:
    """Without header and ``mediaType`` the properties tell OCI's two formats apart."""
    assert parse(without(image(), "mediaType")).media_type == OCI_IMAGE_MANIFEST
    assert parse(without(index(), "mediaType")).media_type == OCI_IMAGE_INDEX
    assert refusal(without(image(manifests=[]), "mediaType")) == ("$.manifests", ManifestFault.AMBIGUOUS)
    assert refusal({"schemaVersion": 2, "layers": None}) == ("$.mediaType", ManifestFault.MEDIA_TYPE_MISSING)


@pytest.mark.parametrize(
    ("content_type", "fault"),
    [
        (OCI_IMAGE_INDEX, ManifestFault.MEDIA_TYPE_MISMATCH),
        (DOCKER_MANIFEST, ManifestFault.MEDIA_TYPE_MISMATCH),
        ("application/json", ManifestFault.MEDIA_TYPE_MISMATCH),
        ("application/vnd.example+json", ManifestFault.MEDIA_TYPE_MISMATCH),
        ("application", ManifestFault.CONTENT_TYPE),
        ("*/*", ManifestFault.CONTENT_TYPE),
        ("application/json, text/plain", ManifestFault.CONTENT_TYPE),
    ],
)
def test_header_and_body_must_agree(content_type: str, fault: ManifestFault) -> None:
    """A header that says something else than ``mediaType``, or nothing readable, is refused."""
    assert refusal(image(), content_type)[1] == fault


def test_an_unknown_manifest_type_is_refused() -> None:
    """What no client could read as a manifest of a known format is not stored as one."""
    made = without(image(), "mediaType")

    assert refusal(made, "application/vnd.example+json") == ("$.mediaType", ManifestFault.MEDIA_TYPE_UNSUPPORTED)


def test_a_digest_counts_once_in_the_total() -> None:
    """Layers that repeat are stored once, and sizes from outside cannot overflow a column."""
    twice = parse(image(layers=[descriptor("layer"), descriptor("layer")]))
    huge = parse(image(layers=[descriptor(name, size=2**63 - 1) for name in "ab"]))

    assert twice.total_size == twice.size + 200
    assert huge.total_size == 2**63 - 1


def test_unknown_properties_are_ignored() -> None:
    """Extensions may hold any JSON, fractions and numbers of any length too."""
    text = json.dumps(image())[:-1] + f', "org.example": [0.5, 1e999, -{"9" * 5000}, {{"Layers": null}}]}}'

    assert parse_manifest(text.encode(), None).annotations == {}


def test_a_large_manifest_is_taken() -> None:
    """Almost 4 MiB of annotations, as the conformance suite pushes them."""
    annotations = {f"large-annotation-{number}": "A" * 10_000 for number in range(390)}

    assert parse(image(annotations=annotations)).annotations == annotations


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-23T10:20:30Z", datetime(2026, 11, 23, 10, 20, 30, tzinfo=UTC)),
        ("2026-11-23t10:20:30z", datetime(2026, 11, 23, 10, 20, 30, tzinfo=UTC)),
        ("2026-11-23T10:20:30.123456789Z", datetime(2026, 11, 23, 10, 20, 30, 123456, UTC)),
        ("2026-11-23T10:20:30.5+02:30", datetime(2026, 11, 23, 7, 50, 30, 500000, UTC)),
        ("2026-11-23T23:20:30-01:00", datetime(2026, 11, 24, 0, 20, 30, tzinfo=UTC)),
        ("0001-01-01T00:00:00+01:00", None),
        ("9999-12-31T23:59:59-01:00", None),
        ("0000-01-01T00:00:00Z", None),
        ("2026-02-30T00:00:00Z", None),
        ("2026-11-23T24:00:00Z", None),
        ("2026-11-23T10:20:60Z", None),
        ("2026-11-23T10:20:30+25:00", None),
        ("2026-11-23T10:20:30", None),
        ("2026-11-23 10:20:30Z", None),
        ("2026-11-23", None),
        ("2026-11-23T10:20:30Z\n", None),
        ("2026-11-23T10:20:30.Z", None),
        ("2026-11-23T10:20:30." + "1" * 5000 + "Z", None),
        ("\u0662\u0660\u0662\u0666-11-23T10:20:30Z", None),
        ("yesterday", None),
        ("", None),
    ],
)
def test_when_an_image_was_built(text: str, expected: datetime | None) -> None:
    """The annotation is read as RFC 3339 into UTC; what is none is no time, and no error."""
    manifest = parse(image(annotations={"org.opencontainers.image.created": text}))

    assert manifest.created == expected
    assert parse(image()).created is None


ZONES = st.integers(-24 * 60 + 1, 24 * 60 - 1).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=ZONES))  # ruff: ignore[call-datetime-without-tzinfo]  the zone is drawn
def test_every_time_that_python_writes_is_read(moment: datetime) -> None:
    """ISO text with any offset is read back to the same instant."""
    assert parse_timestamp(moment.isoformat()) == moment


@given(st.text())
def test_any_text_is_a_time_or_none(text: str) -> None:
    """Arbitrary text never raises."""
    moment = parse_timestamp(text)

    assert moment is None or moment.tzinfo is UTC


KEYS = st.one_of(
    st.sampled_from(
        [
            *image(),
            *index(),
            *descriptor("x"),
            "subject",
            "annotations",
            "artifactType",
            "urls",
            "data",
            "platform",
            "fsLayers",
            "Layers",
        ]
    ),
    st.text(max_size=5),
)
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=10),
    st.sampled_from([2, OCI_IMAGE_MANIFEST, OCI_IMAGE_INDEX, DOCKER_MANIFEST, str(Digest.of(b"")), descriptor("x")]),
)
JSON = st.recursive(
    LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(KEYS, inner, max_size=6)),
    max_leaves=30,
)
CONTENT_TYPES = st.one_of(
    st.none(), st.text(), st.sampled_from([OCI_IMAGE_MANIFEST, OCI_IMAGE_INDEX, DOCKER_MANIFEST, DOCKER_MANIFEST_LIST])
)


def check_is_manifest_or_refused(content: bytes, content_type: str | None) -> None:
    """Read content, use all that comes of it, and accept no other error than a refusal with path and reason."""
    try:
        manifest = parse_manifest(content, content_type)
    except ManifestInvalid as error:
        detail = error.detail
    else:
        assert manifest.is_index == (manifest.config is None)
        assert {entry.descriptor for entry in manifest.blob_references()} | set(manifest.child_references()) == {
            entry for entry in (manifest.config, *manifest.layers, *manifest.manifests) if entry is not None
        }
        assert 0 <= manifest.total_size < 2**63
        assert manifest.created is None or manifest.created.tzinfo is UTC
        json.dumps(dict(manifest.annotations), ensure_ascii=False).encode()
        return
    assert str(detail["path"]).startswith("$")
    assert detail["reason"] in set(ManifestFault)
    json.dumps(detail, ensure_ascii=False).encode()


@given(JSON, CONTENT_TYPES)
def test_any_json_is_a_manifest_or_refused(document: object, content_type: str | None) -> None:
    """Arbitrary JSON, made of the specification's own words too, never raises anything but ManifestInvalid."""
    check_is_manifest_or_refused(json.dumps(document).encode(), content_type)


@given(st.binary(max_size=200), CONTENT_TYPES)
def test_any_bytes_are_a_manifest_or_refused(content: bytes, content_type: str | None) -> None:
    """Arbitrary bytes never raise anything but ManifestInvalid."""
    check_is_manifest_or_refused(content, content_type)


FULL = (
    image(
        artifactType=EXAMPLE_TYPE,
        annotations={"org.opencontainers.image.created": "2026-11-23T10:20:30Z"},
        subject=descriptor("subject", OCI_IMAGE_MANIFEST),
        layers=[descriptor("a", urls=["https://example.com"], annotations={"k": "v"}), descriptor("b")],
        config=descriptor("{}", OCI_EMPTY, size=2, data="e30="),
    ),
    index(artifactType=EXAMPLE_TYPE, annotations={"k": "v"}, subject=descriptor("subject", OCI_IMAGE_MANIFEST)),
)


def places(value: object) -> list[tuple[object, object]]:
    """Every container of a document with each of its keys or positions."""
    if isinstance(value, dict):
        return [place for key, inner in value.items() for place in [(value, key), *places(inner)]]
    if isinstance(value, list):
        return [place for position, inner in enumerate(value) for place in [(value, position), *places(inner)]]
    return []


@given(st.sampled_from(FULL), st.data())
def test_a_mutated_manifest_is_a_manifest_or_refused(valid: Document, data: st.DataObject) -> None:
    """A valid manifest with a few values replaced, removed or added is read or refused, wherever it was hit."""
    document = copy.deepcopy(valid)
    for _ in range(data.draw(st.integers(1, 3))):
        container, place = data.draw(st.sampled_from(places(document) or [(document, "schemaVersion")]))
        value = copy.deepcopy(data.draw(JSON))  # later mutations must not reach what may be drawn again
        if isinstance(container, dict):
            change = data.draw(st.sampled_from(["replace", "remove", "add"]))
            if change == "remove":
                container.pop(place, None)
            else:
                container[place if change == "replace" else data.draw(KEYS)] = value
        elif isinstance(container, list) and isinstance(place, int) and place < len(container):
            container[place] = value
    check_is_manifest_or_refused(json.dumps(document).encode(), data.draw(CONTENT_TYPES))


@given(st.sampled_from(FULL), st.data())
def test_a_manifest_with_damaged_bytes_is_a_manifest_or_refused(valid: Document, data: st.DataObject) -> None:
    """A slice of the bytes put in place of another never raises anything but ManifestInvalid."""
    content = json.dumps(valid).encode()
    start, stop = sorted(data.draw(st.tuples(*(st.integers(0, len(content)) for _ in range(2)))))
    damage = data.draw(
        st.one_of(st.binary(max_size=8), st.sampled_from([b'"', b"{", b"}", b"\\", content[start:stop] * 2]))
    )

    check_is_manifest_or_refused(content[:start] + damage + content[stop:], None)


@pytest.mark.parametrize("valid", FULL, ids=["image", "index"])
def test_a_repeated_key_is_refused_everywhere(valid: Document) -> None:
    """No object of a manifest may have a key twice, even with the same value."""
    containers = {id(container): container for container, _ in places(valid) if isinstance(container, dict)}
    for container in containers.values():
        text = json.dumps(container)
        doubled = json.dumps(valid).replace(text, f"{text[:-1]}, {text[1:]}")

        with pytest.raises(ManifestInvalid) as refused:
            parse_manifest(doubled.encode(), None)

        assert refused.value.detail["reason"] == ManifestFault.DUPLICATE_KEY


def filled(head: bytes, repeated: bytes, tail: bytes) -> bytes:
    """As many repetitions as 4 MiB hold."""
    return head + repeated * ((BYTES_AT_MOST - len(head) - len(tail)) // len(repeated)) + tail


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(filled(b"", b"[", b""), id="opening brackets"),
        pytest.param(filled(b"", b'{"a":', b""), id="nested objects"),
        pytest.param(filled(b"", b"]", b""), id="closing brackets"),
        pytest.param(filled(b'{"schemaVersion":', b"9", b"}"), id="integer"),
        pytest.param(filled(b'{"a":0.', b"9", b"}"), id="fraction"),
        pytest.param(filled(b'{"a":1e', b"9", b"}"), id="exponent"),
        pytest.param(filled(b'"', b'\\"', b""), id="unterminated string"),
        pytest.param(filled(b'{"', b"\\", b""), id="backslashes"),
        pytest.param(filled(b"", b'"', b""), id="quotes"),
        pytest.param(filled(b'{"a":[', b"0,", b"0]}"), id="small values"),
        pytest.param(filled(b'{"a":[', b"[],", b"0]}"), id="small lists"),
        pytest.param(filled(b"{", b'"a":0,', b'"b":0}'), id="small keys"),
        pytest.param(b"{" + b'"a":0,' * 240_000 + b'"b":0}', id="repeated keys"),
        pytest.param(b'{"a":[' + b"{}," * 120_000 + b"{}]}", id="small objects"),
        pytest.param(filled(b"", b" ", b""), id="spaces"),
    ],
)
def test_the_worst_documents_take_little_time(content: bytes) -> None:
    """Documents made to be slow or deep are refused in time that is linear in their length."""
    before = time.process_time()

    with pytest.raises(ManifestInvalid):
        parse_manifest(content, None)

    assert time.process_time() - before < 3
