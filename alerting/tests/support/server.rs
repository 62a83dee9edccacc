//! A local HTTP server that plays the other side of a sink.

#![allow(dead_code, reason = "each test takes what it needs")]

use std::collections::VecDeque;
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tiny_http::{Header, Request, Response, Server};

/// What it does with a request.
#[derive(Debug, Clone)]
pub enum Play {
    /// Answers with this status, these headers and this body.
    Answer(u16, &'static [(&'static str, &'static str)], &'static str),
    /// Takes the request and never answers.
    Silence,
    /// Starts an answer and never ends it.
    Stall,
}

/// Takes the message.
pub const OK: Play = Play::Answer(200, &[], "ok");

/// The server; it plays its script, then takes everything.
pub struct OtherSide {
    address: String,
    bodies: Receiver<Value>,
    server: Arc<Server>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl OtherSide {
    pub fn new(script: impl IntoIterator<Item = Play>) -> Self {
        let server = Arc::new(Server::http("127.0.0.1:0").expect("a free port"));
        let address = server.server_addr().to_ip().expect("an address").to_string();
        let (sender, bodies) = channel();
        let script = Mutex::new(script.into_iter().collect::<VecDeque<_>>());
        let serving = Arc::clone(&server);
        let thread = std::thread::spawn(move || {
            // Requests that get no answer are kept, because dropping one answers it.
            let mut kept = Vec::new();
            while let Ok(mut request) = serving.recv() {
                let mut body = Vec::new();
                request.as_reader().read_to_end(&mut body).expect("a body");
                let body = serde_json::from_slice(&body).expect("the body is JSON");
                let play = script.lock().expect("no panic").pop_front().unwrap_or(OK);
                if sender.send(body).is_err() {
                    return;
                }
                match play {
                    Play::Answer(status, headers, body) => answer(request, status, headers, body),
                    Play::Silence => kept.push((Some(request), None)),
                    Play::Stall => kept.push((None, Some(stall(request)))),
                }
            }
        });
        Self { address, bodies, server, thread: Some(thread) }
    }

    /// Its address with a path below it.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The bodies that it was sent so far, in order.
    pub fn bodies(&self) -> Vec<Value> {
        self.bodies.try_iter().collect()
    }
}

impl Drop for OtherSide {
    fn drop(&mut self) {
        self.server.unblock();
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the other side did not panic");
        }
    }
}

/// An address at which nobody listens.
pub fn nobody(path: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    format!("http://{}{path}", listener.local_addr().expect("an address"))
}

fn answer(request: Request, status: u16, headers: &[(&str, &str)], body: &str) {
    let mut response = Response::from_string(body).with_status_code(status);
    for (name, value) in headers {
        response.add_header(Header::from_bytes(*name, *value).expect("a header"));
    }
    // The sink may have given up by now.
    drop(request.respond(response));
}

/// Sends an answer's head and leaves the rest out; the connection stays open as long as what is returned.
fn stall(request: Request) -> Box<dyn std::io::Write + Send> {
    let mut writer = request.into_writer();
    let head = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 100\r\n\r\nslow";
    drop(writer.write_all(head).and_then(|()| writer.flush()));
    writer
}
