import pytest
from bluesky import RunEngine
from bluesky import plan_stubs as bps
from bluesky.utils import FailedStatus
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
    assert "no position 'warm'; there are cold, hot" in str(error.value.__cause__)


@pytest.mark.parametrize("positions", [{}, {"cold": (20.0,)}], ids=str)
def test_positions_that_do_not_fit_are_refused(motors, positions):
    with pytest.raises(ConfigError, match="one for each motor"):
        NamedPositions(motors, positions)
