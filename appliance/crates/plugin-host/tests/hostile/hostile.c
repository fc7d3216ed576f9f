/* Every way to be wrong that a host can survive in its own process. The tool's name chooses the wrong of a call; the
 * configuration chooses what goes wrong at the start and at the end. */
#include "toolrack_plugin.h"
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define HAS(text) (strstr(config, text) != NULL)
#define IS(tool) (args->name.len == sizeof(tool) - 1 && !memcmp(args->name.ptr, tool, sizeof(tool) - 1))
#define LIT(text) ((tr_str){text, sizeof(text) - 1})

static const tr_host *host;
static char config[256];
/* A pipe that holds this plugin back until the test closes it, and one that tells the test where this plugin is. */
static int hold_fd = -1, tell_fd = -1;
/* What the last wrong step was answered: the tool `seen` says it. */
static char seen[256];
static tr_call ended_call;
static char large[4 << 20];

static tr_str no_text = {NULL, 100};
static tr_str endless = {large, SIZE_MAX};

/* ---- honest parts ---- */

static tr_buf constant(const char *text, size_t len) {
    return (tr_buf){.ptr = (uint8_t *)(uintptr_t)text, .len = len};
}

static tr_rc end(tr_call call, int32_t status, uint32_t format, const char *text, size_t len) {
    tr_result result = {.struct_size = sizeof result, .status = status, .format = format, .body = constant(text, len)};
    return host->complete(host->ctx, call, &result);
}

static tr_rc say(tr_call call, const char *text) { return end(call, TR_ST_OK, TR_FMT_TEXT, text, strlen(text)); }

static tr_rc json(tr_call call, const char *text) {
    end(call, TR_ST_OK, TR_FMT_RESULT_JSON, text, strlen(text));
    return TR_OK;
}

static void hold(void) {
    char byte;
    while (read(hold_fd, &byte, 1) > 0) {
    }
}

static int tell(const char *letter) { return tell_fd < 0 || write(tell_fd, letter, 1) == 1; }

/* ---- life ---- */

static tr_rc create(const tr_host *h, const tr_create_args *args, tr_plugin **out, tr_buf *error) {
    host = h;
    size_t len = args->config_json.len < sizeof config - 1 ? args->config_json.len : sizeof config - 1;
    memcpy(config, args->config_json.ptr, len);
    memset(large, 'x', sizeof large);
    const char *fds = strstr(config, "\"fds\":[");
    if (fds) sscanf(fds, "\"fds\":[%d,%d]", &hold_fd, &tell_fd);
    *out = NULL;
    if (HAS("create_fails")) {
        static const char why[] = "it says \xff why";
        *error = constant(why, sizeof why - 1);
        return TR_E_INTERNAL;
    }
    if (HAS("create_lies")) {
        *error = (tr_buf){.ptr = NULL, .len = 1000};
        return -99;
    }
    if (HAS("create_hangs")) hold();
    return TR_OK;
}

#define SCHEMA "\"inputSchema\":{\"type\":\"object\"}"
#define TOOL(name) "{\"name\":\"" name "\"," SCHEMA "},"
#define ASYNC(name) "{\"name\":\"" name "\"," SCHEMA ",\"_exec\":{\"mode\":\"async\"}},"
#define HERE(name) "{\"name\":\"" name "\"," SCHEMA ",\"_exec\":{\"mode\":\"nonblocking\"}},"

