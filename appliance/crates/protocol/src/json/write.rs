//! Writing strings.

use super::clean::clean_run;

/// Appends `text` as a JSON string, with its quotes.
pub fn write_string(out: &mut String, text: &str) {
    out.push('"');
    let mut rest = text;
    loop {
        let clean = clean_run(rest.as_bytes());
        out.push_str(&rest[..clean]);
        let Some(byte) = rest.as_bytes().get(clean) else {
            break;
        };
        let (escape, length) = escape(*byte);
        // Escapes are ASCII.
        out.extend(escape[..length].iter().map(|byte| char::from(*byte)));
        rest = &rest[clean + 1..];
    }
    out.push('"');
}

/// Appends `utf8` as a JSON string, with its quotes. The caller has checked that it is UTF-8.
pub fn write_utf8_to(out: &mut Vec<u8>, utf8: &[u8]) {
    out.reserve(utf8.len() + 2);
    out.push(b'"');
    let mut rest = utf8;
    loop {
        let (clean, special) = rest.split_at(clean_run(rest));
        out.extend_from_slice(clean);
        let [byte, behind @ ..] = special else { break };
        if let b'"' | b'\\' = byte {
            // JSON inside of a string is full of them.
            out.extend_from_slice(&[b'\\', *byte]);
        } else {
            let (escape, length) = escape(*byte);
            out.extend_from_slice(&escape[..length]);
        }
        rest = behind;
    }
    out.push(b'"');
}

/// The escape of one byte, and its length.
const fn escape(byte: u8) -> ([u8; 6], usize) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let short = match byte {
        b'"' | b'\\' => byte,
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        0x08 => b'b',
        0x0C => b'f',
        _ => {
            let high = HEX[(byte >> 4) as usize];
            return ([b'\\', b'u', b'0', b'0', high, HEX[(byte & 15) as usize]], 6);
        }
    };
    ([b'\\', short, 0, 0, 0, 0], 2)
}
