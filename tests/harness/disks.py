"""File systems of the tests' own, in a file on a loop device, whose power can be cut."""

import contextlib
import fcntl
import os
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import Final, Literal

Kind = Literal["ext4", "xfs"]

SHUTDOWN: Final = 0x8004587D  # EXT4_IOC_SHUTDOWN and XFS_IOC_GOINGDOWN, _IOR('X', 125, __u32)
WITHOUT_FLUSHING_THE_LOG: Final = 2  # nothing reaches the disk any more, as without power
COMMAND_SECONDS: Final = 20
IMAGE_BYTES: Final = 320 * 1024 * 1024  # the least that mkfs.xfs takes, and more; the file has holes

_OPTIONS: Final = {"ext4": ("-q", "-F"), "xfs": ("-q", "-f")}
_MOUNT_OPTIONS: Final = {"ext4": (), "xfs": ("-o", "nouuid")}  # for the same reason


def cut_power(path: Path) -> None:
    """Let nothing that is not flushed reach the disk mounted at ``path``, and nothing later, until it is remounted."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.ioctl(descriptor, SHUTDOWN, struct.pack("I", WITHOUT_FLUSHING_THE_LOG))
    finally:
        os.close(descriptor)


class Disk:
    """A file system in a file, which can be cut off and mounted again."""

    def __init__(self, image: Path, path: Path, kind: Kind = "ext4") -> None:
        self._image = image
        self._kind = kind
        self.path = path

    def make(self) -> None:
        """Make the file system."""
        with self._image.open("wb") as file:
            file.truncate(IMAGE_BYTES)
        checked(f"mkfs.{self._kind}", *_OPTIONS[self._kind], self._image)
        self.path.mkdir(parents=True, exist_ok=True)

    def mount(self) -> None:
        """Mount it; the journal is replayed if need be.

        On a new loop device each time: a mount namespace that somebody made meanwhile may still hold the last one,
        whose power is gone.
        """
        device = checked("losetup", "--find", "--show", self._image).strip()
        try:
            checked("mount", *_MOUNT_OPTIONS[self._kind], device, self.path)
        finally:
            checked("losetup", "--detach", device)  # takes effect when it is unmounted

    def take_away(self) -> None:
        """Unmount it, whoever still uses it."""
        checked("umount", "--lazy", self.path)

    def cut_power(self) -> None:
        """Lose whatever is not on the disk or in its journal."""
        cut_power(self.path)

    def cut(self) -> None:
        """Cut the power, and start again."""
        self.cut_power()
        self.start_again()

    def start_again(self) -> None:
        """Mount it anew after its power was cut; nobody may have a file open on it any more."""
        checked("umount", self.path)
        self.mount()


@contextlib.contextmanager
def mounted_disk(image: Path, path: Path, kind: Kind = "ext4") -> Generator[Disk, None, None]:
    """A new disk, mounted while the block runs; raises OSError or CalledProcessError where that is not possible."""
    disk = Disk(image, path, kind)
    disk.make()
    disk.mount()
    try:
        yield disk
    finally:
        disk.take_away()


@contextlib.contextmanager
def small_disk(path: Path) -> Generator[Path, None, None]:
    """A disk of 96 MiB in memory, mounted while the block runs."""
    path.mkdir(parents=True, exist_ok=True)
    checked("mount", "-t", "tmpfs", "-o", "size=96m", "tmpfs", path)
    try:
        yield path
    finally:
        checked("umount", "--lazy", path)


@contextlib.contextmanager
def read_only(folder: Path) -> Generator[None, None, None]:
    """Nothing can be opened for writing below the folder while the block runs, whoever writes there all the time."""
    # Made read-only elsewhere first: a mount with an open file cannot be.
    aside = Path(tempfile.mkdtemp(prefix="entrepot-read-only-"))
    checked("mount", "--bind", folder, aside)
    try:
        checked("mount", "-o", "remount,bind,ro", aside)
        checked("mount", "--bind", aside, folder)
    finally:
        checked("umount", "--lazy", aside)
        aside.rmdir()
    try:
        yield
    finally:
        checked("umount", "--lazy", folder)


def checked(program: str, *arguments: str | Path) -> str:
    """Run a system program and return what it said; FileNotFoundError without it, CalledProcessError if it fails."""
    found = shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    if found is None:
        raise FileNotFoundError(program)
    done = subprocess.run([found, *arguments], check=True, capture_output=True, text=True, timeout=COMMAND_SECONDS)
    return done.stdout
