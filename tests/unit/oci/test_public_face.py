import inspect

import pytest

import entrepot.oci
from entrepot.oci import RegistryError, errors

CODES = {
    "BLOB_UNKNOWN",
    "BLOB_UPLOAD_INVALID",
    "BLOB_UPLOAD_UNKNOWN",
    "DIGEST_INVALID",
    "MANIFEST_BLOB_UNKNOWN",
    "MANIFEST_INVALID",
    "MANIFEST_UNKNOWN",
    "NAME_INVALID",
    "NAME_UNKNOWN",
    "SIZE_INVALID",
    "UNAUTHORIZED",
    "DENIED",
    "UNSUPPORTED",
    "TOOMANYREQUESTS",
}
CODES_OF_DOCKER = {"TAG_INVALID", "RANGE_INVALID", "PAGINATION_NUMBER_INVALID", "UNAVAILABLE", "UNKNOWN"}
ERRORS = [member for _, member in inspect.getmembers(errors, inspect.isclass) if issubclass(member, RegistryError)]


def test_the_face_is_whole() -> None:
    """Every name that the room promises is there, each once, and every error is among them."""
    assert all(hasattr(entrepot.oci, name) for name in entrepot.oci.__all__)
    assert len(set(entrepot.oci.__all__)) == len(entrepot.oci.__all__)
    assert {error.__name__ for error in ERRORS} <= set(entrepot.oci.__all__)


@pytest.mark.parametrize("error", ERRORS)
def test_an_error_has_a_code_a_message_and_its_values_in_detail(error: type[RegistryError]) -> None:
    """The message is the class's own whatever the values are; values stand in the detail."""
    raised = error(reason="planted", size=1)

    assert raised.code in CODES | CODES_OF_DOCKER
    assert str(raised) == error.message
    assert raised.detail == {"reason": "planted", "size": 1}


def test_every_code_of_the_specification_has_a_class() -> None:
    """Code-1 to code-14 can all be answered."""
    assert {error.code for error in ERRORS} >= CODES
