//! Takes connections, and serves those that there is room for.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use holdfast_api::IDLE_LIMIT;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::sleep;
use tower::{Service, ServiceExt};

use crate::answers::hold_room;
use crate::limits::{ACCEPT_AGAIN, ANSWERS_BYTES, Limits, MAX_HEAD_BYTES};
use crate::room::Room;
use crate::stall::Stalled;
use crate::turned_away::TurnedAway;

/// Listens for clients.
///
/// # Errors
/// When the address cannot be listened on, in words.
pub async fn listen(address: SocketAddr) -> Result<TcpListener, String> {
    let listener = TcpListener::bind(address).await;
    listener.map_err(|error| format!("cannot listen for clients on {address}: {error}"))
}

/// Serves clients until `stop` resolves, and then until what is under way is answered.
pub async fn serve<S>(listener: TcpListener, service: S, limits: Limits, stop: impl Future<Output = ()>)
where
    S: Service<Request, Response = Response, Error = Infallible, Future: Send> + Clone + Send + 'static,
{
    let answers = Room::new(ANSWERS_BYTES);
    let room = Arc::new(Semaphore::new(limits.connections));
    let mut turned_away = TurnedAway::new(limits.connections);
    let under_way = GracefulShutdown::new();
    let protocol = protocol();
    tokio::pin!(stop);
    loop {
        let stream = tokio::select! {
            () = &mut stop => break,
            stream = accept(&listener) => stream,
        };
        let Ok(permit) = room.clone().try_acquire_owned() else {
            turned_away.take(stream);
            continue;
        };
        // A delayed answer is slow, not wrong.
        let _ = stream.set_nodelay(true);
        let io = TokioIo::new(Stalled::new(stream, limits.stall));
        let (service, answers) = (service.clone(), answers.clone());
        let answer = service_fn(move |request: hyper::Request<Incoming>| {
            let (answers, is_look) = (answers.clone(), request.method().is_safe());
            let response = service.clone().oneshot(request.map(Body::new));
            async move { response.await.map(|response| hold_room(&answers, is_look, response)) }
        });
        let connection = under_way.watch(protocol.serve_connection(io, answer));
        tokio::spawn(async move {
            // How a connection ends is its client's affair.
            let _ = connection.await;
            drop(permit);
        });
    }
    drop(listener);
    under_way.shutdown().await;
}

/// How HTTP is spoken.
fn protocol() -> http1::Builder {
    let mut protocol = http1::Builder::new();
    protocol.timer(TokioTimer::new()).header_read_timeout(IDLE_LIMIT).max_buf_size(MAX_HEAD_BYTES);
    protocol
}

/// The next connection. Where none can be had, those that are open are given time to end.
async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            // It was there, and is gone again.
            Err(error) if is_of_the_connection(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "a client's connection could not be accepted");
                sleep(ACCEPT_AGAIN).await;
            }
        }
    }
}

fn is_of_the_connection(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
