"""A stage whose positions are conditions: temperature, shear rate, a place."""

import asyncio
from collections.abc import Mapping, Sequence

from bluesky.protocols import Movable, Status
from ophyd_async.core import AsyncStatus, StandardReadable, soft_signal_r_and_setter

from ainerd_bluesky.errors import ConfigError

__all__ = ["NamedPositions"]


class NamedPositions(StandardReadable, Movable[str]):
    """Stage that moves motors, all at once, to the values that a name stands for.

    With the coordinates of candidates as positions, a plan that moves to a candidate by
    its name sets its conditions.

    Parameters
    ----------
    motors : sequence of Movable
        Of ophyd or ophyd-async; a temperature controller is one, too.
    positions : mapping of str to sequence of float
        One value for each motor, by name.
    name : str, optional
        Name of the device.

    Raises
    ------
    ConfigError
        If there are no positions, or one does not fit the motors.
    """

    def __init__(
        self,
        motors: Sequence[Movable[float]],
        positions: Mapping[str, Sequence[float]],
        name: str = "",
    ) -> None:
        odd = [key for key, values in positions.items() if len(values) != len(motors)]
        if odd or not positions:
            raise ConfigError(
                f"positions need {len(motors)} values, one for each motor; those of "
                f"{odd or 'no name'} do not fit"
            )
        # In a tuple they are no children: they keep their names and parents.
        self._moves = tuple(motors)
        self._positions = {key: tuple(values) for key, values in positions.items()}
        with self.add_children_as_readables():
            self.position, self._set_position = soft_signal_r_and_setter(str)
        super().__init__(name=name)

    @AsyncStatus.wrap
    async def set(self, value: str) -> None:
        """Move to a named position; raise `ConfigError` if there is none."""
        if value not in self._positions:
            raise ConfigError(
                f"no position {value!r}; there are {', '.join(self._positions)}"
            )
        pairs = zip(self._moves, self._positions[value], strict=True)
        await asyncio.gather(*(_finish(motor.set(target)) for motor, target in pairs))
        self._set_position(value)


async def _finish(status: Status) -> None:
    """Wait for a status of ophyd or ophyd-async, and raise what is wrong with it."""
    loop, is_done = asyncio.get_running_loop(), asyncio.Event()

    def tell(_: Status) -> None:
        loop.call_soon_threadsafe(is_done.set)

    status.add_callback(tell)
    await is_done.wait()
    if (error := status.exception()) is not None:
        raise error
