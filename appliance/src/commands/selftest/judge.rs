//! From what was seen to a verdict. Knows no network: what a lane answered is judged here and nowhere else.

use std::fmt;

use middleware::Mode;
use serde::Serialize;

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// An answer.
    Answer { status: u16, refused: Option<Refused> },
    /// The end of the connection instead of one.
    Closed,
    /// Neither.
    Failed(String),
    /// Something else that can be seen, in words.
    Other(String),
}

/// What a refusal says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) kind: String,
    pub(super) layer: String,
    pub(super) scope: String,
    pub(super) code: i64,
    pub(super) retry_after_ms: Option<u64>,
    pub(super) has_retry_header: bool,
}

impl Seen {
    /// Whether nobody refused: an answer of any other kind.
    pub(super) const fn passes(&self) -> bool {
        matches!(self, Self::Answer { refused: None, .. })
    }

    /// The refusal.
    pub(super) const fn refused(&self) -> Option<&Refused> {
        match self {
            Self::Answer { refused, .. } => refused.as_ref(),
            Self::Closed | Self::Failed(_) | Self::Other(_) => None,
        }
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answer { status, refused: None } => write!(f, "{status}"),
            Self::Answer { status, refused: Some(refused) } => {
                write!(f, "{status} {} {} of {}", refused.code, refused.kind, refused.layer)?;
                refused.retry_after_ms.map_or(Ok(()), |ms| write!(f, ", retry after {ms} ms"))
            }
            Self::Closed => f.write_str("connection closed"),
            Self::Failed(why) | Self::Other(why) => f.write_str(why),
        }
    }
}

/// What must come back beyond the bound.
#[derive(Clone, Debug)]
pub(super) enum Expected {
    /// A refusal.
    Refusal(Refusal),
    /// A status, of an answer that no layer writes.
    Status(u16),
    /// The end of the connection.
    Closed,
    /// Something else that can be seen, in these words.
    Words(String),
}

/// A refusal that must come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Refusal {
    pub(super) layer: &'static str,
    pub(super) kind: &'static str,
    pub(super) status: u16,
    pub(super) code: i64,
    /// Whether it must say when to come back.
    pub(super) says_when: bool,
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refusal(Refusal { layer, kind, status, code, says_when }) => {
                let when = if *says_when { ", with a time to retry after" } else { "" };
                write!(f, "{status} {code} {kind} of {layer}{when}")
            }
            Self::Status(status) => write!(f, "{status}"),
            Self::Closed => f.write_str("connection closed"),
            Self::Words(words) => f.write_str(words),
        }
    }
}

impl Expected {
    fn is_met(&self, seen: &Seen) -> bool {
        match (self, seen) {
            (Self::Refusal(expected), Seen::Answer { status, refused: Some(refused) }) => {
                let says_when = refused.retry_after_ms.is_some()
                    // An answer that has begun has no header left to say it in.
                    && (refused.has_retry_header || *status == 200);
                *status == expected.status
                    && refused.kind == expected.kind
                    && refused.layer == expected.layer
                    && refused.code == expected.code
                    && (says_when || !expected.says_when)
            }
            (Self::Status(expected), Seen::Answer { status, .. }) => status == expected,
            (Self::Closed, Seen::Closed) => true,
            (Self::Words(expected), Seen::Other(words)) => words == expected,
            _ => false,
        }
    }

    fn layer(&self) -> Option<&'static str> {
        match self {
            Self::Refusal(refusal) => Some(refusal.layer),
            Self::Status(_) | Self::Closed | Self::Words(_) => None,
        }
    }
}

/// What is known of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Verdict {
    /// Beyond the bound it was refused as the key says.
    Exercised,
    /// The same, and just within the bound it was not: both sides of the edge were seen.
    ChangedBehaviour,
    /// Nothing was shown; `why` says what kept it.
    NotExercised,
    /// It did not do what the key says.
    Misbehaved,
}

impl Verdict {
    /// In words.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Exercised => "exercised",
            Self::ChangedBehaviour => "changed behaviour",
            Self::NotExercised => "not exercised",
            Self::Misbehaved => "MISBEHAVED",
        }
    }
}

