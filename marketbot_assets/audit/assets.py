"""Assets of the audit stage: the record that binds a decision to its inputs, its replay, attribution, drift, the report."""

import json

import dagster as dg

from marketbot_assets import audit_facts, champion_facts, drift_facts, drift_pages, model_watch_facts, replay
from marketbot_assets.audit import schema
from marketbot_assets.lineage import materialized, stage_asset
from marketbot_assets.source import keep_versions
from marketbot_resources.store.resource import StoreResource
from marketbot_resources.wiring import HaltResource, NotaryResource

STAGE = "audit"


@stage_asset(schema.DECISION_RECORD, stage=STAGE, deps=audit_facts.RECORD_DEPS, kinds=("ledger",), domain="control")
def decision_record(context: dg.AssetExecutionContext, store: StoreResource) -> dg.MaterializeResult:
    """Every version that the decision rests on, appended to the ledger with the frozen batch before anything is sent."""
    read, lake = store.reader(context), store.lake
    frame = audit_facts.recorded(read, lake.ledger)
    entry = audit_facts.freeze(read, lake, frame, keep_versions(lake))
    return materialized(context, store, frame, schema.DECISION_RECORD, facts={"ledger_entry": entry})


@stage_asset(schema.REPLAY_CHECK, stage=STAGE, deps=[*replay.DAILY, "submissions"], domain="control")
def replay_check(context: dg.AssetExecutionContext, store: StoreResource, halt: HaltResource) -> dg.MaterializeResult:
    """Each asset from raw tables to orders, rebuilt from the versions in its manifest and compared; a difference halts trading."""
    frame = replay.replayed(store.reader(context), store.lake)
    audit_facts.halt_on_difference(frame, halt.open(), store.lake.ledger)
    shows: dict[str, str | int | float | dg.MetadataValue] = {"equal": int(frame["same"].sum()), "of": len(frame)}
    return materialized(context, store, frame, schema.REPLAY_CHECK, shows=shows)


@stage_asset(schema.ATTRIBUTION, stage=STAGE, deps=[*audit_facts.ATTRIBUTION_DEPS, "submissions"], domain="book")
def attribution(context: dg.AssetExecutionContext, store: StoreResource) -> dg.MaterializeResult:
    """The session's profit and loss by instrument, sector and currency: price, currency, dividend, trading, fee, tax."""
    frame = audit_facts.attributed(store.reader(context), store.lake.ledger)
    return materialized(context, store, frame, schema.ATTRIBUTION)


@stage_asset(schema.DRIFT, stage=STAGE, deps=drift_facts.DRIFT_DEPS, carries=True, domain="model")
def drift(context: dg.AssetExecutionContext, store: StoreResource) -> dg.MaterializeResult:
    """Forecasts, features, data, execution and language models against what they were: every measure with bounds and state."""
    frame = drift_facts.drifted(store.reader(context), store.lake.ledger)
    return materialized(context, store, frame, schema.DRIFT, shows=drift_pages.drift(frame))


@stage_asset(
    schema.SHADOW_BOOK, stage=STAGE, deps=[*audit_facts.SHADOW_DEPS, "submissions"], carries=True, domain="model"
)
def shadow_book(context: dg.AssetExecutionContext, store: StoreResource) -> dg.MaterializeResult:
    """What views of language models were worth in money: two model books of one simple rule, not the account's own result."""
    frame = audit_facts.shadowed(store.reader(context), store.lake.ledger)
    shown = ("nav_with", "nav_without", "difference_bps", "cumulated_bps", "influence")
    shows = {name: float(frame[name].iloc[0]) for name in shown} | {"contaminated": str(frame["contaminated"].iloc[0])}
    return materialized(context, store, frame, schema.SHADOW_BOOK, shows=shows)


@stage_asset(
    schema.MODEL_WATCH, stage=STAGE, deps=[*model_watch_facts.WATCH_DEPS, "submissions"], carries=True, domain="model"
)
def model_watch(context: dg.AssetExecutionContext, store: StoreResource) -> dg.MaterializeResult:
    """What the registry's shadows and champion said of each name, what it earned and how far it was off; by rule they move on."""
    read, lake = store.reader(context), store.lake
    frame, watched = model_watch_facts.watched(read, lake.ledger)
    told = model_watch_facts.record(read, lake, frame, watched)
    used = champion_facts.used(read, lake, "model_watch", [one.chosen for one in watched])
    return materialized(context, store, frame, schema.MODEL_WATCH, blobs=used, shows={"registry": "; ".join(told)})


@stage_asset(schema.DAILY_REPORT, stage=STAGE, deps=audit_facts.REPORTED, kinds=("html",), domain="report")
def daily_report(context: dg.AssetExecutionContext, store: StoreResource) -> dg.MaterializeResult:
    """The session for people: one self-contained page, and its headline numbers. `marketbot report` writes it to a file."""
    frame = audit_facts.reported(store.reader(context), store.lake.ledger)
    shows = {name: str(value) for name, value in json.loads(frame["summary_json"].iloc[0]).items()}
    return materialized(context, store, frame, schema.DAILY_REPORT, shows=shows)


@stage_asset(schema.PROOF, stage=STAGE, deps=["daily_report", "mandate"], kinds=("ledger",), domain="control")
def proof(context: dg.AssetExecutionContext, store: StoreResource, notary: NotaryResource) -> dg.MaterializeResult:
    """Every object that the session stored, sealed in the ledger, whose head is then signed and put into the mandate's anchors."""
    read, lake = store.reader(context), store.lake
    signing = notary.open(lake, read.mandate())
    result = materialized(context, store, audit_facts.stored_objects(read, lake), schema.PROOF)
    return result._replace(metadata={**(result.metadata or {}), **audit_facts.signed(lake, read.part, signing)})


ASSETS = [decision_record, replay_check, attribution, drift, shadow_book, model_watch, daily_report, proof]
