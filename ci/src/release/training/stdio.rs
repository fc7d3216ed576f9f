//! A client over standard input and output.

use std::path::Path;

use load::wire;

use super::{Amount, http};
use crate::Outcome;
use crate::bench::Pipe;

/// Pipelined echoes of both sizes, and the end of the input.
pub(super) fn talk(program: &Path, amount: Amount) -> Outcome {
    for bytes in http::SIZES {
        let text = wire::text(bytes);
        let pipe = Pipe::open(&http::argv(program, "stdio"), None)?;
        pipe.run(&text, Some(&text), amount.load)?;
    }
    Ok(())
}
