from datetime import timedelta

import pytest

from entrepot.access.providers import ProviderUnavailable
from entrepot.access.providers.circuit import Circuit


def test_one_tries_after_a_pause() -> None:
    """After a failure all are refused for the pause, then all but one, until that one brings success."""
    now = 0.0
    circuit = Circuit(timedelta(seconds=5), lambda: now)
    circuit.check()
    circuit.failed("oidc-timeout")
    for call in (circuit.check, circuit.look):
        with pytest.raises(ProviderUnavailable) as caught:
            call()
        assert caught.value.detail == {"reason": "oidc-timeout"}
    now = 5.0
    circuit.look()
    circuit.check()
    with pytest.raises(ProviderUnavailable):
        circuit.check()
    circuit.succeeded()
    circuit.check()
    circuit.check()
