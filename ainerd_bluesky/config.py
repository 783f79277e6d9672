"""What a beamline says about itself: one TOML file, validated key by key."""

import re
import tomllib
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from ainerd_bluesky.errors import ConfigError

__all__ = [
    "BeamlineConfig",
    "CatalogConfig",
    "ClassificationConfig",
    "CorrelationConfig",
    "DetectorConfig",
    "FlowConfig",
    "PartitionConfig",
    "QualityConfig",
    "QueueConfig",
    "ReductionConfig",
    "load_beamline",
    "load_toml",
]


_Model = TypeVar("_Model", bound=BaseModel)
_REGISTERED = re.compile(
    r"registry:(?P<name>[A-Za-z0-9._-]+)(?:@(?P<version>[A-Za-z0-9._-]+))?"
)


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DetectorConfig(_Section):
    """The detector whose frames are analysed."""

    field: str = Field(min_length=1)
    """Data key of the detector in the run's event stream."""
    stream: str = "primary"
    """Event stream that holds the field."""
    frame_time: Annotated[float, Field(gt=0)] | None = None
    """Start-to-start time of frames in seconds; unset: read from the run."""
    frame_time_field: str | None = None
    """Configuration key of the detector that holds the frame time in seconds."""
    monitor_field: str | None = None
    """Data key of the beam monitor in the detector's stream, for the normalisation
    `monitor`: a number for each frame, or one for the whole run."""


class PartitionConfig(_Section):
    """The q-partition: which pixel belongs to which q-bin."""

    path: Path
    """HDF5 file with the group `/qmap` (8-ID layout); relative to the TOML file."""


class QualityConfig(_Section):
    """Thresholds of the quality gate."""

    min_frames: Annotated[int, Field(ge=8)] = 32
    """Fewest frames a two-time map is worth making of."""
    max_dark_fraction: Annotated[float, Field(ge=0, le=1)] = 0.1
    """Largest fraction of frames that may hold no photons."""
    max_saturated_fraction: Annotated[float, Field(ge=0, le=1)] = 0.01
    """Largest fraction of pixels that may sit at the detector's upper limit."""
    min_photons: Annotated[float, Field(ge=0)] = 1.0
    """Fewest photons per frame and q-bin that a map can be made of."""
    min_signal_to_noise: Annotated[float, Field(ge=0)] = 1.0
    """Least signal to noise that a sample which does not move would have in the map of
    a q-bin, with all its photons: where that is not reached, nothing can be."""
    contrast: Annotated[float, Field(gt=0, le=1)] = 0.2
    """Speckle contrast that this signal to noise is reckoned with."""


class CorrelationConfig(_Section):
    """How products of frames become a correlation function."""

    normalisation: Literal[
        "static", "frame", "static-frame", "symmetric", "monitor", "pixel", "none"
    ] = "static"
    """What a count is divided by. `static`: the time mean of its static bin, and its
    frame's mean over the q-bin; the same as `frame` where there are no static bins.
    `frame`: its frame's mean over the q-bin. `static-frame`: its frame's mean over the
    static bin. `symmetric`: the time mean of its static bin alone. `monitor`: the beam
    monitor of `detector.monitor_field`. `pixel`: the time mean of the pixel, and its
    frame's mean. `none`: 1."""
    estimator: Literal["ratio-of-sums", "mean-of-ratios"] = "ratio-of-sums"
    """g2 of a delay: sums over all pairs of frames, then their ratio, which is right
    at any number of photons; or the mean of the ratios of the pairs, as boost-corr
    takes it."""
    diagonal: Literal["shot-noise", "shot-noise-free"] = "shot-noise"
    """Whether a photon counts as a pair with itself, on the diagonal of a map."""
    engine: Literal["auto", "events", "int8", "fp32", "cuda", "numpy"] = "auto"
    """What multiplies. `auto`: by occupancy, largest count and machine."""


class ReductionConfig(_Section):
    """How frames become correlation functions."""

    block_frames: Annotated[int, Field(ge=1)] = 64
    """Frames read at once."""
    lags_per_level: Annotated[int, Field(ge=2)] = 8
    """Lags before the multi-tau correlator halves the time resolution."""
    max_frames: Annotated[int, Field(ge=32)] = 8192
    """Longest series a full two-time map is made of; the map of a longer one is
    averaged over blocks of frames."""
    averaged_size: Annotated[int, Field(ge=64)] = 256
    """Rows of an averaged map."""
    max_bytes: Annotated[int, Field(ge=1_000_000)] | None = None
    """Most memory for the counts and the two-time maps of one run; unset: half of what
    this machine has left. Larger maps are averaged, with a remark, and more
    counts are refused."""
    bad_frames: tuple[Annotated[int, Field(ge=0)], ...] = ()
    """Frames known to be bad, counted from 0; others are found by their brightness.
    Those beyond the end of a shorter scan are passed over."""


