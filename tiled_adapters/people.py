"""Who decides: the name under which a person's decisions are kept."""

import getpass

__all__ = ["login_name"]


def login_name() -> str:
    """Return who is at work, as the machine knows.

    Returns
    -------
    str
        The login name; ``unknown`` for an account without one, as containers have
        them.
    """
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"
