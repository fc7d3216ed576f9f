//! Builds the stack of a plan: the layers in order, the catalogue, the dispatch.
