"""Every test has the fixtures of ``harness``."""

pytest_plugins = ["harness.fixtures"]
