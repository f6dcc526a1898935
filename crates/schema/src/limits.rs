//! How much may be said at once: every bound on a message between a plugin, its host and the link derives from these.

use crate::{Code, Problem};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io;

/// Longest message between administrator and agent in bytes.
pub const MAX_MESSAGE: usize = 4 * 1024 * 1024;
/// Deepest nesting of its JSON.
pub const MAX_DEPTH: usize = 32;
/// Longest JSON that a plugin is told or tells: what an envelope of the link leaves of a message.
pub const MAX_PAYLOAD: usize = MAX_MESSAGE - 64 * 1024;
/// Deepest nesting of it.
pub const MAX_PAYLOAD_DEPTH: usize = MAX_DEPTH - 8;
/// What a frame or message costs in credit beside its bytes, so that many small ones are bounded too.
pub const FRAME_COST: usize = 64;

/// Whether JSON is nested deeper than `most`, told without building anything.
pub fn is_deeper(json: &[u8], most: usize) -> bool {
    let (mut depth, mut in_text, mut escaped) = (0usize, false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            _ if in_text => {}
            b'{' | b'[' => {
                depth += 1;
                if depth > most {
                    return true;
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

/// Reads what a plugin or its caller says, if it is not more than may be passed on.
///
/// # Errors
/// `quota` where it is too long or too deep, also as it would be written again; `bad_request` where it does not fit.
pub fn read_payload<T: DeserializeOwned + Serialize>(json: &[u8]) -> Result<T, Problem> {
    if is_deeper(json, MAX_PAYLOAD_DEPTH) {
        return Err(Problem::new(Code::Quota, format!("it is nested deeper than {MAX_PAYLOAD_DEPTH} levels.")));
    }
    let fits = |bytes: usize| {
        let text = || format!("{bytes} bytes are more than a message takes ({MAX_PAYLOAD}).");
        if bytes > MAX_PAYLOAD { Err(Problem::new(Code::Quota, text())) } else { Ok(()) }
    };
    fits(json.len())?;
    let value = serde_json::from_slice(json).map_err(|e| Problem::bad_request(format!("it cannot be read: {e}.")))?;
    // Numbers can be written again at several times their length.
    if json.len() > MAX_PAYLOAD / 8 {
        let mut length = Length(0);
        serde_json::to_writer(&mut length, &value).map_err(|e| Problem::bad_request(format!("{e}.")))?;
        fits(length.0)?;
    }
    Ok(value)
}

struct Length(usize);

impl io::Write for Length {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn nesting_is_bounded_and_braces_in_text_do_not_count() {
        let deep = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
        assert!(!is_deeper(deep(MAX_DEPTH).as_bytes(), MAX_DEPTH));
        assert!(is_deeper(deep(MAX_DEPTH + 1).as_bytes(), MAX_DEPTH));
        assert!(!is_deeper(format!(r#""{}\"{}""#, "[".repeat(100), "{".repeat(100)).as_bytes(), MAX_DEPTH));
    }

    #[test]
    fn what_is_too_much_is_a_quota_also_where_it_grows_when_it_is_written_again() {
        let code = |json: &[u8]| read_payload::<Value>(json).map_err(|problem| problem.code);
        assert!(code(format!("\"{}\"", "x".repeat(MAX_PAYLOAD - 2)).as_bytes()).is_ok());
        assert_eq!(code(format!("\"{}\"", "x".repeat(MAX_PAYLOAD - 1)).as_bytes()), Err(Code::Quota));
        let numbers = format!("[{}1e9]", "1e9,".repeat(MAX_PAYLOAD / 8));
        assert!(numbers.len() < MAX_PAYLOAD);
        assert_eq!(code(numbers.as_bytes()), Err(Code::Quota));
        assert_eq!(code(&[b'['; 100_000]), Err(Code::Quota));
        assert_eq!(code(b"{"), Err(Code::BadRequest));
    }
}
