//! What the tests start: a folder with simulated events, and the program that runs over them.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_driftline");
/// Nothing here takes so long unless it is stuck.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// A folder to work in, which is the working directory of everything that is started.
pub struct Site(tempfile::TempDir);

/// A process that runs the stream processor.
pub struct Instance {
    pub child: Child,
    address: String,
    /// The rest of what it says.
    said: Option<std::thread::JoinHandle<String>>,
}

/// What it says and nobody has read yet.
pub type Log = std::io::Lines<BufReader<std::process::ChildStderr>>;

impl Site {
    /// Simulated events in `whole.ndjson`, among them a few records that are none.
    pub fn new(events: u32) -> Self {
        let site = Self(tempfile::tempdir().unwrap());
        let (agents, events) = ((events / 500).to_string(), events.to_string());
        site.driftline(&[
            "simulate",
            "--agents",
            &agents,
            "--events",
            &events,
            "--attacks",
            "60",
            "--seed",
            "7",
            "--identities",
            "ids",
            "--out",
            "whole.ndjson",
        ]);
        let text = fs::read_to_string(site.path("whole.ndjson")).unwrap();
        let spoilt = text.lines().enumerate().flat_map(|(i, line)| {
            let broken = if i % 1000 == 500 { format!("no event {i}\n") } else { String::new() };
            [broken, line.to_owned() + "\n"]
        });
        fs::write(site.path("whole.ndjson"), spoilt.collect::<String>()).unwrap();
        site
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Some lines of the simulated events.
    pub fn lines(&self, range: std::ops::Range<usize>) -> String {
        let text = fs::read_to_string(self.path("whole.ndjson")).unwrap();
        text.split_inclusive('\n').skip(range.start).take(range.len()).collect()
    }

    /// Writes the configuration `NAME.toml`; what it writes and keeps is called after it.
    pub fn configure(&self, name: &str, paths: &str, more: &str) {
        let text = format!(
            "[source.files]\npaths = {paths}\n[alerts.file]\npath = \"{name}.alerts\"\n\
             [dead_letters.file]\npath = \"{name}.dead\"\n[instance]\nstate = \"{name}.state\"\n\
             [http]\nlisten = \"127.0.0.1:0\"\n[log]\nformat = \"json\"\n\
             [identities]\npath = \"ids\"\nreload = \"100ms\"\n{more}"
        );
        fs::write(self.path(&format!("{name}.toml")), text).unwrap();
    }

    /// The command that runs over what `NAME.toml` says.
    pub fn command(&self, name: &str) -> Command {
        let mut command = Command::new(PROGRAM);
        command.current_dir(self.0.path()).args(["run", "-c", &format!("{name}.toml")]);
        command
    }

    /// Runs to the end of the files, which must be good.
    pub fn run(&self, name: &str) -> String {
        let output = self.command(name).stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{said}");
        said
    }

    /// Runs, and must end with this status; returns what it said.
    pub fn refused(&self, name: &str, status: i32) -> String {
        let output = self.command(name).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(status), "{said}");
        said
    }

    pub fn driftline(&self, arguments: &[&str]) -> String {
        let output = Command::new(PROGRAM).current_dir(self.0.path()).args(arguments).output().unwrap();
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(output.status.success(), "{arguments:?}: {said}");
        said
    }

    /// The line that tells the hash of what a run has left.
    pub fn state(&self, name: &str) -> String {
        let said = self.driftline(&["state", "--state", &format!("{name}.state")]);
        said.lines().last().unwrap().to_owned()
    }

    /// The kinds of the control records that a run has made, in order.
    pub fn control(&self, name: &str) -> Vec<String> {
        let said = self.driftline(&["dump", "--state", &format!("{name}.state")]);
        let kind = |line: &str| serde_json::from_str::<Value>(line).unwrap()["kind"].as_str().unwrap().to_owned();
        said.lines().map(kind).collect()
    }

    /// The lines of an output, each of them whole JSON.
    pub fn said(&self, file: &str) -> Vec<Value> {
        let text = fs::read_to_string(self.path(file)).unwrap();
        assert!(text.is_empty() || text.ends_with('\n'), "{file} is cut");
        text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{file}: {line}"))).collect()
    }

    /// The ids of alerts in the order they were told, each of them once.
    pub fn alerts(&self, name: &str) -> Vec<String> {
        let field = |alert: &Value| alert["id"].as_str().unwrap().to_owned();
        self.once(&format!("{name}.alerts"), field)
    }

    /// The positions of dead letters in the order they were told, each of them once.
    pub fn dead(&self, name: &str) -> Vec<String> {
        self.once(&format!("{name}.dead"), |letter| letter["position"].as_str().unwrap().to_owned())
    }

    fn once(&self, file: &str, field: impl Fn(&Value) -> String) -> Vec<String> {
        let found: Vec<String> = self.said(file).iter().map(field).collect();
        assert_eq!(found.iter().collect::<BTreeSet<_>>().len(), found.len(), "{file} says something twice");
        found
    }

    /// When a file was last written to; nothing where it is not there.
    pub fn written(&self, file: &str) -> Option<std::time::SystemTime> {
        fs::metadata(self.path(file)).and_then(|data| data.modified()).ok()
    }

    pub fn size(&self, file: &str) -> u64 {
        fs::metadata(self.path(file)).map_or(0, |data| data.len())
    }
}

impl Instance {
    /// Starts it, and waits until it listens.
    pub fn start(command: Command) -> Self {
        let (mut instance, log) = Self::start_unread(command);
        instance.read(log);
        instance
    }

    /// As [`Instance::start`], and leaves unread what it says from then on.
    pub fn start_unread(mut command: Command) -> (Self, Log) {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let address = loop {
            let line = lines.next().expect("it says where it listens before it ends").unwrap();
            let log: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line}"));
            if let Some(address) = log.pointer("/address") {
                break address.as_str().unwrap().to_owned();
            }
        };
        (Self { child, address, said: None }, lines)
    }

    /// Reads what it says, to the end.
    pub fn read(&mut self, log: Log) {
        let read = move || log.map_while(Result::ok).fold(String::new(), |all, line| all + &line + "\n");
        self.said = Some(std::thread::spawn(read));
    }

    pub fn get(&self, path: &str) -> String {
        let Ok(mut stream) = TcpStream::connect(&self.address) else { return String::new() };
        let mut answer = String::new();
        let asked = write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        asked.and_then(|()| stream.read_to_string(&mut answer)).map_or_else(|_| String::new(), |_| answer)
    }

    pub fn wait(&mut self, what: &str, mut holds: impl FnMut(&Self) -> bool) {
        let started = Instant::now();
        while !holds(self) {
            let (ready, metrics) = (self.get("/readyz"), self.get("/metrics"));
            assert!(started.elapsed() < PATIENCE, "{what} did not come about: {ready}\n{metrics}");
            assert!(self.child.try_wait().unwrap().is_none(), "the process ended before {what}");
            std::thread::park_timeout(Duration::from_millis(50));
        }
    }

    /// Waits until it ends by itself, which must be well; returns what it said.
    pub fn end(mut self) -> String {
        drop(self.child.stdin.take());
        let status = self.child.wait().unwrap();
        let said = self.said.take().map_or_else(String::new, |said| said.join().unwrap());
        assert!(status.success(), "{said}");
        said
    }
}
