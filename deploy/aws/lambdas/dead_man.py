"""The dead man's switch, outside of the machine (RC-85): no signed head of the ledger for too long, so somebody is told.

The heartbeat is the newest object under `checkpoint/` in the bucket of anchors: each session ends with one, and it cannot be
forged or removed by the machine. The age is counted in hours of weekdays, so that a weekend is no silence. With CANCEL_ALL=on
it cancels open orders with a key of its own, one by one, until the broker's own list is empty (RC-80: within 60 seconds).
An hour that cannot be judged is an error, which alarms, too. Only the standard library and boto3.
"""

import datetime as dt
import json
import os
import time
import urllib.error
import urllib.request

import boto3

BROKERS = {"paper": "https://paper-api.alpaca.markets", "live": "https://api.alpaca.markets"}
KEYS = ("APCA_API_KEY_ID", "APCA_API_SECRET_KEY")
SUFFIX, PAGES_MAX, CANCEL_SECONDS, PAUSE_SECONDS, ANSWER_SECONDS = ".txt", 100, 60.0, 2.0, 8.0
ORDERS_MAX, BODY_MAX, HOUR, SATURDAY = 500, 5_000_000, 3600.0, 5


def handler(event, context, environ=os.environ, seconds=CANCEL_SECONDS, pause=PAUSE_SECONDS):
    """One look. Returns what it saw and did; its age is a metric, by CloudWatch's embedded metric format in the log."""
    now = dt.datetime.now(dt.UTC)
    limit = float(environ["HOURS_MAX"])
    newest = newest_head(boto3.client("s3"), environ["ANCHORS"])
    age = None if newest is None else weekday_hours(newest, now)
    silent = age is None or not age <= limit
    tell_metric(now, limit * 2 if age is None else age, environ["STAGE"])
    done = cancelled(environ, seconds, pause) if silent and environ.get("CANCEL_ALL") == "on" else None
    if done is not None and (done["cancelled"] or done["problem"]):
        publish(age, done, environ["TOPIC"])
    if done is not None and done["problem"]:
        raise RuntimeError(f"dead man: open orders may be left: {done['problem']}")
    return {"age_hours": age, "silent": silent, "cancel": done}


def newest_head(s3, bucket):
    """When the newest head was put; None when there is none. Raises when there are more pages than it may read."""
    newest, more = None, {}
    for _ in range(PAGES_MAX):
        page = s3.list_objects_v2(Bucket=bucket, **more)
        for found in page.get("Contents", ()):
            if "checkpoint/" in found["Key"] and found["Key"].endswith(SUFFIX):
                newest = found["LastModified"] if newest is None else max(newest, found["LastModified"])
        if not page.get("IsTruncated"):
            return newest
        more = {"ContinuationToken": page["NextContinuationToken"]}
    raise RuntimeError(f"dead man: expected at most {PAGES_MAX} pages of heads")


def weekday_hours(since, until):
    """Hours from one instant to another that lie on Monday to Friday, UTC; 0.0 when `until` comes first."""
    hours, at = 0.0, since
    while at < until:
        midnight = (at + dt.timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
        end = min(midnight, until)
        if at.weekday() < SATURDAY:
            hours += (end - at).total_seconds() / HOUR
        at = end
    return hours


def tell_metric(now, age, stage):
    """The age as metric HeartbeatAgeHours of namespace marketbot; no right to write metrics is needed."""
    told = {
        "Namespace": "marketbot",
        "Dimensions": [["Stage"]],
        "Metrics": [{"Name": "HeartbeatAgeHours", "Unit": "None"}],
    }
    print(
        json.dumps(
            {
                "_aws": {"Timestamp": int(now.timestamp() * 1000), "CloudWatchMetrics": [told]},
                "Stage": stage,
                "HeartbeatAgeHours": round(age, 2),
            }
        )
    )


def cancelled(environ, seconds, pause):
    """Cancels until the broker reports no open order, for at most a minute; how many it asked for, and what went wrong."""
    asked, problem, until = set(), "", time.monotonic() + seconds
    try:
        headers = broker_headers(environ["STAGE"])
        base = broker_address(environ["STAGE"], environ.get("BROKER_URL", ""))
    except Exception as error:  # whatever it is: orders may be left, and no key may be said
        return {"cancelled": 0, "problem": f"set-up: {type(error).__name__}"}
    while True:
        try:
            left = open_orders(base, headers)
            if not left:
                return {"cancelled": len(asked), "problem": ""}
            problem = f"{len(left)} orders are still open"
            for order in left:
                answer(base, headers, "DELETE", f"/v2/orders/{order}")
                asked.add(order)
        except (OSError, ValueError, KeyError, TypeError) as error:
            problem = f"the broker gave no usable answer: {type(error).__name__}"
        if time.monotonic() >= until:
            return {"cancelled": len(asked), "problem": problem}
        time.sleep(pause)


def broker_address(stage, given):
    """The broker's address of this stage, never another one; for tests 127.0.0.1."""
    return given if given.startswith("http://127.0.0.1:") else BROKERS[stage]


def broker_headers(stage):
    """The switch's own key, from two parameters that no one else may read."""
    names = [f"/marketbot/{stage}/deadman/{name}" for name in KEYS]
    found = boto3.client("ssm").get_parameters(Names=names, WithDecryption=True)["Parameters"]
    values = {one["Name"]: one["Value"] for one in found}
    return {name.replace("_", "-"): values[path] for name, path in zip(KEYS, names, strict=True)}


def open_orders(base, headers):
    """Ids of the orders that the broker calls open, parts of bracket orders with them. A cut or foreign answer raises."""
    status, body = answer(base, headers, "GET", f"/v2/orders?status=open&limit={ORDERS_MAX}")
    found = json.loads(body)
    if status != 200 or not isinstance(found, list):
        raise ValueError("expected a list of orders")
    return [str(one["id"]) for one in found]


def answer(base, headers, method, path):
    """Status and body of one request; a refusal is a status, not an exception."""
    asked = urllib.request.Request(base + path, method=method, headers=headers)
    try:
        with urllib.request.urlopen(asked, timeout=ANSWER_SECONDS) as got:
            return got.status, got.read(BODY_MAX)
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read(BODY_MAX)


def publish(age, done, topic):
    """Tells people what was cancelled, or that orders may be left."""
    silence = (
        "no head of the ledger at all" if age is None else f"no head of the ledger for {age:.0f} hours of weekdays"
    )
    left = (
        f"ORDERS MAY BE LEFT: {done['problem']}. Cancel them at the broker." if done["problem"] else "None is open now."
    )
    text = f"{silence}; {done['cancelled']} open orders were asked to be cancelled. {left}"
    boto3.client("sns").publish(TopicArn=topic, Subject="marketbot: dead man's switch", Message=text)
