"""What is worth another try, and what stays wrong."""

import httpx
from tiled.client.utils import ClientError

from ainerd_bluesky.errors import CatalogError, RunNotReadyError

__all__ = ["is_transient"]

_TOO_MANY_REQUESTS = 429
_SERVER_ERROR = 500


def is_transient(error: BaseException) -> bool:
    """Return whether another try may help: a lost connection, a run still written.

    Parameters
    ----------
    error : BaseException
        What a step raised; what caused it counts as well.

    Returns
    -------
    bool
        False for what stays wrong, such as a missing field or a bad partition.
    """
    if isinstance(error, RunNotReadyError | CatalogError):
        return True
    if isinstance(error, httpx.TransportError | ConnectionError | TimeoutError):
        return True
    if isinstance(error, ClientError | httpx.HTTPStatusError):
        code = error.response.status_code
        return code >= _SERVER_ERROR or code == _TOO_MANY_REQUESTS
    cause = error.__cause__
    return cause is not None and is_transient(cause)
