"""The Tiled server of the suite: one catalog, closed to strangers, with our formats."""

import asyncio
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy.ext.asyncio import create_async_engine
from tiled.alembic_utils import UninitializedDatabase, check_database, stamp_head
from tiled.catalog import from_uri
from tiled.catalog.adapter import CatalogContainerAdapter, Collision
from tiled.catalog.alembic_constants import ALEMBIC_DIR, ALEMBIC_INI_TEMPLATE_PATH
from tiled.catalog.core import ALL_REVISIONS, REQUIRED_REVISION, initialize_database
from tiled.client.container import Container
from tiled.config import StreamingCacheConfig
from tiled.structures.core import Spec, StructureFamily
from tiled.utils import ensure_specified_sql_driver

from tiled_adapters.catalog import create_container
from tiled_adapters.guard import adapters_by_mimetype
from tiled_adapters.specs import (
    CLUSTERS,
    CLUSTERS_CATALOG,
    DECISION,
    DECISIONS_CATALOG,
    MODEL,
    MODEL_DECISION,
    MODELS,
    NAMING,
    RESULT,
    RESULTS,
    RESULTS_CATALOG,
    RUNS,
    TWO_TIME,
    VOCABULARY,
)

__all__ = ["initialise", "open_tree", "server_config"]

_LAYOUT: tuple[tuple[str, list[Spec]], ...] = (
    ("raw", [RUNS]),
    ("processed", []),
    ("processed/xpcs", [RESULTS_CATALOG]),
    ("processed/models", [MODELS]),
    ("processed/clusters", [CLUSTERS_CATALOG]),
    ("processed/vocabulary", [VOCABULARY]),
    ("processed/decisions", [DECISIONS_CATALOG]),
)
"""Containers that exist from the start, parents first."""


def server_config(
    folder: Path,
    *,
    api_key: str,
    readable: Iterable[Path] = (),
    catalog_uri: str | None = None,
    storage_uri: str | None = None,
) -> dict[str, Any]:
    """Return the configuration of a server that keeps its data in one folder.

    Parameters
    ----------
    folder : Path
        Holds the catalog, the arrays and the tables; made if needed.
    api_key : str
        The key that reads and writes; letters and digits.
    readable : iterable of Path
        Folders of detector files.
    catalog_uri : str, optional
        Database of the catalog; a SQLite file in `folder` by default.
    storage_uri : str, optional
        Database for tables that grow; a DuckDB file in `folder` by default.

    Returns
    -------
    dict
        For `tiled.server.app.build_app_from_config`, or a YAML file.
    """
    folder = Path(folder).resolve()
    return {
        "trees": [
            {
                "path": "/",
                "tree": "tiled_adapters.server:open_tree",
                "args": {
                    "catalog_uri": catalog_uri or f"sqlite:///{folder / 'catalog.db'}",
                    "storage_uri": storage_uri
                    or f"duckdb:///{folder / 'tables.duckdb'}",
                    "data": str(folder / "data"),
                    "readable": [str(Path(path).resolve()) for path in readable],
                },
            }
        ],
        "authentication": {
            "single_user_api_key": api_key,
            # Tiled keeps settings of an earlier app in the same process: say it.
            "allow_anonymous_access": False,
        },
        "access_control": {
            "access_policy": "tiled_adapters.policy:RequestScopesPolicy",
            "args": {},
        },
        "expose_raw_assets": False,
        "uvicorn": {"timeout_graceful_shutdown": 2},
        **_extensions(),
    }


def _extensions() -> dict[str, Any]:
    """Return what the server can do besides keeping data."""
    validate_result = "tiled_adapters.specs:validate_result"
    validate_two_time = "tiled_adapters.specs:validate_two_time"
    validate_model = "tiled_adapters.specs:validate_model"
    validate_decision = "tiled_adapters.specs:validate_decision"
    validate_clusters = "tiled_adapters.specs:validate_clusters"
    validate_choice = "tiled_adapters.specs:validate_choice"
    validate_naming = "tiled_adapters.vocabulary:validate_naming"
    export_run = "bluesky_tiled_plugins.exporters:json_seq_exporter"
    export_map = "tiled_adapters.exporters:two_time_png"
    return {
        "media_types": {
            "BlueskyRun": {"application/json-seq": export_run},
            TWO_TIME.name: {"image/png": export_map},
        },
        "routers": ["bluesky_tiled_plugins.routers.validator:router"],
        "specs": [
            {"spec": RESULTS.name, "validator": validate_result},
            {"spec": RESULT.name, "validator": validate_result},
            {"spec": TWO_TIME.name, "validator": validate_two_time},
            {"spec": MODEL.name, "validator": validate_model},
            {"spec": MODEL_DECISION.name, "validator": validate_decision},
            {"spec": CLUSTERS.name, "validator": validate_clusters},
            {"spec": NAMING.name, "validator": validate_naming},
            {"spec": DECISION.name, "validator": validate_choice},
        ],
    }


def open_tree(
    *, catalog_uri: str, storage_uri: str, data: str, readable: Iterable[str] = ()
) -> CatalogContainerAdapter:
    """Open the catalog of a server, made on first use, with its layout.

    Parameters
    ----------
    catalog_uri : str
        Database of the catalog.
    storage_uri : str
        Database for tables that grow.
    data : str
        Folder for arrays and fixed tables.
    readable : iterable of str
        Folders of detector files.

    Returns
    -------
    CatalogContainerAdapter
        The root of the served tree.
    """
    Path(data).mkdir(parents=True, exist_ok=True)
    roots = [Path(data), *map(Path, readable)]
    # This runs inside an event loop or outside of one: a thread has none.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(_initialise_database, catalog_uri).result()
    tree = from_uri(
        catalog_uri,
        writable_storage=[data, storage_uri],
        # Tiled compares quoted URIs by their text; the guard judges the real paths.
        readable_storage=[*map(str, roots), *(root.as_uri() for root in roots)],
        adapters_by_mimetype=dict(adapters_by_mimetype(roots)),
        cache_config=StreamingCacheConfig(uri="memory").model_dump(),
    )
    tree.startup_tasks.append(partial(_create_layout, tree))
    return tree


def initialise(root: Container) -> None:
    """Make the containers of the suite on any Tiled server; do nothing where they are.

    Parameters
    ----------
    root : Container
        Root of the server, opened with a key that may write.
    """
    for path, specs in _LAYOUT:
        parent, _, key = path.rpartition("/")
        create_container(root[parent] if parent else root, key, specs=specs)


async def _create_layout(tree: CatalogContainerAdapter) -> None:
    for path, specs in _LAYOUT:
        *parents, key = path.split("/")
        parent = await tree.lookup_adapter(parents)
        try:
            await parent.create_node(
                key=key,
                structure_family=StructureFamily.container,
                metadata={},
                specs=specs,
            )
        except Collision:
            continue


def _initialise_database(catalog_uri: str) -> None:
    """Do what `tiled catalog init` does, without starting another Python."""
    uri = ensure_specified_sql_driver(catalog_uri)
    if asyncio.run(_create_tables(uri)):
        stamp_head(ALEMBIC_INI_TEMPLATE_PATH, ALEMBIC_DIR, uri)


async def _create_tables(uri: str) -> bool:
    """Create the tables of a catalog; return whether there were none."""
    engine = create_async_engine(uri)
    try:
        await check_database(engine, REQUIRED_REVISION, ALL_REVISIONS)
    except UninitializedDatabase:
        await initialize_database(engine)
        return True
    finally:
        await engine.dispose()
    return False
