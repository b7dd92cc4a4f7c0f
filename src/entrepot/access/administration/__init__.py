"""What administrators do: users, groups, robots, tokens, projects and bindings, each change with its audit row."""

from entrepot.access.administration.accounts import PAGE
from entrepot.access.administration.authority import Acting, Authority, Operator
from entrepot.access.administration.bindings import Bindings, BindingSubject, SubjectKind
from entrepot.access.administration.explain import Explain
from entrepot.access.administration.groups import Groups
from entrepot.access.administration.projects import MovePlan, Projects, parse_project_name
from entrepot.access.administration.robots import IssuedSecret, NewRobot, Robots
from entrepot.access.administration.tokens import Tokens
from entrepot.access.administration.users import Users

__all__ = [
    "PAGE",
    "Acting",
    "Authority",
    "BindingSubject",
    "Bindings",
    "Explain",
    "Groups",
    "IssuedSecret",
    "MovePlan",
    "NewRobot",
    "Operator",
    "Projects",
    "Robots",
    "SubjectKind",
    "Tokens",
    "Users",
    "parse_project_name",
]
