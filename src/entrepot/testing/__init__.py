"""For authors of back ends and for tests: contract suites of the ports, and adapters that fail on demand."""

import pytest

# Before the import of the suites, or their failures would not tell the values.
pytest.register_assert_rewrite("entrepot.testing.blob_store", "entrepot.testing.database")  # ruff: ignore[non-empty-init-module]  see above
