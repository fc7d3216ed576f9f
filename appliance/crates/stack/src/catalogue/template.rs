//! URI templates of resources: literals, `{name}` and `{+name}` (RFC 6570, levels 1 and 2).
//!
//! Matching walks the URI once from left to right and never goes back, so its time is linear in the URI whatever the
//! template is.

use protocol::json::write_string;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    Variable { name: String, crosses_slashes: bool },
}

/// A parsed template.
#[derive(Clone, Debug)]
pub(super) struct UriTemplate {
    text: String,
    parts: Vec<Part>,
}

impl UriTemplate {
    /// Parses a template.
    ///
    /// Two variables must have a literal between them: where one ends and the next begins would be a guess.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let (literal, after) = rest.split_at(rest.find('{').unwrap_or(rest.len()));
            if literal.contains('}') {
                return Err("a `}` without its `{`".to_owned());
            }
            if !literal.is_empty() {
                parts.push(Part::Literal(literal.to_owned()));
            }
            rest = match after.strip_prefix('{') {
                None => after,
                Some(expression) => {
                    let (expression, after) =
                        expression.split_once('}').ok_or("a `{` without its `}`")?;
                    if matches!(parts.last(), Some(Part::Variable { .. })) {
                        return Err("two variables need a literal between them".to_owned());
                    }
                    parts.push(variable(expression)?);
                    after
                }
            };
        }
        if parts.is_empty() {
            return Err("it is empty".to_owned());
        }
        Ok(Self { text: text.to_owned(), parts })
    }

    /// The template as written.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Whether a URI matches.
    pub(super) fn fits(&self, uri: &str) -> bool {
        self.walk(uri, |_, value| !value.contains('%') || percent_decode(value).is_some())
    }

    /// The variables of a URI that matches, as a JSON object of strings, percent-decoded once.
    pub(super) fn matches(&self, uri: &str) -> Option<String> {
        let mut out = String::from("{");
        let fits = self.walk(uri, |name, value| {
            let Some(value) = percent_decode(value) else { return false };
            if out.len() > 1 {
                out.push(',');
            }
            write_string(&mut out, name);
            out.push(':');
            write_string(&mut out, &value);
            true
        });
        out.push('}');
        fits.then_some(out)
    }

    /// Shows each variable and its text to `see`; `false` as soon as that says so, or the URI does not match.
    fn walk(&self, uri: &str, mut see: impl FnMut(&str, &str) -> bool) -> bool {
        let mut rest = uri;
        let mut parts = self.parts.as_slice();
        while let Some((part, following)) = parts.split_first() {
            parts = following;
            let after = match part {
                Part::Literal(literal) => rest.strip_prefix(literal.as_str()),
                Part::Variable { name, crosses_slashes } => {
                    let value = value(rest, *crosses_slashes, following);
                    value.filter(|value| see(name, value)).map(|value| &rest[value.len()..])
                }
            };
            match after {
                Some(after) => rest = after,
                None => return false,
            }
        }
        rest.is_empty()
    }
}

/// What a variable at the beginning of `rest` takes of it, given the parts after it.
fn value<'u>(rest: &'u str, crosses_slashes: bool, following: &[Part]) -> Option<&'u str> {
    let end = match following {
        // The last variable takes the rest.
        [] => rest.len(),
        // A literal at the very end is found from the right: `{+path}.md` of `a.md.md`.
        [Part::Literal(last)] => rest.strip_suffix(last.as_str())?.len(),
        [Part::Literal(next), ..] => rest.find(next.as_str())?,
        [Part::Variable { .. }, ..] => return None,
    };
    let value = &rest[..end];
    (!value.is_empty() && (crosses_slashes || !value.contains('/'))).then_some(value)
}

fn variable(expression: &str) -> Result<Part, String> {
    let (crosses_slashes, name) = match expression.strip_prefix('+') {
        Some(name) => (true, name),
        None => (false, expression),
    };
    let is_name = !name.is_empty()
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'.');
    if !is_name {
        return Err(format!("`{{{expression}}}` is not supported; write {{name}} or {{+name}}"));
    }
    Ok(Part::Variable { name: name.to_owned(), crosses_slashes })
}

/// Decodes `%XX` once; `None` for a broken escape or bytes that are not UTF-8.
fn percent_decode(text: &str) -> Option<String> {
    if !text.contains('%') {
        return Some(text.to_owned());
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        if first == b'%' {
            let (digits, after) = after.split_at_checked(2)?;
            let digit = |at: usize| char::from(digits[at]).to_digit(16);
            bytes.push((digit(0)? * 16 + digit(1)?) as u8);
            rest = after;
        } else {
            bytes.push(first);
            rest = after;
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(template: &str, uri: &str) -> Option<String> {
        let template = UriTemplate::parse(template).expect("valid template");
        let variables = template.matches(uri);
        assert_eq!(template.fits(uri), variables.is_some(), "{uri}");
        variables
    }

    #[test]
    fn finds_variables_between_literals() {
        let found = variables("test://template/{id}/data", "test://template/123/data");
        assert_eq!(found.as_deref(), Some(r#"{"id":"123"}"#));
        let found = variables("a://{x}/b/{y}", "a://1/b/2");
        assert_eq!(found.as_deref(), Some(r#"{"x":"1","y":"2"}"#));
        assert_eq!(variables("a://{x}", "a://1/2"), None);
        assert_eq!(variables("a://{x}/b", "a://1/c"), None);
        assert_eq!(variables("a://{x}", "a://"), None);
    }

    #[test]
    fn crosses_slashes_only_where_asked() {
        let found = variables("file:///{+path}", "file:///a/b.txt");
        assert_eq!(found.as_deref(), Some(r#"{"path":"a/b.txt"}"#));
        let found = variables("doc://{+path}.md", "doc://a.md.md");
        assert_eq!(found.as_deref(), Some(r#"{"path":"a.md"}"#));
    }

    #[test]
    fn a_literal_that_comes_again_at_the_end_ends_each_variable() {
        let found = variables("{x}-{y}-", "1-2-");
        assert_eq!(found.as_deref(), Some(r#"{"x":"1","y":"2"}"#));
    }

    #[test]
    fn decodes_percent_escapes_once() {
        let found = variables("file:///{+path}", "file:///a%2520b%2F..");
        assert_eq!(found.as_deref(), Some(r#"{"path":"a%20b/.."}"#));
        for broken in ["file:///%", "file:///%2", "file:///%zz", "file:///%ff"] {
            assert_eq!(variables("file:///{+path}", broken), None, "{broken}");
        }
    }

    #[test]
    fn refuses_templates_it_cannot_match_without_guessing() {
        for template in ["", "{a}{b}", "x{", "x}", "{}", "{?q}", "{/p*}", "{a,b}", "{a b}"] {
            assert!(UriTemplate::parse(template).is_err(), "{template}");
        }
    }
}
