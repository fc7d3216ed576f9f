//! The header fields that decide what becomes of a request, found in one pass: to look one up by its name costs a hash of
//! that name, and every layer would ask again.

use http::header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE, HOST, ORIGIN};
use http::{HeaderMap, HeaderValue};

/// What a head holds of one name.
#[derive(Clone, Copy, Debug, Default)]
pub enum Field<'h> {
    /// Nothing.
    #[default]
    Absent,
    /// One value.
    One(&'h HeaderValue),
    /// More than one.
    Repeated,
}

impl<'h> Field<'h> {
    /// Notes one more value.
    pub fn add(&mut self, value: &'h HeaderValue) {
        *self = match self {
            Self::Absent => Self::One(value),
            Self::One(_) | Self::Repeated => Self::Repeated,
        };
    }

    /// Whether there is none at all.
    #[must_use]
    pub const fn is_absent(self) -> bool {
        matches!(self, Self::Absent)
    }

    /// The one value without its outer whitespace; `None` when absent, repeated or not ASCII.
    #[must_use]
    pub fn text(self) -> Option<&'h str> {
        match self {
            Self::One(value) => Some(trim(value.to_str().ok()?)),
            Self::Absent | Self::Repeated => None,
        }
    }
}

/// Without spaces and tabs at both ends. Hardly any value has one.
fn trim(text: &str) -> &str {
    let is_blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    let bytes = text.as_bytes();
    if is_blank(bytes.first()) || is_blank(bytes.last()) {
        text.trim_matches([' ', '\t'])
    } else {
        text
    }
}

/// What HTTP itself says of a request.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fields<'h> {
    /// `Host`.
    pub host: Field<'h>,
    /// `Origin`.
    pub origin: Field<'h>,
    /// `Content-Type`.
    pub content_type: Field<'h>,
    /// `Content-Encoding`.
    pub content_encoding: Field<'h>,
    /// `Accept`.
    pub accept: Field<'h>,
}

impl<'h> Fields<'h> {
    /// Those of a head.
    #[must_use]
    pub fn of(headers: &'h HeaderMap) -> Self {
        let mut fields = Self::default();
        for (name, value) in headers {
            let field = match name {
                name if *name == HOST => &mut fields.host,
                name if *name == ACCEPT => &mut fields.accept,
                name if *name == CONTENT_TYPE => &mut fields.content_type,
                name if *name == ORIGIN => &mut fields.origin,
                name if *name == CONTENT_ENCODING => &mut fields.content_encoding,
                _ => continue,
            };
            field.add(value);
        }
        fields
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_each_field_once_and_tells_one_from_many() {
        let mut headers = HeaderMap::new();
        headers.append(HOST, HeaderValue::from_static("a"));
        headers.append("x-host", HeaderValue::from_static("b"));
        headers.append(ACCEPT, HeaderValue::from_static(" c\t"));
        headers.append(ORIGIN, HeaderValue::from_static("d"));
        headers.append(ORIGIN, HeaderValue::from_static("d"));
        let fields = Fields::of(&headers);
        assert_eq!((fields.host.text(), fields.accept.text()), (Some("a"), Some("c")));
        assert!(matches!(fields.origin, Field::Repeated) && !fields.origin.is_absent());
        assert_eq!(fields.origin.text(), None);
        assert!(fields.content_type.is_absent() && fields.content_encoding.is_absent());
    }
}
