"""A stage whose positions are conditions: temperature, shear rate, a place."""

import asyncio
import itertools
import math
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from typing import Any

from bluesky.protocols import Movable, Status, Stoppable
from bluesky.utils import maybe_await
from ophyd_async.core import AsyncStatus, StandardReadable, soft_signal_r_and_setter

from ainerd_bluesky.errors import ConfigError

__all__ = ["NamedPositions"]

_SHOWN = 8


class NamedPositions(StandardReadable, Movable[str], Stoppable):
    """Stage that moves motors, all at once, to the values that a name stands for.

    With the coordinates of candidates as positions, a plan that moves to a candidate by
    its name sets its conditions. `position` is empty from the start of a move until all
    motors have arrived.

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
        If there are no positions, or one does not fit the motors or is not finite.
    """

    def __init__(
        self,
        motors: Sequence[Movable[float]],
        positions: Mapping[str, Sequence[float]],
        name: str = "",
    ) -> None:
        odd = [
            key
            for key, values in positions.items()
            if len(values) != len(motors) or not all(map(math.isfinite, values))
        ]
        if odd or not positions:
            raise ConfigError(
                f"positions need {len(motors)} finite values, one for each motor; "
                f"those of {_some(odd) if odd else 'no name'} do not fit"
            )
        # In a tuple they are no children: they keep their names and parents.
        self._motors = tuple(motors)
        self._positions = {key: tuple(values) for key, values in positions.items()}
        self._n_stops = 0
        with self.add_children_as_readables():
            self.position, self._set_position = soft_signal_r_and_setter(str)
        super().__init__(name=name)

    @AsyncStatus.wrap
    async def set(self, value: str) -> None:
        """Move to a named position; if a motor fails, the others arrive first."""
        if value not in self._positions:
            raise ConfigError(
                f"no position {value!r}; the first of {len(self._positions)} are "
                f"{_some(self._positions)}"
            )
        n_stops = self._n_stops
        self._set_position("")
        targets = zip(self._motors, self._positions[value], strict=True)
        await _all([_move(motor, target) for motor, target in targets])
        if self._n_stops == n_stops:
            self._set_position(value)

    async def stop(self, success: bool = True) -> None:  # noqa: FBT001 - Bluesky's
        """Stop every motor that can be stopped, whatever the others do."""
        self._n_stops += 1
        motors = [motor for motor in self._motors if isinstance(motor, Stoppable)]
        await _all([_stop(motor, success=success) for motor in motors])


async def _all(actions: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Let all actions end, then raise the first error."""
    outcomes = await asyncio.gather(*actions, return_exceptions=True)
    for outcome in outcomes:
        if outcome is not None:
            raise outcome


async def _move(motor: Movable[float], target: float) -> None:
    await _finish(motor.set(target))


async def _stop(motor: Stoppable, *, success: bool) -> None:
    await maybe_await(motor.stop(success=success))


async def _finish(status: Status) -> None:
    """Wait for a status of ophyd or ophyd-async, and raise what is wrong with it."""
    loop, is_done = asyncio.get_running_loop(), asyncio.Event()

    def tell(_: Status) -> None:
        loop.call_soon_threadsafe(is_done.set)

    status.add_callback(tell)
    await is_done.wait()
    if (error := status.exception()) is not None:
        raise error


def _some(names: Iterable[str]) -> str:
    return ", ".join(itertools.islice(names, _SHOWN))
