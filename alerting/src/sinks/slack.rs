//! Slack, by an incoming webhook.
//!
//! # What it sends
//!
//! A group by itself is a message of blocks (`slack/blocks.rs`); several are a digest, a few lines each. Nothing that
//! comes from outside is in a `mrkdwn` text, and `& < >` are escaped everywhere, so that no name can mention a channel,
//! make a link or change the layout. The alert's id stands in the last block.
//!
//! # What its answers mean
//!
//! | answer | meaning |
//! | --- | --- |
//! | 2xx | taken |
//! | 429, 408, 5xx, no answer | [`SendError::Retry`], after `Retry-After` where it is given (seconds or an HTTP date) |
//! | 400 with another error, 413, other 4xx | [`SendError::Rejected`] |
//! | 400 `invalid_token`, `no_team`, `user_not_found` …, 401, 403, 404, 410, a redirect | [`SendError::Misconfigured`] |
//!
//! # Its limits
//!
//! One message a second for a webhook. Per message 50 blocks, a header of 150 characters, section texts of 3,000, ten
//! fields of 2,000, ten context elements; and about 9,000 characters in all to stay readable.

use std::time::{Duration, SystemTime};

use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use ureq::http::{HeaderMap, StatusCode, Uri, header};

use super::{SendError, Sink};
use crate::group::Group;

mod blocks;
mod text;

/// What Slack answers to a webhook that is gone, or may not be used; everything else with status 400 is about the
/// message.
const SETUP_ERRORS: [&str; 9] = [
    "invalid_token",
    "no_service",
    "no_service_id",
    "no_team",
    "no_active_hooks",
    "team_disabled",
    "user_not_found",
    "channel_not_found",
    "action_prohibited",
];

/// Bytes of an answer that are looked at.
const ANSWER_BYTES: u64 = 4_096;

/// A Slack incoming webhook.
#[derive(Debug)]
pub struct Slack {
    name: String,
    webhook: SecretString,
    pace: Duration,
    agent: ureq::Agent,
}

/// A text that cannot be a webhook's address; it is not repeated, because it may hold the secret all the same.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the Slack webhook {0}; give the address that Slack shows for it, https://hooks.slack.com/services/…")]
pub struct WebhookError(&'static str);

impl Slack {
    /// A sink of this name for a webhook. The address is `https`; plain `http` is taken for this machine only (a relay,
    /// a test). `timeout` bounds a whole exchange, from the look-up of the host to the answer's last byte.
    ///
    /// # Errors
    ///
    /// [`WebhookError`] where the address cannot be one.
    pub fn new(name: &str, webhook: SecretString, timeout: Duration) -> Result<Self, WebhookError> {
        let uri: Uri = webhook.expose_secret().trim().parse().map_err(|_| WebhookError("is not a URL"))?;
        let host = uri.host().ok_or(WebhookError("names no host"))?;
        let local = host == "localhost"
            || host.trim_matches(['[', ']']).parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
        match uri.scheme_str() {
            Some("https") => {}
            Some("http") if local => {}
            _ => return Err(WebhookError("is not an https URL")),
        }
        let mut config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            // A redirect would carry the alert to an address that nobody has configured.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_global(Some(timeout))
            .user_agent(concat!("driftline/", env!("CARGO_PKG_VERSION")));
        if local {
            config = config.proxy(None);
        }
        let webhook = SecretString::from(webhook.expose_secret().trim());
        Ok(Self { name: name.to_owned(), webhook, pace: Duration::from_secs(1), agent: config.build().into() })
    }

    /// Another pace than Slack's documented message a second.
    pub fn with_pace(mut self, pace: Duration) -> Self {
        self.pace = pace;
        self
    }

    fn post(&self, message: &Value) -> Result<(), SendError> {
        let mut answer =
            self.agent.post(self.webhook.expose_secret()).send_json(message).map_err(|error| self.no_answer(&error))?;
        if answer.status().is_success() {
            return Ok(());
        }
        let body = answer.body_mut().with_config().limit(ANSWER_BYTES).lossy_utf8(true).read_to_string();
        // The status says enough where the text cannot be read.
        let body = body.unwrap_or_default();
        Err(self.refusal(answer.status(), answer.headers(), body.trim()))
    }

    /// What an answer other than success means.
    fn refusal(&self, status: StatusCode, headers: &HeaderMap, body: &str) -> SendError {
        let why = format!("Slack answered {} {}", status.as_u16(), self.redact(body));
        match status.as_u16() {
            408 | 425 | 429 | 500..=599 => {
                SendError::Retry { after: retry_after(headers, SystemTime::now()), why: why.trim_end().to_owned() }
            }
            300..=399 | 401 | 403 | 404 | 410 => misconfigured(&why),
            400 if SETUP_ERRORS.contains(&body) => misconfigured(&why),
            _ => SendError::Rejected { why: why.trim_end().to_owned() },
        }
    }

    fn no_answer(&self, error: &ureq::Error) -> SendError {
        match error {
            // These hold the address.
            ureq::Error::BadUri(_) | ureq::Error::RequireHttpsOnly(_) | ureq::Error::Http(_) => {
                misconfigured("the webhook's address is not accepted")
            }
            error => SendError::Retry { after: None, why: self.redact(&error.to_string()) },
        }
    }

    /// Text of the other side's or of the HTTP client's, short, safe to show, and without the webhook's address.
    fn redact(&self, text: &str) -> String {
        let address = self.webhook.expose_secret();
        let path = address.split_once("://").and_then(|(_, rest)| rest.split_once('/')).map_or("", |(_, path)| path);
        let mut text = text.replace(address, "[webhook]");
        // The last part is the secret itself; the others name workspace and hook.
        for part in path.split(['/', '?', '&', '=']).filter(|part| part.len() >= 8) {
            text = text.replace(part, "[webhook]");
        }
        driftline_core::terminal(&driftline_core::truncate(&text, 200)).into_owned()
    }
}

fn misconfigured(why: &str) -> SendError {
    SendError::Misconfigured { why: format!("{}; check the webhook in Slack and in the configuration", why.trim_end()) }
}

/// When to ask again: a number of seconds, or a date, which is taken by the other side's own clock where it tells it.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let value = text(header::RETRY_AFTER)?;
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let then = httpdate::parse_http_date(value).ok()?;
    let now = text(header::DATE).and_then(|date| httpdate::parse_http_date(date).ok()).unwrap_or(now);
    Some(then.duration_since(now).unwrap_or_default())
}

