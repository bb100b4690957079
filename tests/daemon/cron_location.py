"""The fast location without its daily sensor: the cron schedule starts the sessions, with a tick each minute of the machine."""

import dagster as dg
import fast_location

from marketbot_assets.automation import daily_schedule, daily_sensor

daily_sensor._default_status = dg.DefaultSensorStatus.STOPPED
daily_schedule._default_status = dg.DefaultScheduleStatus.RUNNING
daily_schedule._cron_schedule = (
    "* * * * *"  # no cron of the machine can follow the fast clock; the guards ask the clock
)
defs = fast_location.build_definitions({"clock": fast_location.CLOCK})
