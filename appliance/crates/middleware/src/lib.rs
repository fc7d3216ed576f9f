//! Each layer: its settings, its state, its behaviour.
