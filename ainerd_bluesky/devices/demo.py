"""A whole simulated beamline in one folder."""

import pkgutil
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from ophyd_async.core import StaticPathProvider, UUIDFilenameProvider

from ainerd_bluesky.devices.detector import SimulatedXPCSDetector
from ainerd_bluesky.devices.stage import SampleStage
from ainerd_bluesky.profiles import beamline_path
from ainerd_bluesky.xpcs.data.roi import QPartition
from ainerd_bluesky.xpcs.simulate.movie import default_partition
from ainerd_bluesky.xpcs.simulate.samples import (
    SimulatedSample,
    simulate_sample,
    unknown_samples,
)

__all__ = ["DemoBeamline", "demo_beamline"]

_WRITE_PARTITION = "tiled_adapters.formats.qmap:write_partition"
_DETECTOR_NAME = "eiger"
_N_SAMPLES = 20


@dataclass(frozen=True)
class DemoBeamline:
    """Devices and files of a simulated beamline.

    Parameters
    ----------
    detector : SimulatedXPCSDetector
        Named ``eiger``.
    stage : SampleStage
        Named ``stage``.
    config_path : Path
        Beamline file; the partition, the frames and the outbox are beside it.
    partition_path : Path
        The q-partition.
    """

    detector: SimulatedXPCSDetector
    stage: SampleStage
    config_path: Path
    partition_path: Path

    @property
    def samples(self) -> list[str]:
        """Names of the mounted samples."""
        return list(self.stage.samples)

    def truth(self, sample: str) -> str:
        """Return the label that a perfect analysis would give a sample."""
        return str(self.stage.samples[sample].label)


def demo_beamline(
    folder: Path,
    *,
    samples: dict[str, SimulatedSample] | None = None,
    seed: int = 0,
    shape: tuple[int, int] = (256, 256),
) -> DemoBeamline:
    """Build a simulated beamline; the folder may be of an earlier one.

    Parameters
    ----------
    folder : Path
        Gets the beamline file, the partition and the frames.
    samples : dict of str to SimulatedSample, optional
        What is mounted; unset: a shuffled shelf under the names ``sample-01``, ...
    seed : int, optional
        Decides all chance.
    shape : tuple of int, optional
        Rows and columns of the detector.

    Returns
    -------
    DemoBeamline
        Devices to hand to a RunEngine; connect them with `ensure_connected` or
        inside `init_devices`.
    """
    folder = Path(folder).absolute()
    (folder / "frames").mkdir(parents=True, exist_ok=True)
    config_path = folder / "demo.toml"
    if not config_path.exists():
        shutil.copyfile(beamline_path("demo"), config_path)
    partition = default_partition(shape)
    partition_path = folder / "partition.h5"
    _write_partition(partition_path, partition)

    stage = SampleStage(samples or unknown_samples(_N_SAMPLES, seed), name="stage")
    chance = np.random.SeedSequence(seed)

    def simulate(n_frames: int) -> NDArray[np.uint16]:
        scan_seed = int(chance.spawn(1)[0].generate_state(1)[0])
        return simulate_sample(
            stage.current, partition, n_frames=n_frames, seed=scan_seed
        )

    files = StaticPathProvider(UUIDFilenameProvider(), folder / "frames")
    detector = SimulatedXPCSDetector(files, simulate, shape, name=_DETECTOR_NAME)
    return DemoBeamline(detector, stage, config_path, partition_path)


def _write_partition(path: Path, partition: QPartition) -> None:
    # By its name: the file formats are a layer above this one.
    pkgutil.resolve_name(_WRITE_PARTITION)(path, partition)
