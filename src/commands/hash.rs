//! `driftline hash`: the hash that `result.mentions` holds for an identifier.

use std::io::Write;

use secrecy::{ExposeSecret, SecretString};

use super::CommandError;

/// `driftline hash IDENTIFIER`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The address, URL, account number, file name or name.
    identifier: String,
    /// The site's key, where it uses one.
    #[arg(long, env = "DRIFTLINE_HASH_KEY", hide_env_values = true)]
    key: Option<SecretString>,
}

/// Prints the hash.
///
/// # Errors
///
/// [`CommandError`] where the output cannot be written.
pub fn run(args: &Args, out: &mut impl Write) -> Result<(), CommandError> {
    let key = args.key.as_ref().map(|key| key.expose_secret().as_bytes()).unwrap_or_default();
    writeln!(out, "{}", driftline_core::mention(&args.identifier, key))?;
    Ok(())
}
