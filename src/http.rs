//! `/metrics`, `/healthz` and `/readyz`, from a thread of their own, so that they answer however busy the others are.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use serde::Serialize;
use tokio::sync::oneshot;

use crate::metrics::Metrics;

/// Whether the process does its work, as a set of named conditions that any thread sets and clears.
///
/// ```
/// use driftline::http::Readiness;
///
/// let readiness = Readiness::default();
/// readiness.degrade("source", "no broker answers");
/// assert_eq!(readiness.reasons(), [("source".to_owned(), "no broker answers".to_owned())]);
/// readiness.restore("source");
/// assert!(readiness.is_ready());
/// ```
#[derive(Debug, Clone, Default)]
pub struct Readiness(Arc<Mutex<BTreeMap<String, String>>>);

impl Readiness {
    /// Says that `condition` does not hold, and why; a later reason takes the place of an earlier one.
    pub fn degrade(&self, condition: &str, reason: impl Into<String>) {
        self.with(|unmet| unmet.insert(condition.to_owned(), reason.into()));
    }

    /// Says that `condition` holds again.
    pub fn restore(&self, condition: &str) {
        self.with(|unmet| unmet.remove(condition));
    }

    /// Whether every condition holds.
    pub fn is_ready(&self) -> bool {
        self.with(|unmet| unmet.is_empty())
    }

    /// The conditions that do not hold, each with its reason, ordered by name.
    pub fn reasons(&self) -> Vec<(String, String)> {
        self.with(|unmet| unmet.iter().map(|(condition, reason)| (condition.clone(), reason.clone())).collect())
    }

    fn with<T>(&self, act: impl FnOnce(&mut BTreeMap<String, String>) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Why the listener did not start.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address} (`http.listen`): {error}; is another instance running?")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The system's reason.
        error: std::io::Error,
    },
    /// The system gives no thread, or nothing to wait for sockets with.
    #[error("cannot start the HTTP thread: {0}")]
    Thread(std::io::Error),
}

/// The running listener. Dropping it stops it.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// How long requests that are being answered hold up a stop.
    pub const GRACE: Duration = Duration::from_secs(2);

    /// Listens, and answers from a thread of its own: `/readyz` from `readiness`, `/healthz` from `liveness`. When this
    /// returns, the port is open.
    ///
    /// # Errors
    ///
    /// [`HttpError`] where the address is taken or not this machine's, or the system is out of threads.
    pub fn start(
        listen: SocketAddr,
        metrics: Arc<Metrics>,
        readiness: Readiness,
        liveness: Readiness,
    ) -> Result<Self, HttpError> {
        let cannot_listen = |error| HttpError::Listen { address: listen, error };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(HttpError::Thread)?;
        let listener = runtime.block_on(tokio::net::TcpListener::bind(listen)).map_err(cannot_listen)?;
        let address = listener.local_addr().map_err(cannot_listen)?;
        let (stop, stopped) = oneshot::channel();
        let serve = move || runtime.block_on(serve(listener, routes(metrics, readiness, liveness), stopped));
        let thread = std::thread::Builder::new().name("http".to_owned()).spawn(serve).map_err(HttpError::Thread)?;
        Ok(Self { address, stop: Some(stop), thread: Some(thread) })
    }

    /// Where it listens; the port is the one that was found where port 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // An error says that the thread has ended already.
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the HTTP thread ended in a panic");
        }
    }
}

async fn serve(listener: tokio::net::TcpListener, routes: Router, stopped: oneshot::Receiver<()>) {
    let (begin, began) = oneshot::channel();
    let graceful = axum::serve(listener, routes).with_graceful_shutdown(async {
        // The sender is gone only when the server is, which is a stop too.
        let _ = stopped.await;
        let _ = begin.send(());
    });
    let too_long = async {
        let _ = began.await;
        tokio::time::sleep(Server::GRACE).await;
    };
    tokio::select! {
        ended = graceful => if let Err(error) = ended {
            tracing::error!(%error, "the HTTP listener ended");
        },
        () = too_long => tracing::warn!("a request was cut off by the stop"),
    }
}

fn routes(metrics: Arc<Metrics>, readiness: Readiness, liveness: Readiness) -> Router {
    Router::new()
        .route("/metrics", get(exposition).with_state(metrics))
        .route("/healthz", get(alive).with_state(liveness))
        .route("/readyz", get(ready).with_state(readiness))
}

async fn exposition(State(metrics): State<Arc<Metrics>>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], metrics.render())
}

async fn alive(State(liveness): State<Readiness>) -> impl IntoResponse {
    match liveness.reasons().first() {
        None => (StatusCode::OK, "alive\n".to_owned()),
        Some((_, reason)) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")),
    }
}

