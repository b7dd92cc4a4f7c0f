"""Scopes of tokens (Docker registry v2 authentication, "Token Scope Documentation"), read strictly and written back."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import starmap

from typing_extensions import override

from entrepot.access.rights import Action, Grant, Resource, ResourceKind
from entrepot.oci import NameInvalid, RepositoryName, RequestInvalid

SCOPES_AT_MOST = 64  # a push asks for its target and one repository per mount; keeps a token within a header
SCOPE_CHARACTERS_AT_MOST = 8192  # of all scopes of a request together, likewise

_SHOWN = 160  # characters of a refused scope that are shown back
_TYPE = re.compile(r"([a-z0-9]+)(?:\(([a-z0-9]+)\))?", re.ASCII)
_ACTIONS = re.compile(r"(?:\*|[a-z]*)(?:,(?:\*|[a-z]*))*", re.ASCII)
_HOST_COMPONENT = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_HOST = re.compile(rf"{_HOST_COMPONENT}(?:\.{_HOST_COMPONENT})*(?::[0-9]{{1,5}})?", re.ASCII)
_EVERY_ACTION = "*"


@dataclass(frozen=True, slots=True)
class Scope:
    """Actions on one resource; ``str`` writes it as ``type:name:action,action``.

    ``project`` is that of a Grant in what was granted, and empty in what is asked for.
    """

    resource: Resource
    actions: frozenset[Action]
    project: str = ""

    @override
    def __str__(self) -> str:
        return f"{self.resource.kind.value}:{self.resource.name}:{','.join(self._asked_names)}"

    @property
    def action_names(self) -> tuple[str, ...]:
        """The actions as they are written in tokens, in the order of Action."""
        if self.resource.kind is ResourceKind.REGISTRY:
            return (_EVERY_ACTION,) if self.actions else ()
        return tuple(action.value for action in Action if action in self.actions)

    @property
    def _asked_names(self) -> tuple[str, ...]:
        """As clients write them, who ask for ``push`` and mean both to make tags and to move them."""
        names = self.action_names
        return tuple(n for n in names if n != Action.MOVE) if Action.PUSH in self.actions else names

    @property
    def grants(self) -> frozenset[Grant]:
        """The same, one by one."""
        return frozenset(Grant(self.resource, action, self.project) for action in self.actions)


def parse_scopes(texts: Iterable[str]) -> tuple[Scope, ...]:
    """Read the ``scope`` parameters of a token request, each with any number of scopes between spaces.

    What this registry does not know (other types, actions, parts of the registry, repositories with a host in front)
    is left out, as the specification asks; a resource named twice gets the union. The class of a resource, as in
    ``repository(plugin)``, makes no difference. Raises RequestInvalid outside the grammar or over the caps.
    """
    asked: dict[Resource, frozenset[Action]] = {}
    count = characters = 0
    for text in texts:
        characters += len(text)
        if characters > SCOPE_CHARACTERS_AT_MOST:
            raise RequestInvalid(reason="scope-too-long", at_most=SCOPE_CHARACTERS_AT_MOST)
        for part in filter(None, text.split(" ")):
            count += 1
            if count > SCOPES_AT_MOST:
                raise RequestInvalid(reason="too-many-scopes", at_most=SCOPES_AT_MOST)
            scope = _parse(part)
            if scope is not None:
                asked[scope.resource] = asked.get(scope.resource, frozenset()) | scope.actions
    return tuple(starmap(Scope, asked.items()))


def render_scopes(scopes: Iterable[Scope]) -> str:
    """Write scopes as the value of one ``scope`` parameter."""
    return " ".join(map(str, scopes))


def scope_of(kind: str, name: str, action_names: Iterable[str]) -> Scope | None:
    """The scope with these words, or None where nothing of it is known to this registry."""
    resource = _resource(kind, name)
    if resource is None:
        return None
    words = frozenset(action_names)
    if _EVERY_ACTION in words:
        actions = resource.token_actions
    elif resource.kind is ResourceKind.REGISTRY:
        actions = frozenset()
    else:
        actions = frozenset(action for action in resource.token_actions if action.value in words)
    return Scope(resource, actions) if actions else None


def _parse(text: str) -> Scope | None:
    """Read one scope; the name lies between the first colon and the last, as it may have a port in it."""
    kind, first, rest = text.partition(":")
    name, last, actions = rest.rpartition(":")
    type_match = _TYPE.fullmatch(kind)
    if not first or not last or not name or type_match is None or not _ACTIONS.fullmatch(actions):
        raise RequestInvalid(reason="scope", scope=text[:_SHOWN])
    if type_match[1] == ResourceKind.REPOSITORY and not _is_resource_name(name):
        raise RequestInvalid(reason="scope", scope=text[:_SHOWN])
    words = actions.split(",")
    return scope_of(type_match[1], name, [*words, Action.MOVE] if Action.PUSH in words else words)


def _resource(kind: str, name: str) -> Resource | None:
    if kind == ResourceKind.REGISTRY:
        resource = Resource(ResourceKind.REGISTRY, name)
        return resource if resource.actions else None
    if kind != ResourceKind.REPOSITORY:
        return None
    try:
        return Resource.repository(RepositoryName.parse(name))
    except NameInvalid:
        return None


def _is_resource_name(name: str) -> bool:
    """Whether ``name`` is a repository's, perhaps behind a host and port."""
    host, slash, path = name.partition("/")
    candidates = (name, path) if slash and _HOST.fullmatch(host) else (name,)
    for candidate in candidates:
        try:
            RepositoryName.parse(candidate)
        except NameInvalid:
            continue
        return True
    return False
