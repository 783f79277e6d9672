"""A stage that brings samples into the beam by their names, and moves inside them."""

from collections.abc import Mapping

from bluesky.protocols import Movable
from ophyd_async.core import (
    AsyncStatus,
    StandardReadable,
    soft_signal_r_and_setter,
    soft_signal_rw,
)

from ainerd_bluesky.errors import ConfigError
from ainerd_bluesky.xpcs.simulate.samples import SimulatedSample

__all__ = ["SampleStage"]


class SampleStage(StandardReadable, Movable[str]):
    """Stage with simulated samples; its position is a sample's name.

    Its motors `x` and `y` move inside the sample, in mm from its middle.

    Parameters
    ----------
    samples : mapping of str to SimulatedSample
        What is mounted, by the name that people use.
    name : str, optional
        Name of the device.

    Raises
    ------
    ConfigError
        If nothing is mounted.
    """

    def __init__(self, samples: Mapping[str, SimulatedSample], name: str = "") -> None:
        if not samples:
            raise ConfigError("a sample stage needs at least one sample, got none")
        self.samples = dict(samples)
        self._current = next(iter(self.samples))
        with self.add_children_as_readables():
            self.sample, self._set_sample = soft_signal_r_and_setter(
                str, initial_value=self._current
            )
            self.x = soft_signal_rw(float, units="mm")
            self.y = soft_signal_rw(float, units="mm")
        super().__init__(name=name)

    @property
    def current(self) -> SimulatedSample:
        """The sample in the beam."""
        return self.samples[self._current]

    @AsyncStatus.wrap
    async def set(self, value: str) -> None:
        """Move to a sample; raise `ConfigError` if it is not mounted."""
        if value not in self.samples:
            raise ConfigError(
                f"no sample {value!r} on the stage; it holds {', '.join(self.samples)}"
            )
        self._current = value
        self._set_sample(value)
