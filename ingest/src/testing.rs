//! A Kafka broker for integration tests, of this crate and of others.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use futures_executor::block_on;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};

use crate::kafka::{Admin, ClientSettings, KafkaError, TopicSpec};
use crate::source::now;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/kafka");

/// A broker that tests may use. Others may use it at the same time, so names are unique.
#[derive(Debug)]
pub struct Broker {
    bootstrap: String,
}

/// The broker at `KAFKA_BOOTSTRAP` where that is set, else one that `scripts/kafka` starts on a free port: once a
/// process, and stopped when the process ends.
///
/// Where neither is possible, because Java or Maven is missing, it says so on standard error and returns `None`.
///
/// # Panics
///
/// Where the environment has `CI` and there is no broker, since a test that is skipped there is skipped for good; and
/// where there are Java and Maven and the broker does not start all the same.
pub fn broker() -> Option<&'static Broker> {
    static BROKER: OnceLock<Option<Broker>> = OnceLock::new();
    BROKER.get_or_init(find).as_ref()
}

/// A broker that nobody else uses, for a test that kills it; `None` as for [`broker`]. It is stopped when the process ends.
///
/// # Panics
///
/// As [`broker`].
pub fn own_broker() -> Option<&'static Broker> {
    can_start().then(|| &*Box::leak(Box::new(start())))
}

#[expect(clippy::disallowed_methods, reason = "tests are told of a broker by their environment")]
fn find() -> Option<Broker> {
    if let Ok(bootstrap) = std::env::var("KAFKA_BOOTSTRAP") {
        return Some(Broker { bootstrap });
    }
    can_start().then(start)
}

/// Whether there is what a broker takes; where there is not, it is said.
#[expect(clippy::disallowed_methods, reason = "tests are told by their environment whether they may be skipped")]
#[expect(clippy::panic, reason = "in a test a panic is how a failure is reported")]
fn can_start() -> bool {
    let missing: Vec<_> = ["java", "mvn"].into_iter().filter(|program| !is_installed(program)).collect();
    if missing.is_empty() {
        return true;
    }
    assert!(std::env::var_os("CI").is_none(), "no Kafka broker: {} not found", missing.join(" and "));
    let line = format!(
        "\n*** TESTS SKIPPED: they need a Kafka broker. Install {} or set KAFKA_BOOTSTRAP. ***\n\n",
        missing.join(" and ")
    );
    // Written past the harness, which shows what a test prints only where it fails.
    if std::io::stderr().write_all(line.as_bytes()).is_err() {
        panic!("{line}");
    }
    false
}

#[expect(clippy::disallowed_methods, reason = "programs are found where the environment says")]
fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

#[expect(clippy::panic, reason = "in a test a panic is how a failure is reported")]
fn start() -> Broker {
    let said = script("start", "0");
    let Some(bootstrap) = said.trim().strip_prefix("KAFKA_BOOTSTRAP=") else { panic!("{SCRIPT} start: {said}") };
    let broker = Broker { bootstrap: bootstrap.to_owned() };
    stop_at_exit(broker.port());
    broker
}

#[expect(clippy::panic, reason = "in a test a panic is how a failure is reported")]
fn script(what: &str, port: &str) -> String {
    assert!(Path::new(SCRIPT).exists(), "{SCRIPT} is missing");
    match Command::new(SCRIPT).args([what, port]).output() {
        Ok(output) if output.status.success() => String::from_utf8_lossy(&output.stdout).into_owned(),
        Ok(output) => panic!("{SCRIPT} {what}: {}", String::from_utf8_lossy(&output.stderr)),
        Err(error) => panic!("{SCRIPT}: {error}"),
    }
}

/// Has the broker stopped when this process has ended, in whatever way: a shell waits until the pipe from here is shut.
#[expect(clippy::panic, reason = "in a test a panic is how a failure is reported")]
fn stop_at_exit(port: &str) {
    let mut shell = Command::new("sh");
    shell.args(["-c", "read -r _; exec \"$0\" stop \"$1\"", SCRIPT, port]);
    match shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn() {
        // The pipe is shut by the end of the process, and by nothing else.
        Ok(child) => std::mem::forget(child),
        Err(error) => panic!("sh: {error}"),
    }
}

impl Broker {
    /// `host:port`.
    pub fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    fn port(&self) -> &str {
        self.bootstrap.rsplit(':').next().unwrap_or_default()
    }

    /// Ends it as a crash would; one of its own, of which the test is sure that nobody else uses it ([`own_broker`]).
    pub fn kill(&self) {
        script("kill", self.port());
    }

    /// Starts it again after [`Broker::kill`], on the same port and data; returns when it listens.
    pub fn resume(&self) {
        script("resume", self.port());
    }

    /// Settings for clients of this broker.
    pub fn settings(&self) -> ClientSettings {
        self.settings_with(&[])
    }

