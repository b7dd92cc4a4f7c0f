"""What tests share: programs looked up, a PostgreSQL cluster, a registry that runs as its users run it.

The fixtures are in ``harness.fixtures``; every test has them.
"""
