//! The way of every request that changes something: read, checked, made a command, proposed here or on the leader.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::header::{CONTENT_TYPE, LOCATION};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use holdfast_api::{ErrorCode, OCTET_STREAM, Problem, header};
use holdfast_model::{
    Command, DeadLetterId, HoldId, Key, LetterAction, OrderAction, OrderId, Request as ModelRequest,
    SubscriptionAction, SubscriptionId, TransferId, fingerprint,
};
use holdfast_replica::{AdminError, LedgerError, Member, SubmitError, Submitted};
use holdfast_serve::{BODIES_BYTES, Held, Unread};
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use uuid::Uuid;

use crate::App;
use crate::forward::{Forwarded, location, not_taken, was_forwarded};
use crate::reply::{malformed, of_admin_error, of_ledger_error, of_reply, of_submit_error, problem};

/// The largest body of a single command, in bytes.
pub const MAX_BODY_BYTES: usize = 8 << 20;

/// Between two looks for a leader.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// A request that was read whole.
pub struct Whole {
    /// All but the body.
    pub parts: Parts,
    /// The body.
    pub body: Bytes,
    /// The room that the body takes.
    _held: Held,
}

impl Whole {
    /// Reads a request.
    ///
    /// # Errors
    /// When its body is larger than `max_bytes`, ends too early, finds no room, or does not come in the time of a request.
    pub async fn read(app: &App, request: Request, max_bytes: usize) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let reading = timeout(app.request_timeout(), app.bodies().read(body, max_bytes));
        let late = || Problem::new(ErrorCode::RequestTimeout, "the body did not come in time");
        let read = reading.await.map_err(|_| late())?;
        let (body, held) = read.map_err(|unread| of_unread(unread, max_bytes))?;
        Ok(Self { parts, body, _held: held })
    }

    /// The body as JSON; an absent one stands for `{}`.
    ///
    /// # Errors
    /// When it is of another content type, or not what was expected.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        if self.body.is_empty() {
            return serde_json::from_slice(b"{}")
                .map_err(|error| malformed(format!("the body is missing: {error}")));
        }
        if !self.has_content_type("application/json") {
            return Err(Problem::new(
                ErrorCode::UnsupportedMediaType,
                "the content type must be application/json",
            ));
        }
        // The decoder would take an array for an object's fields in order.
        if self.body.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{') {
            return Err(malformed("the body must be a JSON object"));
        }
        serde_json::from_slice(&self.body).map_err(|error| unreadable(&error))
    }

    /// How long it may be worked on: as long as any request, or as its caller waits when that is shorter.
    ///
    /// # Errors
    /// When the caller says it in something else than whole milliseconds.
    fn time(&self, app: &App) -> Result<Duration, Problem> {
        let Some(value) = self.parts.headers.get(header::TIMEOUT_MS) else {
            return Ok(app.request_timeout());
        };
        let millis =
            value.to_str().ok().and_then(|text| text.parse().ok()).filter(|&millis: &u64| millis > 0);
        let millis =
            millis.ok_or_else(|| malformed("Holdfast-Timeout-Ms must be whole milliseconds from 1"))?;
        Ok(app.request_timeout().min(Duration::from_millis(millis)))
    }

    /// Whether its caller wants to be sent to the leader rather than have it passed on.
    ///
    /// # Errors
    /// When the wish is not one.
    fn wants_redirect(&self) -> Result<bool, Problem> {
        match self.parts.headers.get(header::REDIRECT).map(HeaderValue::as_bytes) {
            None | Some(b"0") => Ok(false),
            Some(b"1") => Ok(true),
            Some(_) => Err(malformed("Holdfast-Redirect must be 0 or 1")),
        }
    }

    /// Checks what it says of the way that it is to take: needed only where it is not carried out.
    ///
    /// # Errors
    /// When its caller's time or wish for a redirect is not one.
    pub fn check_wishes(&self, app: &App) -> Result<(), Problem> {
        self.time(app).and_then(|_| self.wants_redirect()).map(drop)
    }

    /// Whether the body says that it is of this content type.
    pub fn has_content_type(&self, wanted: &str) -> bool {
        has_content_type(&self.parts.headers, wanted)
    }
}

