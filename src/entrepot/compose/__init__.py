"""Builds the concrete registry out of its parts: the one place that knows all of them."""

from entrepot.compose.administration import (
    LocalAdministration,
    administration_of,
    opened_administration,
    repositories_of,
)
from entrepot.compose.collection import Collection, collection_of, opened_collection, policy_of
from entrepot.compose.ports import OpenPorts, open_ports
from entrepot.compose.preparing import Prepared, prepare
from entrepot.compose.providers import Providers, providers_of
from entrepot.compose.serving import OPERATIONS, PUBLIC, REDIRECT, AppFactory, limits_of
from entrepot.compose.uses import uses_of
from entrepot.compose.worker import WorkerProcess, job_kinds, queue_of, run_worker

__all__ = [
    "OPERATIONS",
    "PUBLIC",
    "REDIRECT",
    "AppFactory",
    "Collection",
    "LocalAdministration",
    "OpenPorts",
    "Prepared",
    "Providers",
    "WorkerProcess",
    "administration_of",
    "collection_of",
    "job_kinds",
    "limits_of",
    "open_ports",
    "opened_administration",
    "opened_collection",
    "policy_of",
    "prepare",
    "providers_of",
    "queue_of",
    "repositories_of",
    "run_worker",
    "uses_of",
]