/// One line of the report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    /// The key of the profile.
    pub(super) key: String,
    pub(super) verdict: Verdict,
    /// What was sent, in words; empty when nothing was.
    pub(super) sent: String,
    /// What had to come back.
    pub(super) expected: String,
    /// What came back.
    pub(super) seen: String,
    /// Why there is no better verdict, and what of the key differed in the lane; empty when there is nothing to say.
    pub(super) why: String,
}

impl Finding {
    /// A key that nothing was shown of.
    pub(super) fn not_exercised(key: impl Into<String>, why: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            verdict: Verdict::NotExercised,
            sent: String::new(),
            expected: String::new(),
            seen: String::new(),
            why: why.into(),
        }
    }
}

/// One attack on one key.
#[derive(Clone, Debug)]
pub(super) struct Trial {
    pub(super) key: String,
    pub(super) mode: Mode,
    pub(super) sent: String,
    pub(super) expected: Expected,
    /// What the same came to just within the bound, where that was tried.
    pub(super) below: Option<Seen>,
    /// What it came to beyond the bound.
    pub(super) beyond: Seen,
    /// How often the layer has counted, meanwhile, that it would have refused.
    pub(super) shadowed: u64,
}

impl Trial {
    /// The verdict.
    pub(super) fn judge(self) -> Finding {
        let (verdict, why) = match self.mode {
            Mode::Off => (Verdict::NotExercised, "the layer is off".to_owned()),
            Mode::Shadow => self.judge_shadow(),
            Mode::Enforce => self.judge_enforced(),
        };
        let below =
            self.below.map_or_else(String::new, |below| format!("within: {below}; beyond: "));
        Finding {
            key: self.key,
            verdict,
            sent: self.sent,
            expected: self.expected.to_string(),
            seen: format!("{below}{}", self.beyond),
            why,
        }
    }

    fn judge_shadow(&self) -> (Verdict, String) {
        if self.expected.is_met(&self.beyond) {
            return (Verdict::Misbehaved, "in mode `shadow` nothing may be refused".to_owned());
        }
        match self.shadowed {
            0 => (Verdict::NotExercised, "mode `shadow`: counted nothing".to_owned()),
            times => {
                (Verdict::NotExercised, format!("mode `shadow`: would have refused {times} times"))
            }
        }
    }

