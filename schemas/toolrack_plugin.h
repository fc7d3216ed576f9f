/* toolrack_plugin.h: the plugin ABI, major 1.  C11 / C++17 / Zig @cImport / cgo.
 *
 * RULES
 *  R1 Append only. Inside one major no field moves, changes type or goes away; new fields go at the END.
 *     Every struct that crosses the line starts with struct_size (the descriptor: magic first).
 *     A reader uses a field only when TR_HAS(p, field); a missing or NULL optional function means "not supported".
 *  R2 Nothing unwinds across the line. C++ must be noexcept, Rust wraps every entry in catch_unwind.
 *  R3 tr_str is BORROWED: valid only until the function that received it returns. Copy what you keep.
 *  R4 tr_buf is OWNED and MOVES. Whoever holds it calls release exactly once. complete() takes it always,
 *     also when it fails.
 *  R5 tr_call is a number, not a pointer. Using a dead one is harmless: you get TR_E_STALE.
 *  R6 Thread tags: [P] a thread that the host made for this plugin generation; [any] any thread;
 *     [P1] as P, never two at once; [D] as P, or, for an item whose "_exec" mode is "nonblocking", a thread
 *     that serves other clients too: return within a millisecond.
 *  R7 The host calls plugin functions only on threads with their tag. Everything in tr_host is [any] and never
 *     blocks longer than a mutex.
 *  R8 After destroy() returned TR_OK no plugin thread may exist and no host function may be called. */
