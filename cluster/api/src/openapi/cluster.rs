//! Settings, members, and how a node stands.

use holdfast_model::Setting;
use serde_json::{Map, Value, json};

use super::answers::{LedgerStart, Live, Ready, SnapshotTaken};
use super::{Document, LEDGER};
use crate::{AddMember, Audit, ErrorCode as Code, Status, TransferLeadership, TrimLedger};

/// What a change of the cluster is refused with.
const CHANGE: &[Code] = &[Code::InvalidMembership, Code::MembershipBusy];

/// Replicated settings, and where the ledger starts.
pub fn describe_settings(document: &mut Document) {
    document.tag("Settings");
    document.get("/config", "settings", "The settings").looks().answers_schema(
        200,
        "All settings.",
        "application/json",
        settings(true),
    );
    document
        .put("/config", "configure", "Changes settings")
        .takes_schema(false, settings(false))
        .changes()
        .answers_schema(200, "All settings.", "application/json", settings(true))
        .refuses(&[Code::SettingOutOfRange]);
    document
        .post("/ledger/trim", "trimLedger", "Drops the beginning of the ledger")
        .takes::<TrimLedger>()
        .changes()
        .answers::<LedgerStart>(200, "Where it starts now.")
        .refuses(&[Code::SeqAhead]);
}

/// The settings by name, each in its range.
fn settings(is_whole: bool) -> Value {
    let property = |setting: Setting| {
        let (least, most) = setting.range();
        (setting.name().to_owned(), json!({"type": "integer", "minimum": least, "maximum": most}))
    };
    let properties: Map<String, Value> = Setting::ALL.into_iter().map(property).collect();
    let required = if is_whole { Setting::ALL.map(Setting::name).to_vec() } else { Vec::new() };
    json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
}

/// Members, leadership, and whether all is well.
pub fn describe_cluster(document: &mut Document) {
    document.tag("Cluster");
    document
        .get("/cluster", "status", "How this node and its cluster stand")
        .answers::<Status>(200, "Status.");
    members(document);
    document
        .post("/cluster/leader", "transferLeadership", "Hands over leadership")
        .may_take::<TransferLeadership>()
        .is_done_by_the_leader()
        .answers::<Status>(200, "Status after it.")
        .refuses(CHANGE);
    document
        .post("/cluster/snapshot", "takeSnapshot", "A snapshot of this node now")
        .answers::<SnapshotTaken>(200, "The snapshot.")
        .refuses(&[Code::NoLeader, Code::OutcomeUnknown, Code::Stopped]);
    document
        .get("/audit", "audit", "Whether the invariants hold, by the state and by the ledger")
        .answers::<Audit>(200, "What was found.")
        .refuses(LEDGER)
        .refuses(&[Code::Malformed]);
    document.tag("Service");
    document.get("/livez", "live", "Whether the node lives").answers::<Live>(200, "It does.");
    document
        .get("/readyz", "ready", "Whether the node is ready")
        .query_of("verbose", &["", "true"], "Names the checks.")
        .answers::<Ready>(200, "It is.")
        .answers::<Ready>(503, "It is not.");
}

fn members(document: &mut Document) {
    document
        .post("/cluster/members", "addMember", "Admits a member")
        .takes::<AddMember>()
        .is_done_by_the_leader()
        .answers::<Status>(200, "Status after it.")
        .refuses(CHANGE);
    document
        .delete("/cluster/members/{id}", "removeMember", "Removes a member")
        .is_done_by_the_leader()
        .answers::<Status>(200, "Status after it.")
        .refuses(CHANGE)
        .refuses(&[Code::UnknownMember]);
    document
        .post("/cluster/members/{id}/promote", "promoteMember", "Makes a learner a voter")
        .is_done_by_the_leader()
        .answers::<Status>(200, "Status after it.")
        .refuses(CHANGE)
        .refuses(&[Code::UnknownMember]);
}