static const char tools[] = "{\"tools\":[\n"
    ASYNC("seen") ASYNC("never") HERE("never_here") TOOL("hang") ASYNC("late") TOOL("release")
    ASYNC("two_completions") TOOL("complete_and_fail") TOOL("other_thread") TOOL("forged") TOOL("null_ctx")
    TOOL("ended_handle") TOOL("utf8") TOOL("bad_json") TOOL("too_deep") TOOL("twin_keys") TOOL("trailing")
    TOOL("reserved_meta") TOOL("escaped_meta") TOOL("reserved_member") TOOL("no_content") TOOL("content_object")
    TOOL("space_around") TOOL("line_breaks") TOOL("structured_lines") TOOL("bad_structured")
    TOOL("null_body") TOOL("huge_len") TOOL("len_above_cap") TOOL("over_cap") TOOL("no_room")
    TOOL("null_host_buffer") TOOL("same_buffer_twice") TOOL("hoard") TOOL("small_struct") TOOL("null_result") TOOL("odd_result") TOOL("bad_status")
    TOOL("bad_format") TOOL("no_mime") TOOL("null_mime") TOOL("endless_mime") TOOL("question_list")
    TOOL("question_unknown") TOOL("large_state") TOOL("failure_without_flag") TOOL("flood") TOOL("null_strings")
    TOOL("endless_strings") TOOL("bad_words") TOOL("foreign_growth") TOOL("busy") TOOL("missing") TOOL("unknown_code")
    "{\"name\":\"last\",\n" SCHEMA "}]}";

static tr_rc describe(tr_plugin *plugin, tr_buf *out) {
    (void)plugin;
#define GIVE(when, text) if (HAS(when)) { *out = constant(text, sizeof(text) - 1); return TR_OK; }
    GIVE("describe_not_json", "{\"tools\":[")
    GIVE("describe_utf8", "{\"tools\":[\xff\xfe]}")
    GIVE("describe_no_object", "[]")
    GIVE("describe_no_list", "{\"tools\":{}}")
    GIVE("describe_twice", "{\"tools\":[" TOOL("a") "{\"name\":\"a\"," SCHEMA "}]}")
    GIVE("describe_no_name", "{\"tools\":[{" SCHEMA "}]}")
    GIVE("describe_no_schema", "{\"tools\":[{\"name\":\"a\"}]}")
    GIVE("describe_bad_name", "{\"tools\":[{\"name\":\"a b\"," SCHEMA "}]}")
    if (HAS("describe_oversized")) { *out = constant(large, sizeof large); return TR_OK; }
    if (HAS("describe_null")) { *out = (tr_buf){.ptr = NULL, .len = 10}; return TR_OK; }
    if (HAS("describe_fails")) return TR_E_INTERNAL;
    if (HAS("describe_hangs")) hold();
    *out = constant(tools, sizeof tools - 1);
    return TR_OK;
}

static tr_rc quiesce(tr_plugin *plugin, uint64_t deadline_ns) {
    (void)plugin, (void)deadline_ns;
    if (HAS("quiesce_hangs")) hold();
    return TR_OK;
}

static tr_rc destroy(tr_plugin *plugin) {
    (void)plugin;
    if (!tell("d")) return TR_E_INTERNAL;
    return HAS("destroy_refuses") ? TR_E_BUSY : TR_OK;
}

/* Advisory, and too late to complete: twice, to be sure. */
static void cancel(tr_plugin *plugin, tr_call call, int32_t reason) {
    (void)plugin;
    if (HAS("cancel_ignored")) return;
    tr_rc check = host->check(host->ctx, call);
    tr_rc first = say(call, "after cancel"), second = say(call, "again");
    snprintf(seen, sizeof seen, "reason %d check %d complete %d %d", reason, check, first, second);
}

/* ---- threads of its own ---- */

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t released_cond = PTHREAD_COND_INITIALIZER;
static int is_released;
static pthread_t late_thread;
static tr_call late_call;
static tr_rc late_rc;

static void *late(void *nothing) {
    pthread_mutex_lock(&mutex);
    while (!is_released) pthread_cond_wait(&released_cond, &mutex);
    pthread_mutex_unlock(&mutex);
    late_rc = say(late_call, "late");
    return nothing;
}

static void *elsewhere(void *call) {
    say(*(tr_call *)call, "from another thread");
    return NULL;
}

/* ---- calls ---- */

static tr_rc say_seen(tr_call call) { return say(call, seen) == TR_OK ? TR_OK : TR_E_INTERNAL; }

