"""Where each client looks for the authority of a registry."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

_HTTPS_PORT: Final = 443


@dataclass(frozen=True, slots=True)
class Place:
    """A client, and the commands with which it trusts the authority."""

    client: str
    steps: list[str]


def places_of(host: str, port: int, authority: Path) -> list[Place]:
    """For docker, podman and its like, containerd, the nodes of Kubernetes, and all programs of a system."""
    name = f"[{host}]" if ":" in host else host
    registry = name if port == _HTTPS_PORT else f"{name}:{port}"

    def copied(folder: str) -> list[str]:
        return [f"mkdir -p {folder}/{registry}", f"cp {authority} {folder}/{registry}/ca.crt"]

    containerd = [
        *copied("/etc/containerd/certs.d"),
        f"write to /etc/containerd/certs.d/{registry}/hosts.toml:",
        f'  server = "https://{registry}"',
        f'  [host."https://{registry}"]',
        f'    ca = "/etc/containerd/certs.d/{registry}/ca.crt"',
        'in /etc/containerd/config.toml, once, below [plugins."io.containerd.grpc.v1.cri".registry]:',
        '  config_path = "/etc/containerd/certs.d"',
    ]
    return [
        Place("docker", copied("/etc/docker/certs.d")),
        Place("podman, buildah, skopeo", copied("/etc/containers/certs.d")),
        Place("containerd", containerd),
        Place("nodes of Kubernetes", ["on every node what containerd needs; only config_path needs a restart of it"]),
        Place(
            "all programs of a system (crane, oras, helm, curl)",
            [
                f"Debian: cp {authority} /usr/local/share/ca-certificates/entrepot.crt && update-ca-certificates",
                f"Fedora, RHEL: cp {authority} /etc/pki/ca-trust/source/anchors/entrepot.crt && update-ca-trust",
                f"macOS: security add-trusted-cert -d -r trustRoot -k /Library/Keychains/System.keychain {authority}",
                f"one program of Go: SSL_CERT_FILE={authority}",
            ],
        ),
    ]
