"""Everything that administrators do, together."""

from dataclasses import dataclass

from entrepot.access.administration.audit import Audit
from entrepot.access.administration.bindings import Bindings
from entrepot.access.administration.explain import Explain
from entrepot.access.administration.groups import Groups
from entrepot.access.administration.import_users import ImportUsers
from entrepot.access.administration.projects import Projects
from entrepot.access.administration.robots import Robots
from entrepot.access.administration.roles import Roles
from entrepot.access.administration.tokens import Tokens
from entrepot.access.administration.users import Users


@dataclass(frozen=True, slots=True)
class Administration:
    """The uses of administration over one database."""

    users: Users
    groups: Groups
    robots: Robots
    tokens: Tokens
    projects: Projects
    roles: Roles
    bindings: Bindings
    explain: Explain
    audit: Audit
    import_users: ImportUsers
