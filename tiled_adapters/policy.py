"""Who may do what on the server: exactly what the request was authenticated for."""

from collections.abc import Set

from tiled.access_control.access_policies import (
    ALL_ACCESS,
    NO_ACCESS,
    DummyAccessPolicy,
)
from tiled.type_aliases import AccessTags, Filters, Scopes

__all__ = ["RequestScopesPolicy"]


class RequestScopesPolicy(DummyAccessPolicy):
    """Grant on each node the scopes of the request, and nothing to strangers.

    Tiled 0.2.20 checks the scopes of a request on most routes, but on `/zarr` and
    `/graphql` only what the access policy says: without one they are open to anybody.
    """

    async def allowed_scopes(
        self,
        _node: object,
        _principal: object,
        _authn_access_tags: AccessTags | None,
        authn_scopes: Scopes,
    ) -> Scopes:
        """Return the scopes that the request came with."""
        return authn_scopes

    async def filters(
        self,
        _node: object,
        _principal: object,
        _authn_access_tags: AccessTags | None,
        authn_scopes: Scopes,
        scopes: Set[str],
    ) -> Filters:
        """Hide everything from a request that lacks one of the scopes."""
        return ALL_ACCESS if set(scopes) <= set(authn_scopes) else NO_ACCESS
