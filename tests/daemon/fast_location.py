"""The product as a code location whose clock is fast: `dagster api grpc -m fast_location`. Everything else is the product.

MONTH_CLOCK names the clock's file, MONTH_TICK the seconds between ticks of the sensors, which are on here.
"""

import os
from pathlib import Path

import dagster as dg
from month_clock import FastClock

from marketbot_assets.automation import daily_sensor
from marketbot_assets.automation_alerts import alert_sensor
from marketbot_assets.automation_orders import order_sensor
from marketbot_assets.definitions import build_definitions
from marketbot_resources.clock import Clock
from marketbot_resources.wiring import ClockResource


class FastClockResource(ClockResource):
    """The clock of the file."""

    path: str

    def open(self) -> Clock:
        return FastClock(Path(self.path))


def fast(sensor: dg.SensorDefinition, seconds: int) -> None:
    """A sensor of the product: on, and asked more often. Dagster has no public way to change that of a sensor that exists."""
    sensor._default_status = dg.DefaultSensorStatus.RUNNING
    sensor._min_interval = seconds


TICK = int(os.environ["MONTH_TICK"])
fast(daily_sensor, TICK)
fast(alert_sensor, TICK)
fast(order_sensor, 24 * TICK)  # each run of it costs a process
CLOCK = FastClockResource(path=os.environ["MONTH_CLOCK"])
defs = build_definitions({"clock": CLOCK})
