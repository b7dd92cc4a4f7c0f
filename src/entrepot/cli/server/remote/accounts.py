"""Users, groups, robots and tokens elsewhere, by the calls that there are on the data itself."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from entrepot.access import Limit, Secret
from entrepot.access.administration import Authority, IssuedSecret, NewRobot, Which
from entrepot.cli.server.remote.api import API, instant_of, needed_instant
from entrepot.metadata import GroupRow, ListedAccount, ListedCredential, ListedTrust


@dataclass(frozen=True, slots=True)
class RemoteUsers:
    """Users; who acts is known by the credentials of the call."""

    api: API

    async def page(self, _by: Authority, after: str = "") -> list[ListedAccount]:
        """All of them at once."""
        return [] if after else [_user(one) for one in await self.api.items("/users")]

    async def add(self, _by: Authority, name: str, password: Secret, *, is_admin: bool) -> None:
        """Make a user."""
        await self.api.call("POST", "/users", {"name": name, "password": password.reveal(), "admin": is_admin})

    async def set_password(self, _by: Authority, which: Which, password: Secret) -> None:
        """Give a user another password."""
        path = f"/users/{await self.api.id_of('users', which)}/password"
        await self.api.call("POST", path, {"password": password.reveal()})

    async def set_disabled(self, _by: Authority, which: Which, *, is_disabled: bool) -> None:
        """Shut a user out, or let them in again."""
        path = f"/users/{await self.api.id_of('users', which)}"
        await self.api.call("PATCH", path, {"disabled": is_disabled})

    async def remove(self, _by: Authority, which: Which) -> None:
        """Take a user away."""
        await self.api.call("DELETE", f"/users/{await self.api.id_of('users', which)}")


@dataclass(frozen=True, slots=True)
class RemoteGroups:
    """Groups and who is in them."""

    api: API

    async def page(self, _by: Authority, after: str = "") -> list[GroupRow]:
        """All of them at once."""
        return [] if after else [_group(one) for one in await self.api.items("/groups")]

    async def members(self, _by: Authority, which: Which, after: str = "") -> list[tuple[str, str]]:
        """All members at once."""
        if after:
            return []
        found = await self.api.items(f"/groups/{await self.api.id_of('groups', which)}/members")
        return [(one["name"], one["source"]) for one in found]

    async def add(self, _by: Authority, name: str) -> None:
        """Make a group."""
        await self.api.call("POST", "/groups", {"name": name})

    async def remove(self, _by: Authority, which: Which) -> None:
        """Take a group away."""
        await self.api.call("DELETE", f"/groups/{await self.api.id_of('groups', which)}")

    async def add_member(self, _by: Authority, which: Which, account: str) -> None:
        """Put an account into a group."""
        await self.api.call("POST", f"/groups/{await self.api.id_of('groups', which)}/members", {"name": account})

    async def remove_member(self, _by: Authority, which: Which, account: str) -> None:
        """Take an account out of a group."""
        group = await self.api.id_of("groups", which)
        found = (await self.api.call("GET", "/users", name=account))["items"]
        noun = "users" if found else "robots"
        await self.api.call("DELETE", f"/groups/{group}/members/{await self.api.id_of(noun, account)}")


@dataclass(frozen=True, slots=True)
class RemoteRobots:
    """Robots."""

    api: API

    async def page(self, _by: Authority, after: str = "") -> list[ListedAccount]:
        """All of them at once."""
        return [] if after else [_robot(one) for one in await self.api.items("/robots")]

    async def add(self, _by: Authority, robot: NewRobot) -> IssuedSecret:
        """Make a robot."""
        document = {
            "name": robot.name,
            "role": robot.role,
            "repositories": [pattern.text for pattern in robot.repositories],
            "project": robot.project,
            "description": robot.description,
            "lifetime": None if robot.lifetime is None else int(robot.lifetime.total_seconds()),
        }
        return _secret(await self.api.call("POST", "/robots", document))

    async def rotate(self, _by: Authority, which: Which, overlap: timedelta) -> IssuedSecret:
        """Give a robot a new secret."""
        path = f"/robots/{await self.api.id_of('robots', which)}/secrets"
        return _secret(await self.api.call("POST", path, {"overlap": int(overlap.total_seconds())}))

    async def set_disabled(self, _by: Authority, which: Which, *, is_disabled: bool) -> None:
        """Shut a robot out, or let it in again."""
        path = f"/robots/{await self.api.id_of('robots', which)}"
        await self.api.call("PATCH", path, {"disabled": is_disabled})

    async def remove(self, _by: Authority, which: Which) -> None:
        """Take a robot away."""
        await self.api.call("DELETE", f"/robots/{await self.api.id_of('robots', which)}")

    async def trust(self, _by: Authority, which: Which, issuer: str, conditions: Mapping[str, str]) -> str:
        """Let tokens stand for a robot."""
        path = f"/robots/{await self.api.id_of('robots', which)}/trusts"
        made = await self.api.call("POST", path, {"issuer": issuer, "claims": dict(conditions)})
        return str(made["id"])

    async def trusts(self, _by: Authority, which: Which) -> list[ListedTrust]:
        """Whom a robot trusts."""
        found = await self.api.call("GET", f"/robots/{await self.api.id_of('robots', which)}/trusts")
        return [
            ListedTrust(one["id"], one["issuer"], one["claims"], needed_instant(one["created_at"])) for one in found
        ]

    async def distrust(self, _by: Authority, which: Which, uid: str) -> None:
        """Take a trust away."""
        await self.api.call("DELETE", f"/robots/{await self.api.id_of('robots', which)}/trusts/{uid}")


@dataclass(frozen=True, slots=True)
class RemoteTokens:
    """Personal tokens."""

    api: API

    async def page(self, _by: Authority, user: Which) -> list[ListedCredential]:
        """A user's tokens."""
        return [_token(one) for one in await self.api.call("GET", "/tokens", user=str(user))]

    async def add(
        self, _by: Authority, user: Which, name: str, lifetime: timedelta | None, limits: Sequence[Limit]
    ) -> IssuedSecret:
        """Make a token."""
        scopes = [{"actions": sorted(limit.actions), "repositories": limit.repositories.text} for limit in limits]
        seconds = None if lifetime is None else int(lifetime.total_seconds())
        document = {"user": str(user), "name": name, "lifetime": seconds, "scopes": scopes}
        made = await self.api.call("POST", "/tokens", document)
        return IssuedSecret(
            made["user"], Secret(made["token"]), needed_instant(made["created_at"]), instant_of(made["expires_at"])
        )

    async def revoke(self, _by: Authority, uid: str) -> None:
        """End a token."""
        await self.api.call("DELETE", f"/tokens/{uid}")


