"""Tags that say from which commit an image was built."""

import shutil
import subprocess  # ruff: ignore[suspicious-subprocess-import]  git is asked, with fixed arguments
from typing import Final

from entrepot.cli.exit_codes import ExitCode
from entrepot.cli.failures import CommandFailed
from entrepot.oci import Tag, TagInvalid

_DIGITS: Final = 12  # of the commit's name: enough for the largest repositories
_SECONDS_AT_MOST: Final = 30


def commit_tags() -> list[Tag]:
    """The commit of the working tree in this folder, and ``git describe`` if it names a tag.

    Raises CommandFailed outside of a working tree, and while files differ from their commit: an image would then be
    called after something that it was not built from.
    """
    if _asked("status", "--porcelain", "--untracked-files=no"):
        raise CommandFailed("--git: files here differ from their commit: commit them first", ExitCode.USAGE)
    commit = _asked("rev-parse", f"--short={_DIGITS}", "HEAD")
    described = _asked("describe", "--tags", "--always", f"--abbrev={_DIGITS}")
    return [_tag(text) for text in dict.fromkeys([commit, described])]


def _asked(*arguments: str) -> str:
    program = shutil.which("git")
    if program is None:
        raise CommandFailed("--git: there is no program git on the PATH", ExitCode.USAGE)
    try:
        asked = subprocess.run(  # ruff: ignore[subprocess-without-shell-equals-true]  no word of it is from outside
            [program, *arguments], capture_output=True, text=True, check=False, timeout=_SECONDS_AT_MOST
        )
    except subprocess.TimeoutExpired as error:
        raise CommandFailed("--git: git does not answer", ExitCode.OTHER) from error
    if asked.returncode:
        words = " ".join(asked.stderr.split())
        raise CommandFailed(f"--git: git {arguments[0]} does not work here: {words}", ExitCode.USAGE)
    return asked.stdout.strip()


def _tag(text: str) -> Tag:
    try:
        return Tag.parse(text)
    except TagInvalid as error:
        raise CommandFailed(f"--git: {text!r} cannot be a tag of an image", ExitCode.USAGE) from error
