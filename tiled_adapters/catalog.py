"""One way to open a catalog, whatever a person has in hand."""

import os
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
from tiled.client import from_profile, from_uri
from tiled.client.container import Container
from tiled.client.utils import ClientError
from tiled.profiles import load_profiles
from tiled.structures.core import Spec

from ainerd_bluesky.errors import CatalogError

__all__ = [
    "beside",
    "create_container",
    "ensure_container",
    "open_catalog",
    "set_metadata",
]

_TIMEOUT = 4.0
_CONFLICT = 409
_KEY_CURE = (
    "set TILED_API_KEY to the server's key, which `ainerd serve` keeps in the file "
    "api_key of its folder"
)


def open_catalog(catalog: str | Container, *, api_key: str | None = None) -> Container:
    """Open a Tiled catalog.

    Parameters
    ----------
    catalog : str or Container
        URI of a Tiled server or of a container in it, name of a Tiled profile, a Tiled
        client, or an object of `databroker.catalog`, which is one.
    api_key : str, optional
        Key of the server; read from TILED_API_KEY by default.

    Returns
    -------
    Container
        Client of that container.

    Raises
    ------
    CatalogError
        If the server does not answer or refuses the key, or there is no such profile;
        the text names the cure.
    """
    if isinstance(catalog, Container):
        return catalog
    if not isinstance(catalog, str):
        raise CatalogError(
            f"a catalog is a URI, a profile name or a Tiled client, got {catalog!r}"
        )
    is_uri = "://" in catalog
    uri = catalog if is_uri else _profile_uri(catalog)

    key = api_key or os.environ.get("TILED_API_KEY")
    _require_answer(uri, key)
    connect = from_uri if is_uri else from_profile
    try:
        opened = connect(catalog, api_key=key)
    except ClientError as error:
        code = error.response.status_code
        raise CatalogError(f"{_without_query(uri)} answers {code}: {error}") from error
    if not isinstance(opened, Container):
        raise CatalogError(f"{uri} is no container but {type(opened).__name__}")
    return opened


def create_container(
    parent: Container,
    key: str,
    *,
    metadata: dict[str, Any] | None = None,
    specs: Sequence[Spec] = (),
) -> Container:
    """Create a container, or return the one that is there.

    Parameters
    ----------
    parent : Container
        Where.
    key : str
        Name of the child.
    metadata : dict, optional
        Of a new container.
    specs : sequence of Spec
        Of a new container.

    Returns
    -------
    Container
        New or old.

    Raises
    ------
    ClientError
        If the server refuses for another reason than that the key is taken.
    """
    try:
        return parent.create_container(key, metadata=metadata, specs=list(specs))
    except ClientError as error:
        if error.response.status_code != _CONFLICT:
            raise
    return parent[key]


def ensure_container(root: Container, path: str, spec: Spec) -> Container:
    """Return a container of the suite, made if the server is older than it.

    Parameters
    ----------
    root : Container
        Root of a server.
    path : str
        Of the container; its parent must be there.
    spec : Spec
        Of a new container.

    Returns
    -------
    Container
        New or old.
    """
    parent, _, key = path.rpartition("/")
    return create_container(root[parent] if parent else root, key, specs=[spec])


def set_metadata(node: Container, changes: Mapping[str, Any]) -> None:
    """Set a few keys of a node's metadata; others stay as they are on the server.

    Replacing all of it would bring back what somebody else has changed since it was
    read. A value is replaced whole: a dictionary is not merged into the old one.

    Parameters
    ----------
    node : Container
        Whose metadata.
    changes : mapping of str to Any
        New values, of JSON types.
    """
    patch = [
        {"op": "add", "path": f"/{key}", "value": value}
        for key, value in changes.items()
    ]
    node.patch_metadata(metadata_patch=patch)


def beside(results: str, name: str) -> str:
    """Return the path of a container that stands beside the one of results.

    Parameters
    ----------
    results : str
        Path of the container of results.
    name : str
        Of the other container.

    Returns
    -------
    str
        Its path.

    Examples
    --------
    >>> beside("processed/xpcs", "vocabulary")
    'processed/vocabulary'
    """
    parent, _, _ = results.strip("/").rpartition("/")
    return f"{parent}/{name}" if parent else name


def _profile_uri(name: str) -> str:
    """Return the URI that a Tiled profile stands for."""
    profiles = load_profiles()
    if name not in profiles:
        known = ", ".join(sorted(profiles)) or "none"
        raise CatalogError(
            f"no Tiled profile {name!r} (known: {known}); a URI starts with http://"
        )
    _, profile = profiles[name]
    if "uri" not in profile:
        raise CatalogError(f"Tiled profile {name!r} names no uri")
    return str(profile["uri"])


def _require_answer(uri: str, api_key: str | None) -> None:
    """Ask once and quickly: Tiled's own client tries for most of a minute."""
    base = _without_query(uri).partition("/api/v1")[0].rstrip("/")
    in_uri = parse_qs(urlsplit(uri).query).get("api_key", [None])[0]
    key = api_key or in_uri
    # The first page is open to all; whether a key is right shows behind it.
    path, headers = (
        ("metadata/", {"Authorization": f"Apikey {key}"}) if key else ("", {})
    )
    try:
        response = httpx.get(f"{base}/api/v1/{path}", headers=headers, timeout=_TIMEOUT)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise CatalogError(
            f"no Tiled server answers at {base} ({error}); start one with "
            "`ainerd serve FOLDER`, or correct the URI"
        ) from error
    if response.status_code in {401, 403}:
        raise CatalogError(f"{base} refuses the API key; {_KEY_CURE}")
    try:
        answer = response.raise_for_status().json()
    except (httpx.HTTPStatusError, ValueError) as error:
        raise CatalogError(f"what answers at {base} is no Tiled server") from error
    authentication = answer.get("authentication", {})
    if authentication.get("required") and not authentication.get("providers"):
        raise CatalogError(f"{base} wants an API key; {_KEY_CURE}")


def _without_query(uri: str) -> str:
    """Return a URI that can be shown: a query may hold a key."""
    return uri.partition("?")[0]
