"""The settings of a server: every option once, read from flags, environment and file."""

from entrepot.settings.addresses import Address, DatabaseUrl
from entrepot.settings.catalogue import Option, Written, is_masked, json_schema, options, value_of
from entrepot.settings.layers import DEFAULT_ORIGIN, Loaded, load_settings
from entrepot.settings.options import Anonymous, Form, LogLevel, MissingBlobs, Settings, Untagged, WorkloadIssuer
from entrepot.settings.problems import Problem, SettingsError
from entrepot.settings.quantities import parse_duration
from entrepot.settings.reachability import check_reachable

__all__ = [
    "DEFAULT_ORIGIN",
    "Address",
    "Anonymous",
    "DatabaseUrl",
    "Form",
    "Loaded",
    "LogLevel",
    "MissingBlobs",
    "Option",
    "Problem",
    "Settings",
    "SettingsError",
    "Untagged",
    "WorkloadIssuer",
    "Written",
    "check_reachable",
    "is_masked",
    "json_schema",
    "load_settings",
    "options",
    "parse_duration",
    "value_of",
]
