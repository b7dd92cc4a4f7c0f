"""Log lines: one JSON object each, on standard error, from every room and from the server beneath."""

import logging
import logging.config
from dataclasses import dataclass
from datetime import UTC, datetime

from pythonjsonlogger.core import RESERVED_ATTRS, LogData
from pythonjsonlogger.json import JsonFormatter
from typing_extensions import override

from entrepot.http.observation import request_id


@dataclass(frozen=True, slots=True)
class Logs:
    """How much is logged: ``level`` is ``debug``, ``info``, ``warning`` or ``error``."""

    level: str = "info"


class JsonLines(JsonFormatter):
    """Formats a record as one line of JSON: ``time`` (RFC 3339, UTC), ``level``, ``logger``, ``message``, extras.

    Everything outside printable ASCII is escaped, so that no client can forge a line or colour a terminal. Lines
    written while a request is served carry its ``request_id``; absent values are left out.
    """

    def __init__(self) -> None:
        super().__init__(
            ["asctime", "levelname", "name", "message"],
            rename_fields={"asctime": "time", "levelname": "level", "name": "logger", "exc_info": "exception"},
            reserved_attrs=[*RESERVED_ATTRS, "taskName", "color_message"],
        )

    @override
    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

    @override
    def process_log_record(self, log_data: LogData) -> LogData:
        log_data.setdefault("request_id", request_id.get())
        if "level" in log_data:
            log_data["level"] = str(log_data["level"]).lower()
        return {key: value for key, value in log_data.items() if value is not None}


def configure(logs: Logs) -> None:
    """Send every logger's lines to standard error as JSON; the server's own access log stays off."""
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"json": {"()": JsonLines}},
            "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
            "root": {"handlers": ["stderr"], "level": logs.level.upper()},
            "loggers": {
                "uvicorn.access": {"handlers": [], "propagate": False},
                "alembic": {"level": "WARNING"},
                "httpx": {"level": "WARNING"},
            },
        }
    )
    logging.captureWarnings(capture=True)
