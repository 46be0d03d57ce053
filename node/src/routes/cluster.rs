//! The cluster: who is in it, who leads, and whether the invariants hold.

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use axum::routing::{delete, get, post};
use holdfast_api::{
    AddMember, Audit, Digest, ErrorCode, MemberState, Problem, Status, TransferLeadership, Violation,
};
use holdfast_model::{self as model, Replay, Seq};
use holdfast_replica::{self as replica, LedgerError, Member, Role};

use crate::App;
use crate::mutate::{MAX_BODY_BYTES, Whole, administer, blocking};
use crate::reply::{json, malformed, of_admin_error, of_ledger_error, problem};

/// How many records are replayed before others get a turn.
const REPLAY_STEP: usize = 10_000;

/// The routes of this file.
pub fn router() -> Router<App> {
    Router::new()
        .route("/cluster", get(status))
        .route("/cluster/members", post(add))
        .route("/cluster/members/{id}", delete(remove))
        .route("/cluster/members/{id}/promote", post(promote))
        .route("/cluster/leader", post(transfer))
        .route("/cluster/snapshot", post(snapshot))
        .route("/audit", get(audit))
}

async fn status(State(app): State<App>) -> Response {
    json(200, &status_body(&app))
}

/// How this node and its cluster stand.
pub fn status_body(app: &App) -> Status {
    let status = app.replica().status();
    let (stats, model_version) =
        app.replica().read(|inventory| (inventory.stats(), inventory.model_version()));
    let leader_id = status.leader.as_ref().map(|leader| leader.id);
    let members: Vec<MemberState> = status.members.iter().map(member_body).collect();
    Status {
        cluster_id: status.cluster_id,
        epoch: status.epoch,
        node_id: status.me.id,
        role: role_name(status.role).to_owned(),
        term: status.term,
        leader: members.iter().find(|member| Some(member.id) == leader_id).cloned(),
        members,
        purged_index: status.purged_index,
        last_log_index: status.last_log_index,
        applied_index: status.applied_index,
        applied_seq: status.applied_seq.0,
        snapshot_index: status.snapshot_index,
        log_size_bytes: status.log_size_bytes,
        snapshot_size_bytes: status.snapshot_size_bytes,
        ledger_size_bytes: status.ledger_size_bytes,
        digest: Digest::from(&status.digest),
        model_version,
        rows: stats.rows,
        holds_open: stats.holds_open,
        holds_due: stats.holds_due,
        orders_placed: stats.orders_placed,
        refunds_due: stats.refunds_due,
        subscriptions: stats.subscriptions,
        dead_letters: stats.dead_letters,
        keys: stats.keys,
        queued: status.queued as u64,
        stopped: status.stopped,
    }
}

fn member_body(status: &replica::MemberStatus) -> MemberState {
    let Member { id, peer, http } = status.member.clone();
    MemberState { id, peer, http, voter: status.voter, matched_index: status.matched_index }
}

fn role_name(role: Role) -> &'static str {
    match role {
        Role::Leader => "LEADER",
        Role::Follower => "FOLLOWER",
        Role::Learner => "LEARNER",
        Role::Candidate => "CANDIDATE",
        Role::Waiting => "WAITING",
        Role::Stopped => "STOPPED",
    }
}

async fn add(State(app): State<App>, request: Request) -> Response {
    let read = Whole::read(&app, request, MAX_BODY_BYTES)
        .await
        .and_then(|whole| Ok((whole.json::<AddMember>()?, whole)));
    let (body, whole) = match read {
        Ok(read) => read,
        Err(refused) => return problem(&refused),
    };
    let AddMember { id, peer, http, voter } = body;
    let add =
        |left| app.replica().add_member(Member { id, peer: peer.clone(), http: http.clone() }, voter, left);
    administer(&app, whole, add, |()| json(200, &status_body(&app))).await
}

async fn promote(State(app): State<App>, Path(id): Path<String>, request: Request) -> Response {
    on_member(&app, &id, request, |id, left| {
        let replica = app.replica().clone();
        async move { replica.promote(id, left).await }
    })
    .await
}

async fn remove(State(app): State<App>, Path(id): Path<String>, request: Request) -> Response {
    on_member(&app, &id, request, |id, left| {
        let replica = app.replica().clone();
        async move { replica.remove_member(id, left).await }
    })
    .await
}