#ifndef TOOLRACK_PLUGIN_H
#define TOOLRACK_PLUGIN_H
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
#define TR_NX noexcept
extern "C" {
#else
#define TR_NX
#endif
#if !defined(__LP64__) || __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "plugin ABI 1 is defined for LP64 little endian only"
#endif
#define TR_EXPORT __attribute__((visibility("default")))
#define TR_ABI_MAGIC 0x314E49474C505254ULL /* bytes "TRPLGIN1" */
#define TR_ABI_MAJOR 1
#define TR_ABI_MINOR 0
#define TR_HAS(p, f) ((p)->struct_size >= offsetof(__typeof__(*(p)), f) + sizeof((p)->f) && (p)->f)

typedef int32_t tr_rc;
enum { TR_OK = 0, TR_E_INVAL = -1, TR_E_NOMEM = -2, TR_E_UNSUPPORTED = -3, TR_E_DENIED = -4, TR_E_NOT_FOUND = -5,
       TR_E_BUSY = -6, TR_E_STALE = -7, TR_E_CANCELLED = -8, TR_E_TIMEOUT = -9, TR_E_TOO_LARGE = -10,
       TR_E_PANIC = -11, TR_E_INTERNAL = -12 };

typedef uint64_t tr_call;                                     /* 0 = "no call" */
typedef struct tr_str { const char *ptr; size_t len; } tr_str; /* not NUL terminated; ptr may be NULL iff len==0 */
typedef struct tr_buf {                                       /* all zero = empty */
    uint8_t *ptr; size_t len; size_t cap;
    void *owner;                                              /* for release */
    void (*release)(void *owner, uint8_t *ptr, size_t cap) TR_NX; /* NULL: lives as long as the library image */
} tr_buf;

/* ---- the result of one call ---- */
enum { TR_ST_OK = 0,
       TR_ST_TOOL_ERROR = 1,     /* the tool failed; the model may read the body (isError: true) */
       TR_ST_INVALID_PARAMS = 2, /* arguments do not fit; body: text that says how to mend them */
       TR_ST_NOT_FOUND = 3,      /* no such resource or prompt */
       TR_ST_INTERNAL = 4,       /* a fault of the plugin; body: text for the log, not for the client */
       TR_ST_CANCELLED = 5,
       TR_ST_INPUT_REQUIRED = 6, /* body: JSON object, name -> {"method","params"}; ask again with the answers */
       TR_ST_UNAVAILABLE = 7,    /* cannot serve now; the client may retry */
       TR_ST_TOO_LARGE = 8 };    /* the result has no room (TR_E_TOO_LARGE); the client hears so and may ask for less */
enum { TR_FMT_RESULT_JSON = 0,   /* the whole MCP result object */
       TR_FMT_TEXT = 1,          /* UTF-8, the host escapes it */
       TR_FMT_STRUCTURED = 2,    /* any JSON value: structuredContent and its twin as text (tools only) */
       TR_FMT_BLOB = 3 };        /* bytes and mime, the host writes base64 */
enum { TR_RF_PUBLIC = 1u << 0 }; /* the result may be handed to any caller while it is fresh */
typedef struct tr_result {
    uint32_t struct_size; int32_t status; uint32_t format; uint32_t flags; /* TR_RF_* */
    tr_buf body;                 /* moved */
    tr_buf state;                /* moved; only with INPUT_REQUIRED: opaque bytes, at most 16 KiB, the host seals them */
    tr_str mime;                 /* borrowed; BLOB always, TEXT for resources */
    uint32_t ttl_ms;             /* resources: how long the result stays fresh; 0: not at all */
    uint32_t reserved;
} tr_result;

/* ---- what the host offers: every function [any] ---- */
typedef struct tr_host_ctx tr_host_ctx;
enum { TR_LOG_ERROR = 1, TR_LOG_WARN, TR_LOG_INFO, TR_LOG_DEBUG, TR_LOG_TRACE };
enum { TR_MSG_DEBUG = 0, TR_MSG_INFO, TR_MSG_NOTICE, TR_MSG_WARNING, TR_MSG_ERROR, TR_MSG_CRITICAL, TR_MSG_ALERT,
       TR_MSG_EMERGENCY };
enum { TR_NOTIFY_TOOLS_CHANGED = 1, TR_NOTIFY_RESOURCES_CHANGED, TR_NOTIFY_PROMPTS_CHANGED, TR_NOTIFY_RESOURCE_UPDATED };
typedef struct tr_host {
    uint32_t struct_size; uint16_t abi_major, abi_minor;
    tr_host_ctx *ctx;
    /* exactly once per accepted call. TR_OK | STALE (already done, cancelled, timed out) | INVAL | TOO_LARGE */
    tr_rc (*complete)(tr_host_ctx *, tr_call, const tr_result *) TR_NX;
    /* also a checkpoint: TR_OK | CANCELLED | STALE. total<=0: unknown. Values that do not increase are dropped */
    tr_rc (*progress)(tr_host_ctx *, tr_call, double progress, double total, tr_str message) TR_NX;
    tr_rc (*check)(tr_host_ctx *, tr_call) TR_NX;              /* TR_OK | CANCELLED | STALE */
    /* memory that the host sends without copying and without calling back into the plugin. A plugin can hold two for
     * each call it can have; then NOMEM */
    tr_rc (*buf_alloc)(tr_host_ctx *, size_t cap, tr_buf *out) TR_NX;
    tr_rc (*buf_grow)(tr_host_ctx *, tr_buf *inout, size_t min_cap) TR_NX;
    int32_t (*log_level)(tr_host_ctx *) TR_NX;                 /* highest TR_LOG_* that is written */
    void (*log)(tr_host_ctx *, tr_call, int32_t level, tr_str target, tr_str message) TR_NX;   /* operator's log */
    /* message to the client of this call: TR_MSG_*, logger may be empty, data: one JSON value. TR_OK also when unwanted */
    tr_rc (*message)(tr_host_ctx *, tr_call, int32_t level, tr_str logger, tr_str data_json) TR_NX;
    tr_rc (*notify)(tr_host_ctx *, int32_t what, tr_str uri) TR_NX; /* TR_NOTIFY_*; the host calls describe() again */
    /* let the client's connection go: it comes back for the result after retry_ms where the protocol allows it */
    tr_rc (*detach)(tr_host_ctx *, tr_call, uint32_t retry_ms) TR_NX;
} tr_host;

/* ---- what the plugin offers ---- */
typedef struct tr_plugin tr_plugin;                           /* the plugin's own, opaque to the host */
typedef struct tr_create_args {
    uint32_t struct_size; uint32_t generation;
    tr_str instance;                                          /* name in the profile */
    tr_str config_json;                                       /* the plugin's table of the profile, an object */
} tr_create_args;
enum { TR_CALL_TOOL = 1, TR_CALL_RESOURCE_READ, TR_CALL_PROMPT_GET, TR_CALL_COMPLETE };
enum { TR_CF_PROGRESS = 1u << 0 };                            /* the client wants progress */
enum { TR_CLIENT_ELICITATION_FORM = 1u << 0, TR_CLIENT_ELICITATION_URL = 1u << 1, TR_CLIENT_SAMPLING = 1u << 2,
       TR_CLIENT_SAMPLING_TOOLS = 1u << 3, TR_CLIENT_SAMPLING_CONTEXT = 1u << 4, TR_CLIENT_ROOTS = 1u << 5 };
#define TR_ITEM_NONE 0xFFFFFFFFu
#define TR_ITEM_TEMPLATE 0x80000000u
typedef struct tr_call_args {
    uint32_t struct_size; uint32_t kind; tr_call call; uint64_t deadline_ns; /* CLOCK_MONOTONIC; 0: none */
    uint32_t flags; uint32_t round;                           /* 0 first, n = n-th round of answers */
    uint32_t item;                                            /* index in describe()'s tools, prompts, resources or,
                                                                 with TR_ITEM_TEMPLATE set, resourceTemplates; COMPLETE: TR_ITEM_NONE */
    uint32_t client;                                          /* TR_CLIENT_*: what the client can be asked */
    tr_str name;                                              /* tool, prompt or resource URI; COMPLETE: empty */
    tr_str params_json;                                       /* TOOL, PROMPT: arguments object ("{}" when absent); template:
                                                                 its variables; COMPLETE: {"ref","argument","context"?} */
    tr_str meta_json;                                         /* the request's _meta object, or empty */
    tr_str answers_json;                                      /* round > 0: object, name -> result */
    tr_str state;                                             /* what the plugin gave with INPUT_REQUIRED, authenticated */
} tr_call_args;
typedef struct tr_plugin_api {
    uint32_t struct_size; uint32_t reserved;
    /* [P1] error: text. After destroy() it may be called again in the same image, which keeps its statics as they are. */
    tr_rc (*create)(const tr_host *, const tr_create_args *, tr_plugin **out, tr_buf *error) TR_NX;
    /* [P1] {"tools":[..],"resources":[..],"resourceTemplates":[..],"prompts":[..],"completions":bool,"instructions":".."}
     * Items are MCP objects. Each may carry "_exec": {"mode":"blocking"|"async"|"nonblocking","checked":bool}, removed
     * before clients see it. Default: blocking. checked: the plugin itself checks arguments against inputSchema.
     * Tools also: "task":"forbidden"|"optional"|"required" (default forbidden; not with nonblocking): whether a 2026-07-28
     * client may get a task instead of the result; "questions_first":true: the task begins with the answers to the first
     * INPUT_REQUIRED, not before. For the plugin a task is a call like every other, with a later deadline. */
    tr_rc (*describe)(tr_plugin *, tr_buf *json) TR_NX;
    tr_rc (*call)(tr_plugin *, const tr_call_args *) TR_NX;   /* [D] TR_OK: accepted, complete() will follow or has; else rejected */
    void  (*cancel)(tr_plugin *, tr_call, int32_t reason) TR_NX; /* [P] optional, advisory, may come after completion; reason: a TR_E_* */
    tr_rc (*watch)(tr_plugin *, tr_str uri, int32_t on) TR_NX; /* [P1] optional: a client (un)subscribed; then notify RESOURCE_UPDATED */
    tr_rc (*run)(tr_plugin *) TR_NX;                          /* [P] optional: lent thread for an event loop, returns after quiesce */
    tr_rc (*quiesce)(tr_plugin *, uint64_t deadline_ns) TR_NX; /* [P1] finish, no new work comes; run() must return */
    tr_rc (*destroy)(tr_plugin *) TR_NX;                      /* [P1] TR_OK: R8 holds; TR_E_BUSY: could not stop everything */
} tr_plugin_api;
#define TR_PF_SERIAL       (1ull << 0)  /* call() must not run twice at once */
#define TR_PF_PANIC_ABORT  (1ull << 1)  /* a bug ends the process: refused inline */
#define TR_PF_PROCESS_ONLY (1ull << 2)  /* own runtime (Go, JVM, Python): refused inline */
typedef struct tr_descriptor {
    uint64_t magic; uint32_t struct_size; uint16_t abi_major, abi_minor;     /* these 16 bytes are frozen for ever */
    uint16_t min_host_minor, reserved0; uint32_t reserved1; uint64_t flags;  /* TR_PF_* */
    const char *id, *version, *sdk;                           /* "acme.weather", "1.4.2", "rust-sdk 0.1.0"; NUL terminated */
    const tr_plugin_api *api;
} tr_descriptor;
/* The only exported symbol. Constant, no side effects, callable at any time. */
TR_EXPORT const tr_descriptor *toolrack_plugin_entry(void) TR_NX;

/* Static manifest: readable from the file without running it. One per library, in an ELF note.
 * {"id","version","sdk","abi":"1.0","description"} */
#define TR_NOTE_TYPE 0x54524B31u
#define TR_MANIFEST(json) \
    __attribute__((section(".note.toolrack"), used, aligned(4))) static const struct { uint32_t n, d, t; char name[4]; char desc[sizeof(json)]; } \
    tr_manifest_note = { 4, sizeof(json), TR_NOTE_TYPE, "TRK", json }
#ifdef __cplusplus
}
#endif
#endif
