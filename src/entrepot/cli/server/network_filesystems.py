"""Which file system a path lies on, and whether it is one over the network (proc_pid_mountinfo(5))."""

import re
from pathlib import Path
from typing import Final

MOUNTS: Final = Path("/proc/self/mountinfo")

# Their locks may not hold between hosts, nor their shared memory at all (sqlite.org, "How To Corrupt", section 2.1).
_NETWORK_TYPES: Final = frozenset(
    {
        "9p",
        "afs",
        "beegfs",
        "ceph",
        "cifs",
        "coda",
        "gfs2",
        "glusterfs",
        "gpfs",
        "lustre",
        "ncpfs",
        "nfs",
        "nfs4",
        "ocfs2",
        "orangefs",
        "pvfs2",
        "smb2",
        "smb3",
        "smbfs",
    }
)
_NETWORK_FUSE: Final = re.compile(
    r"fuse\.(?:.*(?:sshfs|ceph|gluster|s3|rclone|gcs|goofys|juicefs|davfs|moosefs|mfs|smb|nfs).*)"
)
_ESCAPE: Final = re.compile(r"\\([0-7]{3})")


def network_filesystem(path: Path, mountinfo: str) -> str | None:
    """The type of the network file system on which an absolute path lies; None for a local or unknown one.

    ``mountinfo`` is the text of /proc/self/mountinfo.
    """
    found = _filesystem(path, mountinfo)
    return found if found in _NETWORK_TYPES or _NETWORK_FUSE.fullmatch(found) else None


def mounted() -> str:
    """The mounts of this process; empty where the system does not tell."""
    try:
        return MOUNTS.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return ""


def _filesystem(path: Path, mountinfo: str) -> str:
    best, depth = "", -1
    for line in mountinfo.splitlines():
        place, separator, kind = line.partition(" - ")
        fields = place.split(" ")
        if not separator or len(fields) < 5:  # ruff: ignore[magic-value-comparison]  the mount point is the fifth field
            continue
        point = Path(_ESCAPE.sub(lambda code: chr(int(code[1], 8)), fields[4]))
        # A later mount on the same point hides the earlier one.
        if (path == point or point in path.parents) and len(point.parts) >= depth:
            best, depth = kind.split(" ")[0], len(point.parts)
    return best