impl Sink for Slack {
    fn name(&self) -> &str {
        &self.name
    }

    fn pace(&self) -> Duration {
        self.pace
    }

    fn capacity(&self) -> usize {
        blocks::DIGEST
    }

    fn send(&mut self, groups: &[Group]) -> Result<(), SendError> {
        self.post(&blocks::message(groups))
    }

    fn send_plain(&mut self, groups: &[Group]) -> Result<(), SendError> {
        self.post(&blocks::plain_message(groups))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WEBHOOK: &str = "https://hooks.slack.com/services/T00000000/B00000000/s3cr3ts3cr3ts3cr3t";

    fn slack(webhook: &str) -> Result<Slack, WebhookError> {
        Slack::new("slack", webhook.into(), Duration::from_secs(1))
    }

    fn after(value: &str, date: Option<&str>) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        headers.insert(header::RETRY_AFTER, value.parse().unwrap());
        if let Some(date) = date {
            headers.insert(header::DATE, date.parse().unwrap());
        }
        retry_after(&headers, httpdate::parse_http_date("Mon, 02 Mar 2026 08:00:00 GMT").unwrap())
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        assert_eq!(after("30", None), seconds(30));
        assert_eq!(after("Mon, 02 Mar 2026 08:01:00 GMT", None), seconds(60));
        assert_eq!(after("Mon, 02 Mar 2026 07:00:00 GMT", None), seconds(0));
        assert_eq!(after("Mon, 02 Mar 2026 09:00:10 GMT", Some("Mon, 02 Mar 2026 09:00:00 GMT")), seconds(10));
        assert_eq!(after("soon", None), None);
        assert_eq!(after("-1", None), None);
    }

    #[test]
    fn each_answer_means_what_the_table_says() {
        let slack = slack(WEBHOOK).unwrap();
        let refusal = |status, body| slack.refusal(StatusCode::from_u16(status).unwrap(), &HeaderMap::new(), body);
        for (status, body) in [(429, "rate_limited"), (500, ""), (503, "down"), (408, "")] {
            assert!(matches!(refusal(status, body), SendError::Retry { .. }), "{status} {body}");
        }
        for (status, body) in [(400, "invalid_blocks"), (400, "invalid_payload"), (400, ""), (413, ""), (422, "")] {
            assert!(matches!(refusal(status, body), SendError::Rejected { .. }), "{status} {body}");
        }
        for (status, body) in [
            (400, "invalid_token"),
            (403, "action_prohibited"),
            (404, "no_service"),
            (410, "channel_is_archived"),
            (302, ""),
        ] {
            assert!(matches!(refusal(status, body), SendError::Misconfigured { .. }), "{status} {body}");
        }
    }

    #[test]
    fn an_address_that_cannot_be_a_webhook_is_refused_without_being_repeated() {
        for address in ["", "s3cr3t", "http://hooks.slack.com/services/s3cr3t", "ftp://localhost/s3cr3t", "https://"] {
            let error = slack(address).unwrap_err().to_string();
            assert!(error.contains("hooks.slack.com") && !error.contains("s3cr3t"), "{error}");
        }
        for address in [WEBHOOK, "http://127.0.0.1:9/x", "http://[::1]:9/x", "http://localhost/x"] {
            assert!(slack(address).is_ok(), "{address}");
        }
    }

    #[test]
    fn the_secret_is_in_no_text() {
        let slack = slack(WEBHOOK).unwrap();
        assert!(!format!("{slack:?}").contains("s3cr3t"));
        let echo = format!("no hook at {WEBHOOK}, nor B00000000/s3cr3ts3cr3ts3cr3t \u{1b}[31m");
        let error = slack.refusal(StatusCode::NOT_FOUND, &HeaderMap::new(), &echo);
        assert!(!format!("{error:?} {error}").contains("s3cr3t"), "{error}");
        assert!(!error.to_string().contains('\u{1b}'));
    }
}
