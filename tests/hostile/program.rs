//! The program itself, watched.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_driftline");
/// Nothing here takes so long unless it is stuck.
const PATIENCE: Duration = Duration::from_secs(120);

/// What came of a run that has ended.
pub struct Ended {
    pub status: ExitStatus,
    /// Standard error.
    pub said: String,
    /// The most memory it ever held, in bytes.
    pub memory: u64,
}

/// Runs the program to its end; standard output goes nowhere.
pub fn driftline<S: AsRef<str>>(folder: &Path, arguments: &[S]) -> Ended {
    let said = folder.join("stderr");
    let mut child = Command::new(PROGRAM)
        .args(arguments.iter().map(AsRef::as_ref))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(File::create(&said).unwrap())
        .spawn()
        .unwrap();
    let (started, mut memory) = (Instant::now(), 0);
    let status = loop {
        memory = most_memory(child.id()).unwrap_or(memory);
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if started.elapsed() > PATIENCE {
            child.kill().unwrap();
            panic!("it is stuck: {}", std::fs::read_to_string(&said).unwrap());
        }
        std::thread::park_timeout(Duration::from_millis(5));
    };
    Ended { status, said: std::fs::read_to_string(&said).unwrap(), memory }
}

/// The kernel's high-water mark of a process, in bytes; nothing once it has ended.
fn most_memory(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().trim_end_matches(" kB").parse::<u64>().ok()? << 10)
}

/// The lines of a file, each of them JSON.
pub fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A running stream processor.
pub struct Instance {
    child: Child,
    address: String,
}

impl Drop for Instance {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Instance {
    /// Starts it, and waits until it listens.
    pub fn start(config: &Path) -> Self {
        let arguments = ["run", "-c", config.to_str().unwrap()];
        let mut child = Command::new(PROGRAM).args(arguments).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let address = loop {
            let line = lines.next().expect("it says where it listens before it ends").unwrap();
            let log: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line}"));
            if let Some(address) = log.pointer("/fields/address").or(log.pointer("/address")) {
                break address.as_str().unwrap().to_owned();
            }
        };
        // The rest is kept from filling the pipe.
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(|line| eprintln!("{line}")));
        Self { child, address }
    }

    /// What it answers, with the status line.
    pub fn get(&self, path: &str) -> String {
        let Ok(mut stream) = TcpStream::connect(&self.address) else { return String::new() };
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// The sum of a metric over its series.
    pub fn metric(&self, name: &str) -> u64 {
        let answer = self.get("/metrics");
        let of = |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']));
        let values = answer.lines().filter(of).filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
        values.sum::<f64>() as u64
    }

    /// The most memory it ever held, in bytes.
    pub fn memory(&self) -> u64 {
        most_memory(self.child.id()).unwrap()
    }

    pub fn wait(&mut self, what: &str, mut holds: impl FnMut(&Self) -> bool) {
        let started = Instant::now();
        while !holds(self) {
            assert!(started.elapsed() < PATIENCE, "{what} did not come about");
            assert!(self.child.try_wait().unwrap().is_none(), "the process ended before {what}");
            std::thread::park_timeout(Duration::from_millis(50));
        }
    }

    /// Asks it to stop, and waits until it has.
    pub fn stop(mut self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        assert!(self.child.wait().unwrap().success());
    }
}