static tr_rc thread_tools(const tr_call_args *args) {
    if (IS("late")) {
        late_call = args->call;
        return pthread_create(&late_thread, NULL, late, NULL) ? TR_E_INTERNAL : TR_OK;
    }
    if (IS("release")) {
        pthread_mutex_lock(&mutex);
        is_released = 1;
        pthread_cond_broadcast(&released_cond);
        pthread_mutex_unlock(&mutex);
        pthread_join(late_thread, NULL);
        snprintf(seen, sizeof seen, "complete %d", late_rc);
        return say_seen(args->call);
    }
    if (IS("other_thread")) {
        pthread_t thread;
        tr_call call = args->call;
        if (pthread_create(&thread, NULL, elsewhere, &call)) return TR_E_INTERNAL;
        pthread_join(thread, NULL);
        return TR_OK;
    }
    if (IS("hang")) {
        tell("h");
        hold();
        say(args->call, "let go");
        return TR_OK;
    }
    return TR_E_UNSUPPORTED;
}

static tr_rc handle_tools(const tr_call_args *args) {
    tr_call call = args->call;
    if (IS("two_completions")) {
        tr_rc first = say(call, "one"), second = say(call, "two");
        snprintf(seen, sizeof seen, "complete %d %d", first, second);
        ended_call = call;
        return TR_OK;
    }
    if (IS("complete_and_fail")) {
        say(call, "done");
        return TR_E_INTERNAL;
    }
    if (IS("forged")) {
        int hits = 0;
        for (uint64_t serial = 0; serial < 300; serial++)
            for (uint64_t index = 0; index < 300; index++) {
                tr_call forged = serial << 32 | index;
                if (forged != call && say(forged, "forged") == TR_OK) hits++;
            }
        if (say(0, "no call") == TR_OK || say(UINT64_MAX, "no call") == TR_OK) hits++;
        snprintf(seen, sizeof seen, "%d hits", hits);
        return say_seen(call);
    }
    if (IS("null_ctx")) {
        tr_result result = {.struct_size = sizeof result, .format = TR_FMT_TEXT};
        tr_buf buf = {0};
        host->log(NULL, call, TR_LOG_ERROR, LIT("x"), LIT("y"));
        snprintf(seen, sizeof seen, "%d %d %d %d", host->complete(NULL, call, &result), host->check(NULL, call),
                 host->buf_alloc(NULL, 8, &buf), host->notify(NULL, TR_NOTIFY_TOOLS_CHANGED, LIT("")));
        return say_seen(call);
    }
    if (IS("ended_handle")) {
        host->log(host->ctx, ended_call, TR_LOG_DEBUG, LIT("x"), LIT("of a call that is over"));
        snprintf(seen, sizeof seen, "%d %d %d %d %d", host->check(host->ctx, ended_call), say(ended_call, "again"),
                 host->progress(host->ctx, ended_call, 1, 2, LIT("x")),
                 host->message(host->ctx, ended_call, TR_MSG_ERROR, LIT("x"), LIT("1")),
                 host->detach(host->ctx, ended_call, 1));
        return say_seen(call);
    }
    return TR_E_UNSUPPORTED;
}

static tr_rc text_tools(const tr_call_args *args) {
    tr_call call = args->call;
    if (IS("utf8")) return end(call, TR_ST_OK, TR_FMT_TEXT, "ab\xff\xfe", 4);
    if (IS("bad_json")) return json(call, "{\"content\":[}");
    if (IS("too_deep")) {
        static char deep[512];
        memcpy(deep, "{\"content\":[],\"a\":", 18);
        memset(deep + 18, '[', 100);
        memset(deep + 118, ']', 100);
        deep[218] = '}';
        return json(call, deep);
    }
    if (IS("twin_keys")) return json(call, "{\"content\":[],\"a\":1,\"a\":2}");
    if (IS("trailing")) return json(call, "{\"content\":[]},\"id\":666,{");
    if (IS("reserved_meta"))
        return json(call, "{\"content\":[],\"_meta\":{\"a\":1,\"io.modelcontextprotocol/serverInfo\":{\"name\":\"x\"}}}");
    if (IS("escaped_meta"))
        return json(call, "{\"content\":[],\"_meta\":{\"io.modelcontextprotocol\\/serverInf\\u006f\":{}}}");
    if (IS("reserved_member")) return json(call, "{\"content\":[],\"resultType\":\"input_required\"}");
    if (IS("no_content")) return json(call, "{\"a\":1}");
    if (IS("content_object")) return json(call, "{\"content\":{}}");
    if (IS("space_around")) return json(call, " {\"content\":[]} ");
    if (IS("line_breaks")) return json(call, "{\r\n\"content\":\n[]}");
    if (IS("structured_lines")) return end(call, TR_ST_OK, TR_FMT_STRUCTURED, "[1,\n2]", 6);
    if (IS("bad_structured")) return end(call, TR_ST_OK, TR_FMT_STRUCTURED, "[1,", 3);
    if (IS("question_list")) return end(call, TR_ST_INPUT_REQUIRED, TR_FMT_RESULT_JSON, "[]", 2);
    if (IS("question_unknown"))
        return end(call, TR_ST_INPUT_REQUIRED, TR_FMT_RESULT_JSON, "{\"a\":{\"method\":\"tools/call\"}}", 30);
    if (IS("failure_without_flag")) return end(call, TR_ST_TOOL_ERROR, TR_FMT_RESULT_JSON, "{\"content\":[]}", 14);
    return TR_E_UNSUPPORTED;
}

