"""What administrators do: users, groups, robots, tokens, projects and bindings, each change with its audit row."""

from entrepot.access.administration.accounts import PAGE
from entrepot.access.administration.administration import Administration
from entrepot.access.administration.audit import Audit
from entrepot.access.administration.authority import Acting, Authority, Operator, require, require_admin
from entrepot.access.administration.bindings import Bindings, BindingSubject, SubjectKind
from entrepot.access.administration.explain import Explain
from entrepot.access.administration.groups import Groups
from entrepot.access.administration.import_users import REFUSALS, ImportedUser, ImportOutcome, ImportUsers
from entrepot.access.administration.projects import MovePlan, Projects
from entrepot.access.administration.robots import IssuedSecret, NewRobot, RobotChange, Robots
from entrepot.access.administration.roles import Role, Roles
from entrepot.access.administration.tokens import Tokens
from entrepot.access.administration.users import UserChange, Users
from entrepot.access.administration.which import ById, Which

__all__ = [
    "PAGE",
    "REFUSALS",
    "Acting",
    "Administration",
    "Audit",
    "Authority",
    "BindingSubject",
    "Bindings",
    "ById",
    "Explain",
    "Groups",
    "ImportOutcome",
    "ImportUsers",
    "ImportedUser",
    "IssuedSecret",
    "MovePlan",
    "NewRobot",
    "Operator",
    "Projects",
    "RobotChange",
    "Robots",
    "Role",
    "Roles",
    "SubjectKind",
    "Tokens",
    "UserChange",
    "Users",
    "Which",
    "require",
    "require_admin",
]