def _user(one: Mapping[str, Any]) -> ListedAccount:
    return _account(one, "user", is_admin=one["admin"], issuer=one["issuer"], last_login_at=one["last_login_at"])


def _robot(one: Mapping[str, Any]) -> ListedAccount:
    return _account(
        one, "robot", project=one["project"], expires_at=one["expires_at"], last_login_at=one["last_login_at"]
    )


def _account(one: Mapping[str, Any], kind: str, **more: Any) -> ListedAccount:
    created_at = needed_instant(one["created_at"])
    return ListedAccount(
        uid=one["id"],
        kind=kind,
        name=one["name"],
        is_admin=more.get("is_admin", False),
        description=one["description"],
        project=more.get("project"),
        issuer=more.get("issuer"),
        created_at=created_at,
        expires_at=instant_of(more.get("expires_at")),
        disabled_at=created_at if one["disabled"] else None,
        last_login_at=instant_of(more.get("last_login_at")),
        version=0,
    )


def _group(one: Mapping[str, Any]) -> GroupRow:
    return GroupRow(0, one["id"], one["name"], one["description"], one["members"], 0)


def _secret(made: Mapping[str, Any]) -> IssuedSecret:
    secret = Secret(made["secret"])
    return IssuedSecret(made["name"], secret, needed_instant(made["created_at"]), instant_of(made["expires_at"]))


def _token(one: Mapping[str, Any]) -> ListedCredential:
    return ListedCredential(
        uid=one["id"],
        kind="token",
        name=one["name"],
        scopes=None if one["scopes"] is None else json.dumps(one["scopes"]),
        created_at=needed_instant(one["created_at"]),
        expires_at=instant_of(one["expires_at"]),
        revoked_at=instant_of(one["revoked_at"]),
        last_used_at=instant_of(one["last_used_at"]),
    )
