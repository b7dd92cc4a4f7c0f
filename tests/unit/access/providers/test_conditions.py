import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrepot.access.providers import check_conditions, conditions_hold
from entrepot.oci import RequestInvalid

CLAIMS = {"repository": "octo-org/octo-repo", "ref": "refs/heads/main", "star": "*"}


@pytest.mark.parametrize(
    ("conditions", "hold"),
    [
        ({"repository": "octo-org/octo-repo"}, True),
        ({"repository": "octo-org/octo"}, False),
        ({"repository": "Octo-org/octo-repo"}, False),
        ({"repository": "octo-org/*"}, True),
        ({"repository": "octo-*"}, False),
        ({"repository": "octo-**"}, True),
        ({"repository": "**"}, True),
        ({"repository": "*"}, False),
        ({"ref": "refs/heads/main*"}, True),
        ({"ref": "refs/heads/main**"}, True),
        ({"ref": "refs/heads/main/*"}, False),
        ({"repository": "octo-org/*", "ref": "refs/tags/*"}, False),
        ({"repository": "octo-org/*", "missing": "**"}, False),
        ({"missing": ""}, False),
        ({"star": "*"}, True),
        ({"repository": "*/octo-repo"}, False),
        ({"repository": "octo-org/***"}, False),
        ({}, False),
    ],
)
def test_all_conditions_have_to_hold(conditions: dict[str, str], hold: bool) -> None:
    """Literal values, ``*`` within a segment and ``**`` beyond; what is missing or unclear holds nothing."""
    assert conditions_hold(conditions, CLAIMS) is hold


@given(st.text(min_size=1), st.text())
def test_a_value_without_stars_means_itself_alone(pattern: str, value: str) -> None:
    """Nothing in a value is special, but for stars at the end."""
    if not pattern.endswith("*") and "*" not in pattern and len(pattern) <= 1024:
        assert conditions_hold({"claim": pattern}, {"claim": value}) is (pattern == value)


@pytest.mark.parametrize(
    ("conditions", "reason"),
    [
        ({}, "conditions"),
        ({f"claim-{number}": "x" for number in range(33)}, "conditions"),
        ({"": "x"}, "claim"),
        ({"c" * 256: "x"}, "claim"),
        ({"claim": ""}, "pattern"),
        ({"claim": "x" * 1025}, "pattern"),
        ({"claim": "a*b"}, "pattern"),
        ({"claim": "a***"}, "pattern"),
    ],
)
def test_conditions_that_cannot_be_meant(conditions: dict[str, str], reason: str) -> None:
    """What would hold always, never, or otherwise than it looks is refused when it is stored."""
    with pytest.raises(RequestInvalid) as caught:
        check_conditions(conditions)
    assert caught.value.detail["reason"] == reason


def test_conditions_that_can() -> None:
    """The examples of the documentation are taken."""
    check_conditions({"repository": "octo-org/*", "ref": "refs/heads/main", "kubernetes.io/namespace": "**"})
