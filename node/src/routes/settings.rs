//! Replicated settings, and where the ledger starts.

use axum::Router;
use axum::extract::{Request, State};
use axum::http::Uri;
use axum::response::Response;
use axum::routing::{get, post};
use holdfast_api::{Problem, Settings, TrimLedger, settings as settings_body};
use holdfast_model::{Command, ConfigChange, Seq, Setting};

use crate::App;
use crate::mutate::{MAX_BODY_BYTES, Whole, carry_out, keyed};
use crate::read::Params;
use crate::reply::{json, malformed, problem};

/// The routes of this file.
pub fn router() -> Router<App> {
    Router::new().route("/config", get(config).put(configure)).route("/ledger/trim", post(trim))
}

async fn config(State(app): State<App>, uri: Uri) -> Response {
    let look = async {
        Params::of(&uri, &[])?.be_up_to_date(&app).await?;
        Ok::<_, Problem>(app.replica().read(|inventory| settings_body(inventory.config())))
    };
    match look.await {
        Ok(settings) => json(200, &settings),
        Err(refused) => problem(&refused),
    }
}

async fn configure(State(app): State<App>, request: Request) -> Response {
    let whole = match Whole::read(&app, request, MAX_BODY_BYTES).await {
        Ok(whole) => whole,
        Err(refused) => return problem(&refused),
    };
    let command = whole
        .json::<Settings>()
        .and_then(|body| changes(&body))
        .and_then(|changes| keyed(Command::Configure { changes }, "config", &whole.parts.headers));
    carry_out(&app, whole, command, false).await
}

fn changes(body: &Settings) -> Result<Vec<ConfigChange>, Problem> {
    let change = |(name, &value): (&String, &u64)| {
        let setting = Setting::ALL.into_iter().find(|setting| setting.name() == name);
        let known = || Setting::ALL.map(Setting::name).join(", ");
        let setting = setting
            .ok_or_else(|| malformed(format!("there is no setting {name:?}; there are {}", known())))?;
        Ok(ConfigChange { setting, value })
    };
    body.iter().map(change).collect()
}

async fn trim(State(app): State<App>, request: Request) -> Response {
    let whole = match Whole::read(&app, request, MAX_BODY_BYTES).await {
        Ok(whole) => whole,
        Err(refused) => return problem(&refused),
    };
    let command = whole.json::<TrimLedger>().and_then(|body| {
        keyed(Command::TrimLedger { before: Seq(body.before) }, "ledger/trim", &whole.parts.headers)
    });
    carry_out(&app, whole, command, false).await
}
