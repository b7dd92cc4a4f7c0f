"""For authors of back ends and for tests: contract suites of the ports, and adapters that fail on demand."""

import pytest

_SUITES = [f"entrepot.testing.{name}" for name in ("blob_store", "database", "job_queue", "job_histories")]  # ruff: ignore[non-empty-init-module]  see below

# Before the import of the suites, or their failures would not tell the values.
pytest.register_assert_rewrite(*_SUITES)  # ruff: ignore[non-empty-init-module]  see above
