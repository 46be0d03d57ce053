//! Many commands in one request and one log entry.

use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::post;
use holdfast_api::{
    BatchBody, BatchOutcome, BatchResult, ErrorCode, MAX_BATCH_COMMANDS, OCTET_STREAM, Problem, WireBatch,
    check_post_url_in, header,
};
use holdfast_model::{
    Command, LetterAction, OrderAction, Request as ModelRequest, SubscriptionAction, codec,
};
use holdfast_replica::Submitted;

use crate::App;
use crate::mutate::{Whole, carry_out_all, is_octets, request_for};
use crate::reply::{json, malformed, problem, with_body};

/// The largest body of a batch in JSON, in bytes.
const MAX_BATCH_BYTES: usize = 64 << 20;

/// The largest body of a batch in the compact encoding, in bytes: 1.6 KiB for each of the most commands. Some bytes of it
/// can stand for twenty times as many in memory.
const MAX_COMPACT_BYTES: usize = 16 << 20;

/// The longest key of a whole batch, in bytes.
const MAX_BATCH_KEY_BYTES: usize = 240;

/// The routes of this file.
pub fn router() -> Router<App> {
    Router::new().route("/batch", post(batch))
}

async fn batch(State(app): State<App>, request: Request) -> Response {
    let max_bytes = if is_octets(request.headers()) { MAX_COMPACT_BYTES } else { MAX_BATCH_BYTES };
    let whole = match Whole::read(&app, request, max_bytes).await {
        Ok(whole) => whole,
        Err(refused) => return problem(&refused),
    };
    let is_octets = is_octets(&whole.parts.headers);
    let requests = match read_commands(&whole, is_octets) {
        Ok(requests) => requests,
        Err(refused) => return problem(&refused),
    };
    if requests.is_empty() {
        if let Err(refused) = whole.check_wishes(&app) {
            return problem(&refused);
        }
        return answer(
            is_octets,
            &[],
            &Submitted { replies: Vec::new(), applied_seq: app.replica().applied_seq() },
        );
    }
    // What a few bytes stand for may be large, and waits for its turn.
    let Some(_held) = app.bodies().take(requests.iter().map(ModelRequest::memory_bytes).sum()) else {
        return problem(&Problem::new(ErrorCode::Overloaded, "other batches are being worked on"));
    };
    let created: Vec<bool> = requests.iter().map(|request| makes_something(&request.command)).collect();
    carry_out_all(&app, whole, requests, |submitted| answer(is_octets, &created, &submitted)).await
}

fn read_commands(whole: &Whole, is_octets: bool) -> Result<Vec<ModelRequest>, Problem> {
    let commands: Vec<(Command, Option<String>)> = if is_octets {
        let WireBatch(wire) = codec::decode(&whole.body).map_err(|error| unreadable(&error.to_string()))?;
        for (place, request) in wire.iter().enumerate() {
            check_post_url_in(&request.command)
                .map_err(|error| malformed(format!("command {place}: {error}")))?;
        }
        wire.into_iter().map(|request| (request.command, request.idempotency_key)).collect()
    } else {
        let body: BatchBody = whole.json().map_err(|problem| match problem.code {
            ErrorCode::Malformed if problem.detail.contains(codec::TOO_MANY) => unreadable(&problem.detail),
            _ => problem,
        })?;
        body.commands.into_iter().map(|command| (command.command, command.idempotency_key)).collect()
    };
    if let Some((place, _)) = commands.iter().enumerate().find(|(_, (command, _))| is_administrative(command))
    {
        return Err(malformed(format!("command {place} does not belong in a batch")));
    }
    let key_of_batch = key_of(whole)?;
    let request = |(place, (command, key)): (usize, (Command, Option<String>))| {
        // A key of the whole batch makes one for each command that has none.
        let key = key.or_else(|| key_of_batch.map(|text| format!("{text}#{place}")));
        request_for(command, "batch", key.as_deref())
    };
    commands.into_iter().enumerate().map(request).collect()
}

/// A body that holds no batch, or one with too many commands.
fn unreadable(error: &str) -> Problem {
    if error.contains(codec::TOO_MANY) {
        let detail = format!("a batch may have {MAX_BATCH_COMMANDS} commands");
        return Problem::new(ErrorCode::TooLarge, detail);
    }
    malformed(format!("the body cannot be read: {error}"))
}

/// The key of the whole batch: short enough to have a command's place added.
fn key_of(whole: &Whole) -> Result<Option<&str>, Problem> {
    let Some(value) = whole.parts.headers.get(header::IDEMPOTENCY_KEY) else { return Ok(None) };
    let text = value.to_str().ok().filter(|text| !text.is_empty() && text.len() <= MAX_BATCH_KEY_BYTES);
    let wrong = || {
        malformed(format!(
            "the Idempotency-Key of a batch must have 1 to {MAX_BATCH_KEY_BYTES} printable ASCII characters"
        ))
    };
    text.map(Some).ok_or_else(wrong)
}

/// Commands that change the cluster rather than stock.
fn is_administrative(command: &Command) -> bool {
    matches!(
        command,
        Command::Tick
            | Command::Configure { .. }
            | Command::TrimLedger { .. }
            | Command::RaiseModelVersion { .. }
    )
}

/// Commands that make something are answered with 201.
fn makes_something(command: &Command) -> bool {
    matches!(
        command,
        Command::CreateSku { .. }
            | Command::Reserve { .. }
            | Command::Transfer { .. }
            | Command::Order { action: OrderAction::Place { .. }, .. }
            | Command::Subscription { action: SubscriptionAction::Subscribe { .. }, .. }
            | Command::DeadLetter { action: LetterAction::Keep { .. }, .. }
    )
}

fn answer(is_octets: bool, created: &[bool], submitted: &Submitted) -> Response {
    if is_octets {
        return with_body(200, OCTET_STREAM, codec::encode(&submitted.replies));
    }
    let outcomes =
        submitted.replies.iter().zip(created).map(|(reply, &created)| BatchOutcome::of(reply, created));
    match outcomes.collect::<Result<Vec<_>, _>>() {
        Ok(outcomes) => json(200, &BatchResult { outcomes }),
        Err(error) => problem(&malformed(format!("the answer cannot be written: {error}"))),
    }
}
