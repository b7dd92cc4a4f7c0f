"""What tests share: programs, a PostgreSQL cluster, identity providers, a registry that runs as its users run it.

The fixtures are in ``harness.fixtures``; every test has them.
"""