#[derive(Serialize)]
struct Answer {
    ready: bool,
    reasons: Vec<Reason>,
}

#[derive(Serialize)]
struct Reason {
    condition: String,
    reason: String,
}

async fn ready(State(readiness): State<Readiness>) -> impl IntoResponse {
    let reasons: Vec<_> =
        readiness.reasons().into_iter().map(|(condition, reason)| Reason { condition, reason }).collect();
    let answer = Answer { ready: reasons.is_empty(), reasons };
    let status = if answer.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    match serde_json::to_string(&answer) {
        Ok(body) => (status, [(header::CONTENT_TYPE, "application/json")], body + "\n"),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, [(header::CONTENT_TYPE, "text/plain")], error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{Ipv4Addr, TcpStream};

    use super::*;

    fn start() -> (Server, Arc<Metrics>, Readiness) {
        let (server, metrics, readiness, _) = start_alive();
        (server, metrics, readiness)
    }

    fn start_alive() -> (Server, Arc<Metrics>, Readiness, Readiness) {
        let (metrics, readiness, liveness) = (Arc::new(Metrics::new(1)), Readiness::default(), Readiness::default());
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let server = Server::start(listen, Arc::clone(&metrics), readiness.clone(), liveness.clone()).unwrap();
        (server, metrics, readiness, liveness)
    }

    /// The status line and the body.
    fn request(server: &Server, line: &str) -> (String, String) {
        let mut stream = TcpStream::connect(server.address()).unwrap();
        write!(stream, "{line} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.lines().next().unwrap().to_owned(), body.to_owned())
    }

    #[test]
    fn metrics_are_served_as_they_are_now() {
        let (server, metrics, _) = start();
        metrics.records.inc_by(42);
        let (status, body) = request(&server, "GET /metrics");
        assert_eq!(status, "HTTP/1.1 200 OK");
        assert!(body.contains("\ndriftline_records_total 42\n"), "{body}");
    }

    #[test]
    fn readiness_follows_its_conditions_and_health_does_not() {
        let (server, _, readiness) = start();
        assert_eq!(
            request(&server, "GET /readyz"),
            ("HTTP/1.1 200 OK".into(), "{\"ready\":true,\"reasons\":[]}\n".into())
        );
        readiness.degrade("source", "no broker answers");
        readiness.degrade("slack \"x\"", "401");
        let (status, body) = request(&server, "GET /readyz");
        assert_eq!(status, "HTTP/1.1 503 Service Unavailable");
        insta::assert_snapshot!(body, @r#"{"ready":false,"reasons":[{"condition":"slack \"x\"","reason":"401"},{"condition":"source","reason":"no broker answers"}]}"#);
        assert_eq!(request(&server, "GET /healthz"), ("HTTP/1.1 200 OK".into(), "alive\n".into()));
        readiness.restore("source");
        readiness.restore("slack \"x\"");
        assert_eq!(request(&server, "GET /readyz").0, "HTTP/1.1 200 OK");
    }

    #[test]
    fn health_is_a_matter_of_its_own() {
        let (server, _, _, liveness) = start_alive();
        liveness.degrade("scoring", "it hangs");
        let hung = ("HTTP/1.1 503 Service Unavailable".into(), "it hangs\n".into());
        assert_eq!(request(&server, "GET /healthz"), hung);
        assert_eq!(request(&server, "GET /readyz").0, "HTTP/1.1 200 OK");
        liveness.restore("scoring");
        assert_eq!(request(&server, "GET /healthz").0, "HTTP/1.1 200 OK");
    }

    #[test]
    fn nothing_else_is_served() {
        let (server, ..) = start();
        assert_eq!(request(&server, "GET /").0, "HTTP/1.1 404 Not Found");
        assert_eq!(request(&server, "POST /metrics").0, "HTTP/1.1 405 Method Not Allowed");
    }

    #[test]
    fn a_taken_port_is_an_error_that_says_which() {
        let (server, metrics, readiness) = start();
        let error = Server::start(server.address(), metrics, readiness.clone(), readiness).unwrap_err().to_string();
        assert!(error.contains(&server.address().to_string()) && error.contains("http.listen"), "{error}");
    }

    #[test]
    fn a_stop_closes_the_port_though_a_client_dawdles() {
        let (server, ..) = start();
        let address = server.address();
        let mut dawdler = TcpStream::connect(address).unwrap();
        dawdler.write_all(b"GET /metrics HTTP/1.1\r\nHost: ").unwrap();
        assert_eq!(request(&server, "GET /healthz").0, "HTTP/1.1 200 OK", "the dawdler holds up nobody");
        drop(server);
        assert!(TcpStream::connect(address).is_err());
    }
}
