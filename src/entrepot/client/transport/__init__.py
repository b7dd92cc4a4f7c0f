"""Requests to registries: connections, logins, redirects, patience; what is sent and what came back as values."""

from entrepot.client.transport.patience import Patience
from entrepot.client.transport.rate import RateLimit
from entrepot.client.transport.requests import Answer, Body, Request
from entrepot.client.transport.scopes import Scope
from entrepot.client.transport.transport import Transport

__all__ = ["Answer", "Body", "Patience", "RateLimit", "Request", "Scope", "Transport"]
