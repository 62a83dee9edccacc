//! A Prometheus that scrapes what a test runs, and evaluates our rules.

use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::dashboards::repository;

/// Nothing here takes so long unless it is stuck.
const PATIENCE: Duration = Duration::from_secs(120);
/// Starts, before it is said that none succeeds.
const ATTEMPTS: u32 = 5;
/// An answer over a few minutes of a few hundred series.
const ANSWER: Duration = Duration::from_secs(30);

/// Whether a program of Debian's package `prometheus` is there; where it is not, it is said.
///
/// # Panics
///
/// Where the environment has `CI`, since a test that is skipped there is skipped for good.
#[expect(clippy::disallowed_methods, reason = "programs are found where the environment says")]
pub fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    if std::env::split_paths(&path).any(|folder| folder.join(program).is_file()) {
        return true;
    }
    assert!(std::env::var_os("CI").is_none(), "{program} not found: install the package `prometheus`");
    let line = format!("\n*** TEST SKIPPED: it needs {program}. Install the package `prometheus`. ***\n\n");
    // Written past the harness, which shows what a test prints only where it fails.
    std::io::stderr().write_all(line.as_bytes()).unwrap();
    false
}

/// The running server. Dropping it ends it.
pub struct Prometheus {
    child: Child,
    address: String,
    started: f64,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
}

impl Prometheus {
    /// Starts it in a folder of its own; it looks at `target` every second, and returns once it has done so.
    pub fn start(folder: &Path, target: &str) -> Self {
        let config = folder.join("prometheus.yml");
        let rules = repository("dashboards/rules");
        let text = format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\n\
             rule_files: [\"{0}/recording.yml\", \"{0}/alerts.yml\"]\n\
             scrape_configs: [{{job_name: driftline, static_configs: [{{targets: [\"{target}\"]}}]}}]\n",
            rules.display()
        );
        fs::write(&config, text).unwrap();
        // Another may have taken the port before Prometheus does.
        for _ in 0..ATTEMPTS {
            let mut prometheus = Self::launch(folder, &config);
            if prometheus.looks() {
                return prometheus;
            }
        }
        panic!("prometheus ends as soon as it is started");
    }

    fn launch(folder: &Path, config: &Path) -> Self {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let address = format!("127.0.0.1:{port}");
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", folder.join("tsdb").display()))
            .arg(format!("--web.listen-address={address}"))
            .arg("--log.level=error")
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Self { child, address, started: now() }
    }

    /// Waits until it has looked at its target; whether it has, or has ended.
    fn looks(&mut self) -> bool {
        let started = Instant::now();
        while self.value("up").unwrap_or(0.0) == 0.0 {
            if self.child.try_wait().unwrap().is_some() {
                return false;
            }
            assert!(started.elapsed() < PATIENCE, "prometheus cannot look at its target");
            std::thread::park_timeout(Duration::from_millis(200));
        }
        true
    }

    /// Asks until it holds.
    pub fn wait(&mut self, what: &str, mut holds: impl FnMut(&Self) -> bool) {
        let started = Instant::now();
        while !holds(self) {
            assert!(started.elapsed() < PATIENCE, "{what} did not come about");
            assert!(self.child.try_wait().unwrap().is_none(), "prometheus ended before {what}");
            std::thread::park_timeout(Duration::from_millis(200));
        }
    }

    /// The series that a query gives now.
    ///
    /// # Errors
    ///
    /// What Prometheus says of the query.
    pub fn query(&self, expr: &str) -> Result<Vec<Value>, String> {
        self.ask("query", &[("query", expr)])
    }

    /// The series that a query has given since the server started: a machine that was too busy to answer for a moment is
    /// not missed in them.
    ///
    /// # Errors
    ///
    /// What Prometheus says of the query.
    pub fn query_range(&self, expr: &str) -> Result<Vec<Value>, String> {
        let (start, end) = (self.started.to_string(), now().to_string());
        self.ask("query_range", &[("query", expr), ("start", &start), ("end", &end), ("step", "1")])
    }

    /// The first value that a query gives now.
    pub fn value(&self, expr: &str) -> Option<f64> {
        self.query(expr).ok()?.first()?["value"][1].as_str()?.parse().ok()
    }

    /// All rules, as they were last evaluated.
    pub fn rules(&self) -> Vec<Value> {
        let groups = self.get("/api/v1/rules").unwrap()["data"]["groups"].take();
        groups.as_array().unwrap().iter().flat_map(|group| group["rules"].as_array().unwrap().clone()).collect()
    }

    fn ask(&self, what: &str, parameters: &[(&str, &str)]) -> Result<Vec<Value>, String> {
        let mut path = format!("/api/v1/{what}?");
        for (name, value) in parameters {
            write!(path, "{name}={}&", encoded(value)).unwrap();
        }
        let answer = self.get(&path).ok_or("prometheus does not answer")?;
        match answer["data"]["result"].as_array() {
            Some(series) => Ok(series.clone()),
            None => Err(answer["error"].to_string()),
        }
    }

    fn get(&self, path: &str) -> Option<Value> {
        let mut stream = TcpStream::connect(&self.address).ok()?;
        stream.set_read_timeout(Some(ANSWER)).ok()?;
        // 1.0: the answer comes in one piece.
        write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()
    }
}

/// Whether one of the series has a number in it.
pub fn has_numbers(series: &[Value]) -> bool {
    let is_number =
        |sample: &Value| sample[1].as_str().and_then(|it| it.parse::<f64>().ok()).is_some_and(f64::is_finite);
    series.iter().flat_map(|series| series["values"].as_array().unwrap()).any(is_number)
}

fn encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' => encoded.push(char::from(byte)),
            _ => write!(encoded, "%{byte:02X}").unwrap(),
        }
    }
    encoded
}
