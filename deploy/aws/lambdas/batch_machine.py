"""Variant c: starts the machine before its sessions, and stops it when it did not stop itself. Only boto3.

The machine stops itself by shutting down (its template says that a shutdown is a stop). `stop` is for the day it hangs: a
machine that runs longer than HOURS_MAX is stopped and somebody is told. Both may be called any number of times.
"""

import datetime as dt
import os

import boto3

HOUR = 3600.0


def start(event, context, environ=os.environ):
    """Starts the machine. One that is still stopping raises: the schedule tries again, and at last an alarm tells."""
    ec2, machine = boto3.client("ec2"), environ["MACHINE"]
    state = described(ec2, machine)["State"]["Name"]
    if state == "stopped":
        ec2.start_instances(InstanceIds=[machine])
        return {"machine": machine, "was": state, "started": True}
    if state in ("running", "pending"):
        return {"machine": machine, "was": state, "started": False}
    raise RuntimeError(f"start: expected {machine} stopped or running, found {state}")


def stop(event, context, environ=os.environ):
    """Stops a machine that runs for longer than it may, and tells. Returns for how many hours it has run, None when it does not."""
    ec2, machine = boto3.client("ec2"), environ["MACHINE"]
    found = described(ec2, machine)
    if found["State"]["Name"] != "running":
        return {"machine": machine, "hours": None, "stopped": False}
    hours = (dt.datetime.now(dt.UTC) - found["LaunchTime"]).total_seconds() / HOUR
    if hours <= float(environ["HOURS_MAX"]):
        return {"machine": machine, "hours": hours, "stopped": False}
    ec2.stop_instances(InstanceIds=[machine])
    text = f"{machine} ran for {hours:.1f} hours and was stopped from outside. See whether its session ended: marketbot status."
    boto3.client("sns").publish(TopicArn=environ["TOPIC"], Subject="marketbot: machine did not stop", Message=text)
    return {"machine": machine, "hours": hours, "stopped": True}


def described(ec2, machine):
    """What EC2 says of the machine. LaunchTime is that of its last start."""
    return ec2.describe_instances(InstanceIds=[machine])["Reservations"][0]["Instances"][0]