fn has_content_type(headers: &HeaderMap, wanted: &str) -> bool {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case(wanted))
}

/// Whether a body is in the compact encoding.
pub fn is_octets(headers: &HeaderMap) -> bool {
    has_content_type(headers, OCTET_STREAM)
}

/// A body of the wrong form, or one of the right form with a number that no quantity reaches.
fn unreadable(error: &serde_json::Error) -> Problem {
    let text = error.to_string();
    let is_out_of_range = text.contains("a quantity must be") || text.contains("invalid value: integer");
    let code =
        if error.is_data() && is_out_of_range { ErrorCode::QuantityOutOfRange } else { ErrorCode::Malformed };
    Problem::new(code, format!("the body cannot be read: {text}"))
}

/// A body that was not read whole.
fn of_unread(unread: Unread, max_bytes: usize) -> Problem {
    match unread {
        Unread::TooLong => {
            Problem::new(ErrorCode::TooLarge, format!("a body may have {max_bytes} bytes here"))
        }
        Unread::CutShort => malformed("the body ended too early"),
        Unread::NoRoom => {
            let detail = format!("bodies of {BODIES_BYTES} bytes are being worked on");
            Problem::new(ErrorCode::Overloaded, detail)
        }
    }
}

/// The request for a command, with the key that came with it.
///
/// # Errors
/// When the key is not one.
pub fn keyed(command: Command, route: &str, headers: &HeaderMap) -> Result<ModelRequest, Problem> {
    let text = match headers.get(header::IDEMPOTENCY_KEY) {
        None => None,
        Some(value) => Some(value.to_str().map_err(|_| bad_key())?),
    };
    request_for(command, route, text)
}

/// The request for a command with the text of a key.
///
/// # Errors
/// When the key is not one.
pub fn request_for(command: Command, route: &str, key: Option<&str>) -> Result<ModelRequest, Problem> {
    let key = match key {
        None => None,
        Some(text)
            if text.is_empty()
                || text.len() > 255
                || text.bytes().any(|byte| !(0x20..0x7f).contains(&byte)) =>
        {
            return Err(bad_key());
        }
        // The fingerprint is taken before ids are made, so that a repeat without one has the same.
        Some(text) => Some(Key::new(route, None, text, fingerprint(&command))),
    };
    Ok(ModelRequest { command, key, actor: None })
}

fn bad_key() -> Problem {
    malformed("Idempotency-Key must have 1 to 255 printable ASCII characters")
}

fn make_id(command: &mut Command) {
    match command {
        Command::Reserve { hold, .. } if hold.uuid().is_nil() => *hold = HoldId::from_uuid(Uuid::now_v7()),
        Command::Transfer { transfer, .. } if transfer.uuid().is_nil() => {
            *transfer = TransferId::from_uuid(Uuid::now_v7());
        }
        Command::Order { order, action } => {
            if order.uuid().is_nil() {
                *order = OrderId::from_uuid(Uuid::now_v7());
            }
            if let OrderAction::Place { hold, .. } | OrderAction::ReplaceLines { hold, .. } = action
                && hold.uuid().is_nil()
            {
                *hold = HoldId::from_uuid(Uuid::now_v7());
            }
        }
        Command::Subscription { subscription, .. } if subscription.uuid().is_nil() => {
            *subscription = SubscriptionId::from_uuid(Uuid::now_v7());
        }
        Command::DeadLetter { letter, .. } if letter.uuid().is_nil() => {
            *letter = DeadLetterId::from_uuid(Uuid::now_v7());
        }
        _ => {}
    }
}

/// Looks up what the ledger says of a stocktake's time, since the model has no ledger. What a caller says of it does not
/// count; a node that does not lead leaves it to the leader.
///
/// # Errors
/// When the ledger cannot be read.
async fn look_up(app: &App, command: &mut Command) -> Result<(), Problem> {
    let Command::Count { store, item, as_of: Some(basis), .. } = command else { return Ok(()) };
    basis.on_hand = None;
    let replica = app.replica().clone();
    let (row, seq) = (replica.read(|inventory| inventory.row(store, item)), basis.seq);
    let Some(last) = row.map(|row| row.last_seq).filter(|_| replica.leads() && seq <= replica.applied_seq())
    else {
        return Ok(());
    };
    basis.on_hand = match blocking(move || replica.at(last, seq)).await? {
        Ok(movement) => movement.map(|movement| movement.on_hand()),
        // The model refuses it by the sequence alone.
        Err(LedgerError::Compacted { .. }) => None,
        Err(error) => return Err(of_ledger_error(&error)),
    };
    Ok(())
}