    /// Settings for clients of this broker, with some of librdkafka's own.
    ///
    /// # Panics
    ///
    /// Where one of them is reserved.
    #[expect(clippy::panic, reason = "in a test a panic is how a failure is reported")]
    pub fn settings_with(&self, librdkafka: &[(&str, &str)]) -> ClientSettings {
        let settings = librdkafka.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect();
        ClientSettings::new(&self.bootstrap, settings).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Reads a topic as anybody would with `rdkafka`, for [`KafkaSource`](crate::kafka::KafkaSource) to be compared with:
    /// `BaseConsumer::poll` in a loop, message by message, all settings those by default, and of each record its length
    /// alone is looked at. Returns the time from the first record until `records` of them were there.
    ///
    /// # Errors
    ///
    /// [`KafkaError`] where the client fails, or nothing comes for a minute.
    pub fn drain_plainly(&self, topic: &str, records: u64) -> Result<Duration, KafkaError> {
        const PATIENCE: Duration = Duration::from_secs(60);
        let doing = || format!("draining {topic} with a plain consumer");
        let mut config = ClientConfig::new();
        // Who reads a topic from its beginning cannot do without these three.
        config.set("bootstrap.servers", &self.bootstrap).set("group.id", self.unique("plain"));
        config.set("auto.offset.reset", "earliest");
        let consumer: BaseConsumer = config.create().map_err(|error| KafkaError::from_client(doing(), error))?;
        consumer.subscribe(&[topic]).map_err(|error| KafkaError::from_client(doing(), error))?;
        let (mut started, mut quiet, mut seen, mut bytes) = (None, None, 0, 0);
        while seen < records {
            // Nothing is also what a poll gives that has served a rebalance, or a commit.
            let Some(message) = consumer.poll(Duration::from_secs(1)) else {
                if quiet.get_or_insert_with(Instant::now).elapsed() >= PATIENCE {
                    let nothing = rdkafka::error::KafkaError::NoMessageReceived;
                    return Err(KafkaError::from_client(doing(), nothing));
                }
                continue;
            };
            let message = message.map_err(|error| KafkaError::from_client(doing(), error))?;
            quiet = None;
            started.get_or_insert_with(Instant::now);
            seen += 1;
            bytes += message.payload_len();
        }
        std::hint::black_box(bytes);
        Ok(started.map_or(Duration::ZERO, |started: Instant| started.elapsed()))
    }

    /// A name that nobody else has: for a topic, a group, a transactional id.
    pub fn unique(&self, name: &str) -> String {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        format!("{name}-{}-{}-{next}", now().millis(), std::process::id())
    }

    /// Makes a topic with a unique name, which it returns.
    ///
    /// # Panics
    ///
    /// Where the broker refuses.
    #[expect(clippy::panic, reason = "in a test a panic is how a failure is reported")]
    pub fn topic(&self, name: &str, partitions: i32, config: &[(&str, &str)]) -> String {
        let name = self.unique(name);
        let config = config.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let spec = TopicSpec { name: name.clone(), partitions, replication: Some(1), config };
        let made = Admin::new(&self.settings()).and_then(|admin| admin.create(&spec));
        made.unwrap_or_else(|error| panic!("{error}"));
        name
    }

    /// Takes a topic away, with all that is in it.
    ///
    /// # Panics
    ///
    /// Where the broker refuses.
    #[expect(clippy::panic, reason = "in a test a panic is how a failure is reported")]
    pub fn delete(&self, topic: &str) {
        let deleted = block_on(self.admin().delete_topics(&[topic], &AdminOptions::new()));
        if let Err(error) = deleted.map(|results| results.into_iter().collect::<Result<Vec<_>, _>>()) {
            panic!("{error}");
        }
    }

    /// Gives a topic this setting; all others are as the broker has them by default.
    ///
    /// # Panics
    ///
    /// Where the broker refuses.
    #[expect(clippy::panic, reason = "in a test a panic is how a failure is reported")]
    pub fn configure(&self, topic: &str, name: &str, value: &str) {
        let resource = ResourceSpecifier::Topic(topic);
        let alter = AlterConfig::new(resource).set(name, value);
        let altered = block_on(self.admin().alter_configs([&alter], &AdminOptions::new()));
        if let Err(error) = altered.map(|results| results.into_iter().collect::<Result<Vec<_>, _>>()) {
            panic!("{error}");
        }
    }

    #[expect(clippy::panic, reason = "in a test a panic is how a failure is reported")]
    fn admin(&self) -> AdminClient<DefaultClientContext> {
        self.settings().client(&[], &[]).create().unwrap_or_else(|error| panic!("{error}"))
    }
}

/// A transaction that is open until this is dropped, and then aborted: whoever reads to the end of the partition that it
/// has written to waits for it.
pub struct OpenTransaction(BaseProducer);

impl OpenTransaction {
    /// Writes a record that no reader will ever see.
    ///
    /// # Panics
    ///
    /// Where the broker refuses.
    #[expect(clippy::panic, reason = "in a test a panic is how a failure is reported")]
    pub fn begin(broker: &Broker, topic: &str, partition: i32) -> Self {
        let patience = Duration::from_secs(30);
        let open = || {
            let mut config = ClientConfig::new();
            config.set("bootstrap.servers", broker.bootstrap()).set("transactional.id", broker.unique("open"));
            let producer: BaseProducer = config.set("transaction.timeout.ms", "600000").create()?;
            producer.init_transactions(patience)?;
            producer.begin_transaction()?;
            producer
                .send(BaseRecord::to(topic).partition(partition).key("open").payload("never seen"))
                .map_err(|(error, _)| error)?;
            producer.flush(patience)?;
            Ok::<_, rdkafka::error::KafkaError>(producer)
        };
        open().map_or_else(|error| panic!("opening a transaction: {error}"), Self)
    }
}

impl Drop for OpenTransaction {
    fn drop(&mut self) {
        // A test that fails here has failed elsewhere.
        let _ = self.0.abort_transaction(Duration::from_secs(30));
    }
}