    fn judge_enforced(&self) -> (Verdict, String) {
        if !self.expected.is_met(&self.beyond) {
            return match self.beyond.refused() {
                Some(other) if Some(&*other.layer) != self.expected.layer() => {
                    let why = format!("`{}` refuses first ({})", other.layer, other.kind);
                    (Verdict::NotExercised, why)
                }
                _ => {
                    (Verdict::Misbehaved, "beyond its bound it did not do what it says".to_owned())
                }
            };
        }
        match &self.below {
            None => (Verdict::Exercised, String::new()),
            Some(below) if self.expected.is_met(below) => {
                (Verdict::Misbehaved, "within its bound it did the same".to_owned())
            }
            Some(below) if below.passes() || matches!(below, Seen::Other(_)) => {
                (Verdict::ChangedBehaviour, String::new())
            }
            Some(below) => match below.refused() {
                Some(other) if Some(&*other.layer) != self.expected.layer() => {
                    let why = format!("`{}` refuses within the bound as well", other.layer);
                    (Verdict::Exercised, why)
                }
                _ => (Verdict::Misbehaved, "within its bound it refused as well".to_owned()),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXPECTED: Refusal = Refusal {
        layer: "concurrency",
        kind: "overloaded",
        status: 429,
        code: -32013,
        says_when: true,
    };

    fn refusal(layer: &str, kind: &str) -> Refused {
        Refused {
            kind: kind.to_owned(),
            layer: layer.to_owned(),
            scope: "process".to_owned(),
            code: -32013,
            retry_after_ms: Some(1_000),
            has_retry_header: true,
        }
    }

    fn answer(status: u16, refused: Option<Refused>) -> Seen {
        Seen::Answer { status, refused }
    }

    fn as_expected() -> Seen {
        answer(429, Some(refusal("concurrency", "overloaded")))
    }

    fn passed() -> Seen {
        answer(200, None)
    }

    fn trial(mode: Mode, below: Option<Seen>, beyond: Seen, shadowed: u64) -> Finding {
        let expected = Expected::Refusal(EXPECTED);
        let (key, sent) = ("layer.concurrency.calls_max".to_owned(), "calls".to_owned());
        Trial { key, mode, sent, expected, below, beyond, shadowed }.judge()
    }

    fn enforced(below: Option<Seen>, beyond: Seen) -> Verdict {
        trial(Mode::Enforce, below, beyond, 0).verdict
    }

    #[test]
    fn both_sides_of_an_edge_are_more_than_one() {
        assert_eq!(enforced(Some(passed()), as_expected()), Verdict::ChangedBehaviour);
        assert_eq!(enforced(None, as_expected()), Verdict::Exercised);
    }

    #[test]
    fn a_lane_that_lets_everything_pass_misbehaves() {
        assert_eq!(enforced(Some(passed()), passed()), Verdict::Misbehaved);
        assert_eq!(enforced(None, Seen::Closed), Verdict::Misbehaved);
        assert_eq!(enforced(None, Seen::Failed("no answer".to_owned())), Verdict::Misbehaved);
    }

    #[test]
    fn a_lane_that_refuses_everything_misbehaves() {
        assert_eq!(enforced(Some(as_expected()), as_expected()), Verdict::Misbehaved);
        assert_eq!(enforced(Some(Seen::Closed), as_expected()), Verdict::Misbehaved);
    }

    #[test]
    fn every_part_of_a_refusal_counts() {
        let wrong: [&dyn Fn(&mut Refused); 4] = [
            &|refused| refused.kind = "rate_limited".to_owned(),
            &|refused| refused.code = -32010,
            &|refused| refused.retry_after_ms = None,
            &|refused| refused.has_retry_header = false,
        ];
        for change in wrong {
            let mut refused = refusal("concurrency", "overloaded");
            change(&mut refused);
            assert_eq!(enforced(None, answer(429, Some(refused))), Verdict::Misbehaved);
        }
        let refused = refusal("concurrency", "overloaded");
        assert_eq!(enforced(None, answer(503, Some(refused))), Verdict::Misbehaved);
    }

    #[test]
    fn a_layer_that_comes_first_leaves_the_key_unseen() {
        let other = answer(429, Some(refusal("rate_limit", "rate_limited")));
        let finding = trial(Mode::Enforce, Some(passed()), other.clone(), 0);
        assert_eq!(finding.verdict, Verdict::NotExercised);
        assert!(finding.why.contains("`rate_limit` refuses first"), "{}", finding.why);
        assert_eq!(enforced(Some(other), as_expected()), Verdict::Exercised, "one side was seen");
    }

    #[test]
    fn shadow_counts_and_never_refuses() {
        let finding = trial(Mode::Shadow, None, passed(), 3);
        assert_eq!(finding.verdict, Verdict::NotExercised);
        assert!(finding.why.contains("would have refused 3 times"), "{}", finding.why);
        let finding = trial(Mode::Shadow, None, as_expected(), 0);
        assert_eq!(finding.verdict, Verdict::Misbehaved);
    }

    #[test]
    fn ends_of_connections_and_words_are_judged_as_well() {
        let judged = |expected, beyond| {
            let (key, sent) = ("listen.public.http.head_ms".to_owned(), String::new());
            let below = Some(passed());
            let mode = Mode::Enforce;
            Trial { key, mode, sent, expected, below, beyond, shadowed: 0 }.judge().verdict
        };
        assert_eq!(judged(Expected::Closed, Seen::Closed), Verdict::ChangedBehaviour);
        assert_eq!(judged(Expected::Closed, passed()), Verdict::Misbehaved);
        let late = Seen::Other("connection closed after 9000 ms".to_owned());
        assert_eq!(judged(Expected::Closed, late), Verdict::Misbehaved);
        let words = || Expected::Words("high".to_owned());
        assert_eq!(judged(words(), Seen::Other("high".to_owned())), Verdict::ChangedBehaviour);
        assert_eq!(judged(words(), Seen::Other("soft".to_owned())), Verdict::Misbehaved);
        assert_eq!(judged(Expected::Status(431), answer(431, None)), Verdict::ChangedBehaviour);
        assert_eq!(judged(Expected::Status(431), answer(404, None)), Verdict::Misbehaved);
        // What is within says 200: a status that is no refusal differs from it, or nothing was shown.
        assert_eq!(judged(Expected::Status(200), passed()), Verdict::Misbehaved);
    }
}