static tr_rc memory_tools(const tr_call_args *args) {
    tr_result result = {.struct_size = sizeof result, .format = TR_FMT_TEXT, .body = constant(large, 3)};
    if (IS("null_body")) result.body = (tr_buf){.ptr = NULL, .len = 1000};
    else if (IS("huge_len")) result.body.len = SIZE_MAX;
    else if (IS("over_cap")) result.body.len = sizeof large;
    else if (IS("small_struct")) result.struct_size = 4;
    else if (IS("bad_status")) result.status = 12345;
    else if (IS("bad_format")) result.format = 77;
    else if (IS("no_mime")) result.format = TR_FMT_BLOB;
    else if (IS("null_mime")) result.mime = no_text;
    else if (IS("endless_mime")) result.mime = endless;
    else if (IS("large_state")) {
        result = (tr_result){.struct_size = sizeof result, .status = TR_ST_INPUT_REQUIRED, .body = constant("{}", 2),
                             .state = constant(large, 16 * 1024 + 1)};
    } else if (IS("len_above_cap") || IS("null_host_buffer")) {
        if (host->buf_alloc(host->ctx, 64, &result.body) != TR_OK) return TR_E_NOMEM;
        if (IS("len_above_cap")) result.body.len = result.body.cap + 1;
        else result.body.ptr = NULL;
    } else if (IS("no_room")) {
        tr_rc rc = host->buf_alloc(host->ctx, (size_t)1 << 40, &result.body);
        snprintf(seen, sizeof seen, "buf_alloc %d", rc);
        return say_seen(args->call);
    } else return TR_E_UNSUPPORTED;
    host->complete(host->ctx, args->call, &result);
    return TR_OK;
}

static tr_rc result_tools(const tr_call_args *args) {
    if (IS("null_result")) {
        host->complete(host->ctx, args->call, NULL);
        return TR_OK;
    }
    if (IS("odd_result")) {
        host->complete(host->ctx, args->call, (const tr_result *)(uintptr_t)((uintptr_t)large | 1));
        return TR_OK;
    }
    if (IS("foreign_growth")) {
        tr_buf foreign = {.ptr = (uint8_t *)large, .len = 3, .cap = 3};
        tr_rc of_foreign = host->buf_grow(host->ctx, &foreign, 100);
        tr_rc of_null = host->buf_grow(host->ctx, NULL, 100), nowhere = host->buf_alloc(host->ctx, 8, NULL);
        snprintf(seen, sizeof seen, "%d %d %d", of_foreign, of_null, nowhere);
        return say_seen(args->call);
    }
    if (IS("same_buffer_twice")) {
        tr_result result = {.struct_size = sizeof result, .format = TR_FMT_TEXT};
        if (host->buf_alloc(host->ctx, 8192, &result.body) != TR_OK) return TR_E_NOMEM;
        memset(result.body.ptr, 'x', 8192);
        result.body.len = 8192;
        tr_result again = result;
        host->complete(host->ctx, args->call, &result);
        host->complete(host->ctx, args->call, &again);
        again.body.release(again.body.owner, again.body.ptr, again.body.cap);
        return TR_OK;
    }
    if (IS("hoard")) {
        static tr_buf held[64];
        size_t count = 0;
        while (count < 64 && host->buf_alloc(host->ctx, 8, &held[count]) == TR_OK) count++;
        snprintf(seen, sizeof seen, "%zu held", count);
        while (count-- > 0) held[count].release(held[count].owner, held[count].ptr, held[count].cap);
        return say_seen(args->call);
    }
    if (IS("busy")) return TR_E_BUSY;
    if (IS("missing")) return TR_E_NOT_FOUND;
    if (IS("unknown_code")) return -99;
    return TR_E_UNSUPPORTED;
}

