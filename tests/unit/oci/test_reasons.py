"""The ``reason`` in the details of errors, on which programs may rely: one spelling in every room."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import entrepot

_WORDS = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_NAME_OF_THE_STORE = re.compile(r"[A-Z0-9]+")  # an errno's, or one that stands beside those


def _reasons(tree: ast.AST) -> Iterator[str]:
    """The constants that are given to an error, or to anything else, as its reason."""
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg == "reason":
            for part in ast.walk(node.value):
                if isinstance(part, ast.Constant) and isinstance(part.value, str):
                    yield part.value


def test_reasons_are_words_joined_by_hyphens() -> None:
    """No reason has an underscore or a space; the stores' own are names like ENOSPC."""
    sources = list(Path(entrepot.__path__[0]).rglob("*.py"))
    found = {reason for source in sources for reason in _reasons(ast.parse(source.read_text(encoding="utf-8")))}

    assert len(found) > 30
    wrong = {reason for reason in found if not _WORDS.fullmatch(reason) and not _NAME_OF_THE_STORE.fullmatch(reason)}
    assert not wrong
