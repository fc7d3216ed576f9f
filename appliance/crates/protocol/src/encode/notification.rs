//! Messages that are not answers.

use bytes::Bytes;

use crate::event::LogLevel;
use crate::json::{Raw, write_string};
use crate::revision::Revision;

/// `notifications/progress`. `message` exists since 2025-03-26. Numbers that are not finite, and
/// those too small to show, count as zero.
#[must_use]
pub fn progress(
    token: Raw<'_>,
    revision: Revision,
    progress: f64,
    total: Option<f64>,
    message: Option<&str>,
) -> Bytes {
    let mut params =
        format!("{{\"progressToken\":{},\"progress\":{}", token.text(), number(progress));
    if let Some(total) = total {
        params.push_str(&format!(",\"total\":{}", number(total)));
    }
    if let Some(message) = message.filter(|_| revision >= Revision::V2025_03_26) {
        params.push_str(",\"message\":");
        write_string(&mut params, message);
    }
    params.push('}');
    notification("notifications/progress", &params)
}

/// A number in few characters: `1e300`, not three hundred digits.
fn number(value: f64) -> String {
    match value.abs() {
        1e15.. if value.is_finite() => format!("{value:e}"),
        1e-6..1e15 => value.to_string(),
        _ => "0".to_owned(),
    }
}

/// `notifications/message`; `data` is the text of one value.
#[must_use]
pub fn log(level: LogLevel, logger: Option<&str>, data: &str) -> Bytes {
    let mut params = format!("{{\"level\":\"{}\"", level.as_str());
    if let Some(logger) = logger {
        params.push_str(",\"logger\":");
        write_string(&mut params, logger);
    }
    params.push_str(",\"data\":");
    params.push_str(data);
    params.push('}');
    notification("notifications/message", &params)
}

/// Any other notification; `params` is the text of one object, or empty.
#[must_use]
pub fn notification(method: &str, params: &str) -> Bytes {
    message("", method, params)
}

/// A request of ours to a legacy client; `id` is a number.
#[must_use]
pub fn request(id: u64, method: &str, params: &str) -> Bytes {
    message(&format!("\"id\":{id},"), method, params)
}

fn message(id: &str, method: &str, params: &str) -> Bytes {
    let mut out = format!("{{\"jsonrpc\":\"2.0\",{id}\"method\":");
    write_string(&mut out, method);
    if !params.is_empty() {
        out.push_str(",\"params\":");
        out.push_str(params);
    }
    out.push('}');
    out.into()
}
