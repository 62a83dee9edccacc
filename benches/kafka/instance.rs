//! The program as a process of its own, and what it says of itself over HTTP.

use std::error::Error;
use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use serde_json::Value;

use crate::{PROGRAM, pause};

/// A running instance; it is ended where it was not stopped.
pub struct Instance {
    child: Child,
    log: PathBuf,
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
    /// Starts `driftline run`, which is to log in JSON, and waits until it listens.
    pub fn start(config: &Path, log: PathBuf) -> Result<Self, Box<dyn Error>> {
        let child = Command::new(PROGRAM).arg("run").arg("-c").arg(config).stderr(File::create(&log)?).spawn()?;
        let mut instance = Self { child, log, address: String::new() };
        loop {
            instance.check()?;
            let log = std::fs::read_to_string(&instance.log)?;
            if let Some(address) = log.lines().find_map(address) {
                instance.address = address;
                return Ok(instance);
            }
            pause();
        }
    }

    /// Fails where the process has ended.
    pub fn check(&mut self) -> Result<(), Box<dyn Error>> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => Err(format!("driftline run: {status}\n{}", std::fs::read_to_string(&self.log)?).into()),
        }
    }

    /// All metrics, as they are now.
    pub fn metrics(&mut self) -> Result<Metrics, Box<dyn Error>> {
        self.check()?;
        let mut stream = TcpStream::connect(&self.address)?;
        write!(stream, "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(Metrics(answer))
    }

    /// Asks it to stop, and waits until it has.
    pub fn stop(mut self) -> Result<(), Box<dyn Error>> {
        Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status()?;
        let status = self.child.wait()?;
        if status.success() { Ok(()) } else { self.check() }
    }
}

fn address(line: &str) -> Option<String> {
    let log: Value = serde_json::from_str(line).ok()?;
    let address = log.pointer("/fields/address").or_else(|| log.pointer("/address"))?;
    Some(address.as_str()?.to_owned())
}

/// An answer of `/metrics`.
pub struct Metrics(String);

impl Metrics {
    /// The sum of a metric over its series; 0 where there is none.
    pub fn sum(&self, name: &str) -> u64 {
        let of = |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']));
        self.0.lines().filter(of).filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
    }
}
