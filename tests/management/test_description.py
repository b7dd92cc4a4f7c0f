"""The API holds what its own description says, whatever is sent to it."""

from typing import Any, TypeAlias

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import content_type_conformance, not_a_server_error, response_schema_conformance
from schemathesis.specs.openapi.checks import status_code_conformance

from harness.registry import LiveRegistry

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
Operation: TypeAlias = schemathesis.APIOperation[Any, Any, Any, Any]

EXAMPLES = 12  # requests of each kind to each route


def test_it_answers_as_it_is_described(registry: LiveRegistry) -> None:
    """No request, well formed or not, gets an answer that is not described, and none breaks the server."""
    description = schemathesis.openapi.from_url(f"{registry.url}/api/v1/openapi.json")
    asked = 0
    for found in description.get_all_operations():
        operation: Operation = found.ok()  # type: ignore[union-attr]
        takes_something = operation.body or operation.query or operation.path_parameters
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)[: 2 if takes_something else 1]:
            asked += ask(operation, mode, ("admin", registry.admin_password))
    assert asked > 500


def ask(operation: Operation, mode: GenerationMode, login: tuple[str, str]) -> int:
    """Send generated requests to a route; returns how many there were."""
    count = 0

    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
        database=None,
    )
    def send(case: schemathesis.Case[Any]) -> None:
        nonlocal count
        count += 1
        case.call_and_validate(auth=login, checks=CHECKS)

    send()
    return count