/// Runs work that reads the disk beside the threads that serve.
///
/// # Errors
/// When the work panicked.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
    let failed = |error| Problem::new(ErrorCode::LedgerDamaged, format!("the work ended early: {error}"));
    tokio::task::spawn_blocking(work).await.map_err(failed)
}

/// Carries out one command and answers with what came of it.
pub async fn carry_out(
    app: &App,
    whole: Whole,
    request: Result<ModelRequest, Problem>,
    created: bool,
) -> Response {
    match request {
        Ok(request) => {
            carry_out_all(app, whole, vec![request], |submitted| of_reply(&submitted.replies[0], created))
                .await
        }
        Err(refused) => problem(&refused),
    }
}

/// Carries out commands in one go and answers with what `answer` makes of it.
pub async fn carry_out_all(
    app: &App,
    whole: Whole,
    mut requests: Vec<ModelRequest>,
    answer: impl FnOnce(Submitted) -> Response,
) -> Response {
    let can_repeat = requests.iter().all(|request| request.key.is_some() || names_itself(&request.command));
    for request in &mut requests {
        make_id(&mut request.command);
        if let Err(refused) = look_up(app, &mut request.command).await {
            return problem(&refused);
        }
    }
    let requests = &requests[..];
    let submit = |left: Duration| async move {
        match app.replica().submit(requests, left).await {
            Ok(submitted) => Attempt::Done(submitted),
            Err(SubmitError::NotLeader { leader }) => Attempt::Elsewhere(leader),
            Err(error) => Attempt::Refused(of_submit_error(&error)),
        }
    };
    match on_leader(app, whole, can_repeat, submit).await {
        Ok(submitted) => answer(submitted),
        Err(response) => response,
    }
}

/// Changes the cluster and answers with what `answer` makes of it.
pub async fn administer<T, F>(
    app: &App,
    whole: Whole,
    change: impl Fn(Duration) -> F,
    answer: impl FnOnce(T) -> Response,
) -> Response
where
    F: Future<Output = Result<T, AdminError>>,
{
    let attempt = |left: Duration| {
        let change = change(left);
        async move {
            match change.await {
                Ok(done) => Attempt::Done(done),
                Err(AdminError::NotLeader { leader }) => Attempt::Elsewhere(leader),
                Err(error) => Attempt::Refused(of_admin_error(&error)),
            }
        }
    };
    match on_leader(app, whole, false, attempt).await {
        Ok(done) => answer(done),
        Err(response) => response,
    }
}

/// One attempt on this node.
enum Attempt<T> {
    Done(T),
    /// Nothing was done: that one leads.
    Elsewhere(Member),
    Refused(Problem),
}

/// Does something here when this node leads, and otherwise passes the request on; looks for the leader until the
/// request's time is over, as long as nothing has been done, or doing it again has no effect (`can_repeat`).
async fn on_leader<T, F: Future<Output = Attempt<T>>>(
    app: &App,
    whole: Whole,
    can_repeat: bool,
    attempt: impl Fn(Duration) -> F,
) -> Result<T, Response> {
    let wishes = whole.time(app).and_then(|time| Ok((time, whole.wants_redirect()?)));
    let (time, wants_redirect) = wishes.map_err(|refused| problem(&refused))?;
    let deadline = Instant::now() + time;
    let mut may_be_done = false;
    loop {
        let leader = match attempt(deadline.saturating_duration_since(Instant::now())).await {
            Attempt::Done(done) => return Ok(done),
            Attempt::Refused(refused) => return Err(last_word(may_be_done, problem(&refused))),
            Attempt::Elsewhere(leader) => leader,
        };
        if was_forwarded(&whole.parts) {
            return Err(not_taken());
        }
        if wants_redirect {
            return Err(redirect(&leader, &whole.parts));
        }
        let left = deadline.saturating_duration_since(Instant::now());
        let forward = app.forwarder().forward(&leader, &whole.parts, whole.body.clone(), left);
        match timeout_at(deadline, forward).await {
            Ok(Forwarded::Answer(response)) => return Err(last_word(may_be_done, response)),
            Ok(Forwarded::Unknown) if can_repeat && Instant::now() < deadline => {
                may_be_done = true;
                sleep(LOOK_AGAIN).await;
            }
            Ok(Forwarded::Unknown) | Err(_) => return Err(unknown()),
            Ok(Forwarded::NotTaken) if Instant::now() < deadline => sleep(LOOK_AGAIN).await,
            Ok(Forwarded::NotTaken) => {
                let nobody = problem(&of_submit_error(&SubmitError::NoLeader));
                return Err(last_word(may_be_done, nobody));
            }
        }
    }
}

