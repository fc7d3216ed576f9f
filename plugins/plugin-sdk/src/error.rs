//! How a tool fails.

use crate::questions::Questions;

/// What a plugin's functions return.
pub type Result<T> = std::result::Result<T, Error>;

/// Why there is no result. Any `std::error::Error` becomes [`Error::Internal`], so nothing leaks by accident.
#[derive(Debug)]
pub enum Error {
    /// The tool failed, and the model may read why and try something else.
    Tool(String),
    /// The arguments do not fit; the text says how to mend them.
    Invalid(String),
    /// No such resource, prompt or thing to complete.
    NotFound,
    /// A fault of the plugin: the text goes to the operator's log, the client hears that something failed.
    Internal(String),
    /// Cannot serve now; the client may retry.
    Unavailable,
    /// The result is larger than the operator lets it be: the client hears that, and may ask for less.
    TooLarge,
    /// The call was cancelled; nobody hears what is returned.
    Cancelled,
    /// The client must answer first. Made by the questions of [`crate::Context`]; pass it on with `?`.
    InputRequired(Box<Questions>),
}

impl Error {
    /// The tool failed, and the model may read why.
    pub fn tool(message: impl Into<String>) -> Self {
        Self::Tool(message.into())
    }

    /// The arguments do not fit.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::Invalid(message.into())
    }

    /// A fault of the plugin, for the operator's log.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::Internal(message.into())
    }
}

impl<E: std::error::Error> From<E> for Error {
    fn from(error: E) -> Self {
        Self::Internal(error.to_string())
    }
}
