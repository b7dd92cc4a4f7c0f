"""The rotation of the keys that sign tokens."""

from datetime import timedelta

from entrepot.access import Keyring
from entrepot.jobs.kinds import JobKind, JobRun


def rotate_kind(keyring: Keyring, every: timedelta) -> JobKind:
    """The kind ``tokens.rotate``: every hour, make the next key if it is time, and forget keys that are over."""

    async def rotate(run: JobRun) -> None:
        rotation = await keyring.rotate(every)
        if rotation.made is not None and rotation.signs_from is not None:
            run.log("made the next signing key", kid=rotation.made, signs_from=rotation.signs_from.isoformat())
        if rotation.forgotten:
            run.log("forgot signing keys", kids=list(rotation.forgotten))

    return JobKind("tokens.rotate", rotate, schedule="23 * * * *")
