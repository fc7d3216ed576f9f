//! Moves bytes and calls across HTTP and stdio.