fn unknown() -> Response {
    problem(&of_submit_error(&SubmitError::OutcomeUnknown))
}

/// What the caller is told in the end. That the last attempt was not taken says nothing of an earlier one that may have
/// been.
fn last_word(may_be_done: bool, answer: Response) -> Response {
    if may_be_done && answer.status() == StatusCode::SERVICE_UNAVAILABLE { unknown() } else { answer }
}

/// Whether a command names what it makes or ends, so that the same one again has no other effect. An id that this node
/// made is not in the request that is passed on: that one would get another.
fn names_itself(command: &Command) -> bool {
    match command {
        Command::Confirm { lines: None, .. }
        | Command::Release { lines: None, .. }
        | Command::CloseTransfer { .. }
        | Command::CancelTransfer { .. } => true,
        Command::Reserve { hold, .. } => !hold.uuid().is_nil(),
        Command::Transfer { transfer, .. } => !transfer.uuid().is_nil(),
        Command::Order { order, action } => match action {
            OrderAction::Place { .. } => !order.uuid().is_nil(),
            OrderAction::ReplaceLines { hold, .. } => !hold.uuid().is_nil(),
            OrderAction::Pay { .. } | OrderAction::Cancel { .. } | OrderAction::Refund { .. } => true,
        },
        Command::Subscription { subscription, action: SubscriptionAction::Subscribe { .. } } => {
            !subscription.uuid().is_nil()
        }
        Command::DeadLetter { letter, action: LetterAction::Keep { .. } | LetterAction::Requeue } => {
            !letter.uuid().is_nil()
        }
        Command::Count { event, .. } | Command::RecordSale { event, .. } | Command::Receive { event, .. } => {
            event.is_some()
        }
        _ => false,
    }
}

fn redirect(leader: &Member, parts: &Parts) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::TEMPORARY_REDIRECT;
    if let Some(location) = location(leader, &parts.uri) {
        response.headers_mut().insert(LOCATION, location);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn told(may_be_done: bool, answer: Response) -> (u16, String) {
        let answer = last_word(may_be_done, answer);
        let status = answer.status().as_u16();
        let bytes = axum::body::to_bytes(answer.into_body(), 1 << 16).await.expect("a problem is short");
        let body: serde_json::Value = serde_json::from_slice(&bytes).expect("a problem is JSON");
        (status, body["code"].as_str().unwrap_or_default().to_owned())
    }

    #[tokio::test]
    async fn after_an_attempt_that_may_have_been_taken_nobody_is_told_that_nothing_was_done() {
        let nobody = || problem(&of_submit_error(&SubmitError::NoLeader));
        let full = || problem(&of_submit_error(&SubmitError::Overloaded { queued: 1 }));
        for answer in [nobody(), full()] {
            assert_eq!(told(true, answer).await, (503, "outcome_unknown".to_owned()));
        }
        assert_eq!(told(false, nobody()).await, (503, "no_leader".to_owned()));
        // What the leader has decided stands, whichever attempt it was.
        let decided = Problem::new(ErrorCode::InsufficientStock, "short");
        assert_eq!(told(true, problem(&decided)).await, (409, "insufficient_stock".to_owned()));
    }
}