class ClassificationConfig(_Section):
    """Which model names the dynamics."""

    model: str = "shipped"
    """`shipped`, the path of a model folder, `registry:NAME` for the version that is in
    production in the catalog's registry, or `registry:NAME@VERSION`."""
    min_confidence: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Below it a label is flagged `low-confidence`."""

    @field_validator("model")
    @classmethod
    def _check_model(cls, model: str) -> str:
        if model.startswith("registry:") and not _REGISTERED.fullmatch(model):
            raise ValueError(
                "a model of the registry is `registry:NAME` or `registry:NAME@VERSION`"
            )
        return model

    @property
    def registered(self) -> tuple[str, str | None] | None:
        """Name and version of a model of the registry; no version: in production."""
        found = _REGISTERED.fullmatch(self.model)
        return None if found is None else (found["name"], found["version"])


class CatalogConfig(_Section):
    """Where runs are found and results go."""

    uri: Annotated[str, Field(pattern=r"^[^?]+$")] = "http://127.0.0.1:8000"
    """Tiled URI or Tiled profile name, without `?api_key=`: the key is read from
    TILED_API_KEY and stands in no file."""
    raw: str = "raw"
    """Path of the container of runs."""
    processed: str = "processed/xpcs"
    """Path of the container of results."""
    models: str = "processed/models"
    """Path of the registry of models."""
    allowed_roots: tuple[Path, ...] = ()
    """Folders under which detector files may lie; relative to the TOML file."""


class FlowConfig(_Section):
    """How the end of a run becomes a flow."""

    runner: Literal["embedded", "prefect", "deployment"] = "embedded"
    """`embedded`: a warm local process, no Prefect server. `prefect`: the same
    process, each run recorded as a Prefect flow run. `deployment`: hand each run to
    a Prefect deployment."""
    outbox: Path = Path("outbox")
    """Folder of the durable queue; relative to the TOML file."""
    deployment: str = "end-of-run/ainerd"
    """`<flow>/<deployment>` for the runner `deployment`."""
    prefect_api_url: str = "http://127.0.0.1:4200/api"
    """Prefect server for the runner `deployment`."""
    file_patience: Annotated[float, Field(ge=0)] = 60.0
    """Seconds after a run in which a detector file may still come, or be completed."""


class QueueConfig(_Section):
    """The queue server, and what an agent may do there."""

    control_address: str = "tcp://127.0.0.1:60615"
    """0MQ address of the RE manager."""
    http_uri: str | None = None
    """Address of the queue server's HTTP server; if set, it is used instead of 0MQ,
    with the key in QSERVER_HTTP_API_KEY."""
    user_group: str = "primary"
    """Group whose permissions the agent has on the queue server."""
    allowed_plans: tuple[str, ...] = ("xpcs_scan",)
    """The only plans that an agent may add."""
    max_items: Annotated[int, Field(ge=1)] = 2
    """Most items of an agent that wait in the queue or run."""


class BeamlineConfig(_Section):
    """Everything the suite needs to know about one beamline."""

    name: str = Field(min_length=1)
    """Short name of the beamline."""
    technique: str = "XPCS"
    """Value of `technique` in the start document of the runs to analyse."""
    detector: DetectorConfig
    partition: PartitionConfig
    quality: QualityConfig = QualityConfig()
    reduction: ReductionConfig = ReductionConfig()
    correlation: CorrelationConfig = CorrelationConfig()
    classification: ClassificationConfig = ClassificationConfig()
    catalog: CatalogConfig = CatalogConfig()
    flow: FlowConfig = FlowConfig()
    queue: QueueConfig = QueueConfig()

    def resolved(self, folder: Path) -> "BeamlineConfig":
        """Return a copy whose relative paths start at `folder`."""
        partition = self.partition.model_copy(
            update={"path": folder / self.partition.path}
        )
        roots = tuple(folder / root for root in self.catalog.allowed_roots)
        return self.model_copy(
            update={
                "partition": partition,
                "catalog": self.catalog.model_copy(update={"allowed_roots": roots}),
                "flow": self.flow.model_copy(
                    update={"outbox": folder / self.flow.outbox}
                ),
            }
        )


def load_beamline(path: Path) -> BeamlineConfig:
    """Read a beamline's TOML file.

    Parameters
    ----------
    path : Path
        The file; relative paths inside it start at its folder.

    Returns
    -------
    BeamlineConfig
        Validated, with absolute paths.

    Notes
    -----
    What `load_toml` cannot read is a `ConfigError` that names the file and each key.
    """
    path = Path(path).absolute()
    return load_toml(path, BeamlineConfig).resolved(path.parent)


def load_toml(path: Path, model: type[_Model]) -> _Model:
    """Read a TOML file into a model.

    Parameters
    ----------
    path : Path
        The file.
    model : type
        Model of pydantic.

    Returns
    -------
    BaseModel
        Validated.

    Raises
    ------
    ConfigError
        If the file is missing, not TOML, or a key is unknown, absent or out of
        bounds; the text names the file and each key.
    """
    try:
        return model.model_validate(tomllib.loads(path.read_text()))
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from error
    except ValidationError as error:
        lines = [
            f"  {'.'.join(map(str, item['loc']))}: {item['msg']}, got {item['input']!r}"
            for item in error.errors()
        ]
        raise ConfigError("\n".join([f"{path}:", *lines])) from error