static tr_rc talk_tools(const tr_call_args *args) {
    tr_call call = args->call;
    tr_host_ctx *ctx = host->ctx;
    if (IS("flood")) {
        for (int i = 0; i < 100000; i++) {
            host->progress(ctx, call, i, 0, LIT("flood"));
            host->message(ctx, call, TR_MSG_EMERGENCY, LIT("flood"), LIT("\"flood\""));
            host->notify(ctx, TR_NOTIFY_TOOLS_CHANGED, LIT(""));
            host->log(ctx, call, TR_LOG_TRACE, LIT("flood"), LIT("flood"));
        }
        say(call, "flooded");
        return TR_OK;
    }
    if (IS("null_strings")) {
        host->log(ctx, call, TR_LOG_DEBUG, no_text, no_text);
        snprintf(seen, sizeof seen, "%d %d %d", host->progress(ctx, call, 1, 0, no_text),
                 host->message(ctx, call, TR_MSG_ERROR, no_text, no_text),
                 host->notify(ctx, TR_NOTIFY_RESOURCE_UPDATED, no_text));
        return say_seen(call);
    }
    if (IS("endless_strings")) {
        host->log(ctx, call, TR_LOG_DEBUG, endless, endless);
        snprintf(seen, sizeof seen, "%d %d %d", host->progress(ctx, call, 1, 0, endless),
                 host->message(ctx, call, TR_MSG_ERROR, LIT("x"), endless),
                 host->notify(ctx, TR_NOTIFY_RESOURCE_UPDATED, endless));
        return say_seen(call);
    }
    if (IS("bad_words")) {
        snprintf(seen, sizeof seen, "%d %d %d", host->message(ctx, call, TR_MSG_ERROR, LIT("x"), LIT("{\"a\":")),
                 host->message(ctx, call, 99, LIT("x"), LIT("1")), host->notify(ctx, 99, LIT("")));
        return say_seen(call);
    }
    return TR_E_UNSUPPORTED;
}

static tr_rc call(tr_plugin *plugin, const tr_call_args *args) {
    static tr_rc (*const rooms[])(const tr_call_args *) = {thread_tools, handle_tools, text_tools,
                                                            memory_tools, result_tools, talk_tools};
    (void)plugin;
    if (IS("seen")) return say_seen(args->call);
    if (IS("never") || IS("never_here")) return TR_OK;
    for (size_t i = 0; i < sizeof rooms / sizeof *rooms; i++) {
        tr_rc rc = rooms[i](args);
        if (rc != TR_E_UNSUPPORTED) return rc;
    }
    return TR_E_UNSUPPORTED;
}

static const tr_plugin_api api = {.struct_size = sizeof api, .create = create, .describe = describe, .call = call,
                                  .cancel = cancel, .quiesce = quiesce, .destroy = destroy};
static const tr_descriptor descriptor = {
    .magic = TR_ABI_MAGIC, .struct_size = sizeof descriptor, .abi_major = TR_ABI_MAJOR, .abi_minor = TR_ABI_MINOR,
    .id = "test.hostile", .version = "1", .sdk = "c", .api = &api};
TR_EXPORT const tr_descriptor *toolrack_plugin_entry(void) { return &descriptor; }
TR_MANIFEST("{\"id\":\"test.hostile\",\"version\":\"1\",\"sdk\":\"c\",\"abi\":\"1.0\"}");