async fn on_member<F>(
    app: &App,
    id: &str,
    request: Request,
    change: impl Fn(u64, std::time::Duration) -> F,
) -> Response
where
    F: Future<Output = Result<(), replica::AdminError>>,
{
    let whole = match Whole::read(app, request, MAX_BODY_BYTES).await {
        Ok(whole) => whole,
        Err(refused) => return problem(&refused),
    };
    let id: u64 = match id.parse() {
        Ok(id) => id,
        Err(_) => return problem(&malformed(format!("a member's number is a whole number, got {id:?}"))),
    };
    let is_known = app.replica().status().members.iter().any(|status| status.member.id == id);
    if !is_known {
        return problem(&Problem::new(ErrorCode::UnknownMember, format!("there is no member {id}")));
    }
    administer(app, whole, |left| change(id, left), |()| json(200, &status_body(app))).await
}

async fn transfer(State(app): State<App>, request: Request) -> Response {
    let read = Whole::read(&app, request, MAX_BODY_BYTES)
        .await
        .and_then(|whole| Ok((whole.json::<TransferLeadership>()?, whole)));
    let (body, whole) = match read {
        Ok(read) => read,
        Err(refused) => return problem(&refused),
    };
    let transfer = |left| app.replica().transfer_leadership(body.to, left);
    administer(&app, whole, transfer, |()| json(200, &status_body(&app))).await
}

/// A snapshot of this node, whether it leads or not.
async fn snapshot(State(app): State<App>) -> Response {
    match app.replica().snapshot(app.request_timeout()).await {
        Ok(index) => json(200, &serde_json::json!({"snapshotIndex": index})),
        Err(error) => problem(&of_admin_error(&error)),
    }
}

/// Checks the invariants on this node's state, and the state against this node's ledger.
async fn audit(State(app): State<App>) -> Response {
    let frozen = app.replica().read(model::Inventory::freeze);
    let start = app.replica().ledger_start().max(frozen.ledger_start());
    let replayed = match replay(&app, start, frozen.last_seq()).await {
        Ok(replayed) => replayed,
        Err(refused) => return problem(&refused),
    };
    let checked = tokio::task::spawn_blocking(move || {
        let found = match replayed {
            Ok(replay) => frozen.audit_from(start, &replay),
            Err(violation) => {
                let mut found = frozen.audit();
                found.violations.push(violation);
                found
            }
        };
        (found, frozen.digest(), frozen.last_seq())
    });
    match checked.await {
        Ok((found, digest, seq)) => json(200, &audit_body(&found, &digest, seq)),
        Err(error) => problem(&malformed(format!("the audit ended early: {error}"))),
    }
}

fn audit_body(found: &model::Audit, digest: &model::Digest, seq: Seq) -> Audit {
    let violations = found
        .violations
        .iter()
        .map(|violation| Violation { invariant: violation.invariant, detail: violation.detail.clone() });
    Audit {
        seq: seq.0,
        rows: found.rows,
        holds: found.holds,
        orders: found.orders,
        movements: found.movements,
        digest: Digest::from(digest),
        violations: violations.collect(),
    }
}

/// The ledger from its start replayed up to `last`, or the first record that does not follow. Reads and replays beside
/// the threads that serve, a step at a time.
async fn replay(app: &App, start: Seq, last: Seq) -> Result<Result<Replay, model::Violation>, Problem> {
    let mut replay = Replay::starting_at(start);
    while replay.last_seq() < last {
        let replica = app.replica().clone();
        let step = blocking(move || {
            let block = replica.movements(replay.last_seq(), REPLAY_STEP)?;
            let is_empty = block.is_empty();
            let mut upto = block.iter().take_while(|record| record.seq() <= last);
            let result = upto.try_for_each(|record| replay.apply(record));
            Ok::<_, LedgerError>((replay, result, is_empty))
        });
        let (next, result, is_empty) = step.await?.map_err(|error| of_ledger_error(&error))?;
        if let Err(violation) = result {
            return Ok(Err(violation));
        }
        replay = next;
        // The audit tells how far it came.
        if is_empty {
            break;
        }
    }
    Ok(Ok(replay))
}
