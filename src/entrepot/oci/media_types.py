"""Media types of the formats that a registry meets (image spec, media-types.md; Docker's schema 2)."""

import re
from typing import Final

OCI_IMAGE_MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
OCI_IMAGE_INDEX: Final = "application/vnd.oci.image.index.v1+json"
OCI_IMAGE_CONFIG: Final = "application/vnd.oci.image.config.v1+json"
OCI_IMAGE_LAYER: Final = "application/vnd.oci.image.layer.v1.tar"
OCI_IMAGE_LAYER_GZIP: Final = "application/vnd.oci.image.layer.v1.tar+gzip"
OCI_IMAGE_LAYER_ZSTD: Final = "application/vnd.oci.image.layer.v1.tar+zstd"
OCI_NONDISTRIBUTABLE_LAYER: Final = "application/vnd.oci.image.layer.nondistributable.v1.tar"
OCI_NONDISTRIBUTABLE_LAYER_GZIP: Final = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
OCI_NONDISTRIBUTABLE_LAYER_ZSTD: Final = "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd"
OCI_EMPTY: Final = "application/vnd.oci.empty.v1+json"

DOCKER_MANIFEST: Final = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_MANIFEST_LIST: Final = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG: Final = "application/vnd.docker.container.image.v1+json"
DOCKER_PLUGIN_CONFIG: Final = "application/vnd.docker.plugin.v1+json"
DOCKER_LAYER: Final = "application/vnd.docker.image.rootfs.diff.tar"
DOCKER_LAYER_GZIP: Final = "application/vnd.docker.image.rootfs.diff.tar.gzip"
DOCKER_LAYER_ZSTD: Final = "application/vnd.docker.image.rootfs.diff.tar.zstd"
DOCKER_FOREIGN_LAYER: Final = "application/vnd.docker.image.rootfs.foreign.diff.tar"
DOCKER_FOREIGN_LAYER_GZIP: Final = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"

BUILDKIT_CACHE_CONFIG: Final = "application/vnd.buildkit.cacheconfig.v0"

# Manifest types that are refused on push; clients replaced them years ago.
DOCKER_SCHEMA1_MANIFEST: Final = "application/vnd.docker.distribution.manifest.v1+json"
DOCKER_SCHEMA1_SIGNED_MANIFEST: Final = "application/vnd.docker.distribution.manifest.v1+prettyjws"
OCI_ARTIFACT_MANIFEST: Final = "application/vnd.oci.artifact.manifest.v1+json"
ORAS_ARTIFACT_MANIFEST: Final = "application/vnd.cncf.oras.artifact.manifest.v1+json"

IMAGE_MANIFEST_TYPES: Final = frozenset({OCI_IMAGE_MANIFEST, DOCKER_MANIFEST})
INDEX_TYPES: Final = frozenset({OCI_IMAGE_INDEX, DOCKER_MANIFEST_LIST})
MANIFEST_TYPES: Final = IMAGE_MANIFEST_TYPES | INDEX_TYPES
"""Every type that can be pushed to ``/v2/<name>/manifests/``."""

DOCKER_SCHEMA1_TYPES: Final = frozenset({DOCKER_SCHEMA1_MANIFEST, DOCKER_SCHEMA1_SIGNED_MANIFEST})
ARTIFACT_MANIFEST_TYPES: Final = frozenset({OCI_ARTIFACT_MANIFEST, ORAS_ARTIFACT_MANIFEST})
RETIRED_MANIFEST_TYPES: Final = DOCKER_SCHEMA1_TYPES | ARTIFACT_MANIFEST_TYPES
"""Types that are manifests, and are refused on push; an index may still name such a child."""

NONDISTRIBUTABLE_LAYER_TYPES: Final = frozenset(
    {
        OCI_NONDISTRIBUTABLE_LAYER,
        OCI_NONDISTRIBUTABLE_LAYER_GZIP,
        OCI_NONDISTRIBUTABLE_LAYER_ZSTD,
        DOCKER_FOREIGN_LAYER,
        DOCKER_FOREIGN_LAYER_GZIP,
    }
)
LAYER_TYPES: Final = NONDISTRIBUTABLE_LAYER_TYPES | {
    OCI_IMAGE_LAYER,
    OCI_IMAGE_LAYER_GZIP,
    OCI_IMAGE_LAYER_ZSTD,
    DOCKER_LAYER,
    DOCKER_LAYER_GZIP,
    DOCKER_LAYER_ZSTD,
}
CONFIG_TYPES: Final = frozenset(
    {
        OCI_IMAGE_CONFIG,
        OCI_EMPTY,
        DOCKER_CONFIG,
        DOCKER_PLUGIN_CONFIG,
        BUILDKIT_CACHE_CONFIG,
    }
)

MEDIA_TYPE_CHARACTERS_AT_MOST: Final = 255  # RFC 6838 section 4.2: type and subtype of at most 127 each, and the slash

_RESTRICTED_NAME = r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}"
_MEDIA_TYPE = re.compile(f"{_RESTRICTED_NAME}/{_RESTRICTED_NAME}")


def is_media_type(text: str) -> bool:
    """Whether ``text`` is a media type as RFC 6838 section 4.2 names them, without parameters."""
    return _MEDIA_TYPE.fullmatch(text) is not None


def parse_media_type(header: str) -> str | None:
    """Read the media type of a ``Content-Type`` field in lower case, without its parameters; None if it holds none."""
    text = header.partition(";")[0].strip(" \t")
    return text.lower() if is_media_type(text) else None
