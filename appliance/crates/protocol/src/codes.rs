//! JSON-RPC error codes, from the specification's schemas and JSON-RPC 2.0.

/// Not JSON.
pub const PARSE_ERROR: i32 = -32700;
/// JSON, but not a message.
pub const INVALID_REQUEST: i32 = -32600;
/// No such method, or none in this revision.
pub const METHOD_NOT_FOUND: i32 = -32601;
/// The method exists, its params do not fit.
pub const INVALID_PARAMS: i32 = -32602;
/// The server failed.
pub const INTERNAL_ERROR: i32 = -32603;
/// Legacy revisions: no such resource.
pub const RESOURCE_NOT_FOUND: i32 = -32002;
/// 2026-07-28: a header is missing or differs from the body.
pub const HEADER_MISMATCH: i32 = -32020;
/// 2026-07-28: the client did not declare a capability that this call needs.
pub const MISSING_CAPABILITY: i32 = -32021;
/// 2026-07-28: a revision that this server does not speak.
pub const UNSUPPORTED_VERSION: i32 = -32022;
