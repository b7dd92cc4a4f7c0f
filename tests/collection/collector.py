"""A program: collects garbage beside a server, without a pause worth the name, until it is killed."""

import asyncio
import logging
import os
import sys

from entrepot.compose import opened_collection
from entrepot.oci import Unavailable
from entrepot.settings import load_settings

PAUSE_SECONDS = 0.03


async def collect_for_ever() -> None:
    """Collect with the settings that the environment gives; says when it begins; every failure is a line on stderr."""
    settings = load_settings({}, os.environ, None).settings
    async with opened_collection(settings) as collection:
        sys.stdout.write("collecting\n")
        sys.stdout.flush()
        while True:
            try:
                collected = await collection.collect_garbage()
            except Unavailable as refusal:
                sys.stderr.write(f"unavailable: {refusal.detail}\n")
            else:
                if collected.failures:
                    sys.stderr.write(f"failed: {collected}\n")
            await asyncio.sleep(PAUSE_SECONDS)


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    asyncio.run(collect_for_ever())
