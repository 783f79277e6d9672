"""The family of errors: each is ours and the builtin a caller would catch."""

__all__ = [
    "AgentConflictError",
    "AinerdError",
    "CatalogError",
    "ConfigError",
    "FileFormatError",
    "FingerprintError",
    "FrameStackError",
    "MemoryBudgetError",
    "ModelError",
    "NamingError",
    "NoLabelsError",
    "OutboxError",
    "PartitionError",
    "QueueError",
    "QueueUnreachableError",
    "RunNotReadyError",
    "SelectionError",
    "SpotError",
    "StateInUseError",
    "TwoTimeError",
    "UnsuitableRunError",
]


class AinerdError(Exception):
    """Base of every error raised on purpose by this distribution."""


class ConfigError(AinerdError, ValueError):
    """A setting is missing or has a value that cannot be used."""


class FrameStackError(AinerdError, ValueError):
    """Detector frames cannot be reduced as they are."""


class PartitionError(AinerdError, ValueError):
    """A q-partition is missing, malformed or of another shape than the frames."""


class TwoTimeError(AinerdError, ValueError):
    """An array is not a two-time map."""


class FileFormatError(AinerdError, ValueError):
    """A file is damaged, or not of the format it was read as."""


class MemoryBudgetError(AinerdError, MemoryError):
    """A result would not fit into the memory of this machine."""


class FingerprintError(AinerdError, ValueError):
    """A run has no fingerprint, or fingerprints cannot be compared."""


class ModelError(AinerdError, ValueError):
    """A model is not there, damaged, of another format, or not what it claims to be."""


class NamingError(AinerdError, ValueError):
    """A word cannot be given, or there is nothing to give it to."""


class CatalogError(AinerdError, ConnectionError):
    """A Tiled catalog cannot be reached or opened."""


class RunNotReadyError(AinerdError, LookupError):
    """A run is not (yet) complete in the catalog: worth another try."""


class UnsuitableRunError(AinerdError, ValueError):
    """A run is of another technique, or not clear about its detector."""


class OutboxError(AinerdError, OSError):
    """The outbox on disk cannot be written or read."""


class SelectionError(AinerdError, ValueError):
    """A selector was asked or told something it cannot use."""


class SpotError(AinerdError, RuntimeError):
    """No place of a sample can take the dose of another exposure."""


class NoLabelsError(AinerdError, RuntimeError):
    """Several runs in a row gave no label that can be used."""


class StateInUseError(AinerdError, BlockingIOError):
    """Somebody else works with the same state on disk."""


class QueueError(AinerdError, RuntimeError):
    """A queue server refuses what an agent asks of it."""


class QueueUnreachableError(QueueError, ConnectionError):
    """A queue server does not answer or is locked: worth another try."""


class AgentConflictError(QueueError):
    """Another agent works on the same queue or with the same state."""
