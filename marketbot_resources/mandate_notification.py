"""Who is told what goes wrong, in which order, and when a test must arrive: the mandate's section notification. Pure.

Passwords and addresses that are secrets stand in the environment (`settings.notifier_environment`). Not here: what is told
(`alert_codes`), how (`notify`), delivery (`delivery`).
"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from marketbot_resources.mandate_section import Section

Address = Annotated[str, Field(pattern=r"^[^@\s<>,;:\"]{1,64}@[A-Za-z0-9.-]{1,190}$")]
Hour = Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]
Zone = Literal["America/New_York", "Europe/London", "Europe/Berlin", "Asia/Tokyo", "Asia/Hong_Kong", "UTC"]
Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
LOCAL = "127.0.0.1"


class Channel(Section):
    """One way to reach people. `severity_min`: what is less severe does not go this way. smtp alone has the keys after it."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,31}$")]
    kind: Literal["smtp", "slack", "apprise"]
    severity_min: Literal["INFO", "WARN", "ERROR", "CRITICAL"] = "WARN"
    host: Annotated[str, Field(pattern=r"^[A-Za-z0-9.-]{0,253}$")] = ""
    port: Annotated[int, Field(ge=1, le=65_535)] = 587
    security: Literal["starttls", "tls", "plain"] = "starttls"
    sender: Annotated[Address | None, Field(alias="from")] = None
    to: Annotated[tuple[Address, ...], Field(max_length=20)] = ()

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        mail = self.kind == "smtp"
        if mail != bool(self.host and self.sender and self.to):
            raise ValueError(f"{self.name}: expected host, from and to of an smtp channel, and of no other")
        if mail and self.security == "plain" and self.host != LOCAL:
            raise ValueError(f"{self.name}: expected starttls or tls, plain is for {LOCAL} alone")
        return self


class QuietHours(Section):
    """When what is less severe than ERROR waits; over midnight when `until` is not later than `begin`."""

    begin: Hour
    until: Hour
    timezone: Zone


class WeeklyTest(Section):
    """When a synthetic alert goes out on every channel, by the machine's clock."""

    weekday: Weekday
    at: Hour
    timezone: Zone = "UTC"


class Heartbeat(Section):
    """An outside watcher (its address: MARKETBOT_HEARTBEAT_URL) is told of each session's end and alarms when it hears nothing."""

    method: Literal["GET", "POST"] = "POST"


class Digest(Section):
    """What is told of each session and each week, good or bad: to the first of these channels that acknowledges, whatever their
    severity_min. `address`: where `marketbot serve` is reached, for links.
    """

    daily: bool = True
    weekly: bool = True
    channels: Annotated[tuple[str, ...], Field(min_length=1, max_length=8)]
    address: Annotated[
        str | None, Field(pattern=r"^https://[A-Za-z0-9.-]{1,253}(:\d{1,5})?(/[A-Za-z0-9._~-]{1,64}){0,4}$")
    ] = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not (self.daily or self.weekly):
            raise ValueError("digest: expected daily or weekly, found neither; leave the section out instead")
        if len(set(self.channels)) != len(self.channels):
            raise ValueError("digest: a channel is named twice")
        return self


class Notification(Section):
    """Keys of the mandate's section notification; `docs/alerts.md` says what each value does."""

    channels: Annotated[tuple[Channel, ...], Field(min_length=1, max_length=8)]
    escalate_minutes: Annotated[int, Field(ge=1, le=60)] = 5
    quiet_hours: QuietHours | None = None
    weekly_test: WeeklyTest | None = None
    heartbeat: Heartbeat | None = None
    digest: Digest | None = None

    @model_validator(mode="after")
    def _no_name_twice(self) -> Self:
        names = [channel.name for channel in self.channels]
        if len(set(names)) != len(names):
            raise ValueError("channels: a name is given twice")
        unknown = [name for name in (self.digest.channels if self.digest is not None else ()) if name not in names]
        if unknown:
            raise ValueError(f"digest: expected channels among {', '.join(names)}, found {', '.join(unknown)}")
        return self
