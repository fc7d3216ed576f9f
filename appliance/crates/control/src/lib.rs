//! Health, metrics and the effective plan, on a thread and a listener of their own.
