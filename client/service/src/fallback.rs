//! Problems where the framework would answer in words of its own.

use axum::Router;
use axum::extract::Request;
use axum::http::header::CONTENT_TYPE;
use axum::http::{Method, Uri};
use axum::middleware::{self, Next};
use axum::response::Response;
use holdfast_api::{ErrorCode, Problem};

use crate::reply::{malformed, problem};

/// The same router, whose every error is a problem.
pub fn with_problems<S: Clone + Send + Sync + 'static>(router: Router<S>) -> Router<S> {
    router
        .fallback(unknown_route)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(middleware::from_fn(as_problem))
}

async fn unknown_route(uri: Uri) -> Response {
    problem(&Problem::new(ErrorCode::UnknownRoute, format!("there is nothing at {}", uri.path())))
}

async fn method_not_allowed(method: Method, uri: Uri) -> Response {
    problem(&Problem::new(ErrorCode::MethodNotAllowed, format!("{} does not take {method}", uri.path())))
}

/// Errors that the framework answers in words of its own, such as a path that is not UTF-8.
async fn as_problem(request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    let is_plain =
        response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/plain"));
    if response.status().is_client_error() && is_plain {
        return problem(&malformed("the path or query cannot be read"));
    }
    response
}
