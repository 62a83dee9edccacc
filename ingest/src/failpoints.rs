//! Where a process may be made to die by tests: the steps of taking partitions over and of committing, by name.
//!
//! The `FAILPOINTS` of a process that was built with the feature `failpoints` say what is to happen where, as the crate
//! [`fail`](https://docs.rs/fail) has it: `return` ends the process there and then, as `kill -9` would;
//! `3*off->return` when it comes there for the fourth time; `sleep(100)` holds it up. Without the feature, as in what is
//! shipped, nothing is left of the steps.

macro_rules! steps {
    ($($(#[doc = $doc:literal])+ $step:ident = $name:literal,)+) => {
        /// A step, in the order in which they are come to.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Step {
            $($(#[doc = $doc])+ $step,)+
        }

        impl Step {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$step),+];

            /// As it is named in `FAILPOINTS`.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$step => $name,)+
                }
            }
        }
    };
}

steps! {
    /// A session has begun: the member is about to join its group.
    SessionBegun = "session-begun",
    /// Partitions were assigned, and nothing was done about it.
    Assigned = "assigned",
    /// A partition's state is about to be read.
    StateOpened = "state-opened",
    /// Some of a partition's state was read.
    StatePartlyRead = "state-partly-read",
    /// What a dead writer has left open was ended by who waits for it.
    LeftOpenEnded = "left-open-ended",
    /// A partition's state was read to its end.
    StateRead = "state-read",
    /// A partition's engine was brought up to the end of the control log.
    CaughtUp = "caught-up",
    /// A partition is about to be read on.
    TakenOver = "taken-over",
    /// The group asks for partitions back, and nothing was done about it.
    Revoked = "revoked",
    /// Records were read, and nothing was made of them.
    BatchRead = "batch-read",
    /// What is to be committed was gathered.
    CommitGathered = "commit-gathered",
    /// There is a writer: the one before of the same name is fenced, and what it left open is ended.
    WriterOpened = "writer-opened",
    /// A transaction was begun, and nothing is in it.
    TransactionBegun = "transaction-begun",
    /// Half of the records of a transaction are on their way to the broker.
    RecordsPartlySent = "records-partly-sent",
    /// All of them are.
    RecordsSent = "records-sent",
    /// The broker has all records of the transaction, and no positions.
    RecordsConfirmed = "records-confirmed",
    /// Positions are in the transaction too.
    PositionsSent = "positions-sent",
    /// The broker has committed the transaction, and nobody here knows.
    Committed = "committed",
    /// The scorer may begin the next commit.
    CommitTold = "commit-told",
}

/// Says that a step was come to.
#[inline]
pub fn reach(step: Step) {
    #[cfg(feature = "failpoints")]
    fail::fail_point!(step.name(), |_| std::process::abort());
    #[cfg(not(feature = "failpoints"))]
    let _ = step;
}

/// Has `FAILPOINTS` hold for as long as what this returns is kept.
///
/// # Panics
///
/// Where `FAILPOINTS` are not written as the crate `fail` wants them.
pub fn begin() -> impl Sized {
    #[cfg(feature = "failpoints")]
    fail::FailScenario::setup()
}
