"""Every test has the fixtures of ``harness``; generated examples are never judged by how long they take."""

from hypothesis import settings

pytest_plugins = ["harness.fixtures"]

settings.register_profile("entrepot", deadline=None)
settings.load_profile("entrepot")
