import asyncio
import math
import threading

import pytest
from bluesky import RunEngine
from bluesky import plan_stubs as bps
from bluesky.utils import FailedStatus, RunEngineInterrupted
from ophyd_async.core import AsyncStatus, soft_signal_rw
from ophyd_async.plan_stubs import ensure_connected

from ainerd_bluesky.devices import NamedPositions
from ainerd_bluesky.errors import ConfigError

POSITIONS = {"cold": (20.0, 0.5), "hot": (60.0, 0.1)}


@pytest.fixture
def RE():
    return RunEngine({}, call_returns_result=True)


@pytest.fixture
def motors(RE):
    motors = [soft_signal_rw(float, name=name) for name in ("temperature", "shear")]
    RE(ensure_connected(*motors))
    return motors


def test_a_name_sets_all_its_conditions(RE, motors):
    stage = NamedPositions(motors, POSITIONS, name="stage")
    RE(ensure_connected(stage))

    def plan():
        yield from bps.mv(stage, "hot")
        temperature = yield from bps.rd(motors[0])
        shear = yield from bps.rd(motors[1])
        position = yield from bps.rd(stage.position)
        return temperature, shear, position

    assert RE(plan()).plan_result == (60.0, 0.1, "hot")


def test_a_motor_that_is_stuck_fails_the_move(RE):
    class Stuck:
        @AsyncStatus.wrap
        async def set(self, value):
            raise OSError(f"stuck before {value}")

    stage = NamedPositions([Stuck()], {"far": (9.0,)}, name="stage")
    RE(ensure_connected(stage))
    with pytest.raises(FailedStatus) as error:
        RE(bps.mv(stage, "far"))
    assert "stuck before 9.0" in str(error.value.__cause__)


def test_an_unknown_name_is_told(RE, motors):
    stage = NamedPositions(motors, POSITIONS, name="stage")
    with pytest.raises(FailedStatus) as error:
        RE(bps.mv(stage, "warm"))
    assert "no position 'warm'; the first of 2 are cold, hot" in str(
        error.value.__cause__
    )


@pytest.mark.parametrize(
    "positions", [{}, {"cold": (20.0,)}, {"cold": (20.0, math.nan)}], ids=str
)
def test_positions_that_do_not_fit_are_refused(motors, positions):
    with pytest.raises(ConfigError, match="one for each motor"):
        NamedPositions(motors, positions)


class Slow:
    """Takes its time; fails before some values; counts its stops."""

    parent = None

    def __init__(self, seconds=0.0, broken=()):
        self.seconds = seconds
        self.broken = broken
        self.value = 0.0
        self.stops = []

    @AsyncStatus.wrap
    async def set(self, value):
        if value in self.broken:
            raise OSError("stuck")
        await asyncio.sleep(self.seconds)
        self.value = value

    async def stop(self, success=True):
        self.stops.append(success)


class Deaf(Slow):
    def stop(self, success=True):
        raise OSError("does not listen")


def make_stage(RE, *motors):
    stage = NamedPositions(motors, {"a": (1.0, 1.0), "b": (2.0, 2.0)}, name="stage")
    RE(ensure_connected(stage))
    return stage


def test_a_failed_move_leaves_no_position_and_nothing_moving(RE):
    slow, frail = Slow(0.2), Slow(broken={2.0})
    stage = make_stage(RE, slow, frail)
    RE(bps.mv(stage, "a"))
    assert RE(bps.rd(stage.position)).plan_result == "a"
    with pytest.raises(FailedStatus):
        RE(bps.mv(stage, "b"))
    assert (slow.value, frail.value) == (2.0, 1.0)
    assert RE(bps.rd(stage.position)).plan_result == ""


def test_a_motor_that_refuses_at_once_does_not_hold_up_the_others(RE):
    class Refusing(Slow):
        def set(self, value):
            raise ValueError("beyond its limits")

    slow = Slow(0.1)
    stage = make_stage(RE, Refusing(), slow)
    with pytest.raises(FailedStatus):
        RE(bps.mv(stage, "b"))
    assert slow.value == 2.0


def test_an_abort_stops_every_motor(RE):
    motors = [Slow(0.5), Slow(0.5)]
    stage = make_stage(RE, *motors)
    threading.Timer(0.1, RE.request_pause).start()
    with pytest.raises(RunEngineInterrupted):
        RE(bps.mv(stage, "a"))
    RE.abort()
    assert all(motor.stops for motor in motors)


def test_a_motor_that_cannot_be_stopped_does_not_keep_the_others(RE):
    deaf, slow = Deaf(), Slow()
    stage = make_stage(RE, deaf, slow)
    with pytest.raises(OSError, match="does not listen"):
        asyncio.run(stage.stop())
    assert slow.stops == [True]


def test_a_stopped_move_has_no_position(RE):
    stage = make_stage(RE, Slow(0.1), Slow(0.1))

    async def move_and_stop():
        status = stage.set("a")
        await asyncio.sleep(0.02)
        await stage.stop()
        await status
        return await stage.position.get_value()

    future = asyncio.run_coroutine_threadsafe(move_and_stop(), RE.loop)
    assert future.result(timeout=5) == ""


def test_an_error_does_not_list_ten_thousand_names(RE):
    stage = NamedPositions([Slow()], {f"s{n}": (n,) for n in range(10_000)}, name="x")
    with pytest.raises(FailedStatus) as error:
        RE(bps.mv(stage, "warm"))
    assert "the first of 10000 are s0, s1" in str(error.value.__cause__)
    assert len(str(error.value.__cause__)) < 200
