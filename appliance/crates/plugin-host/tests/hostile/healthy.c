/* A plugin that does what it should, beside one that does not. */
#include "toolrack_plugin.h"
#include <string.h>

static const tr_host *host;

static tr_rc create(const tr_host *h, const tr_create_args *args, tr_plugin **out, tr_buf *error) {
    (void)args, (void)error;
    host = h;
    *out = (tr_plugin *)&host;
    return TR_OK;
}

static tr_rc describe(tr_plugin *plugin, tr_buf *json) {
    static const char text[] =
        "{\"tools\":[{\"name\":\"on_pool\",\"inputSchema\":{\"type\":\"object\"}},"
        "{\"name\":\"here\",\"inputSchema\":{\"type\":\"object\"},\"_exec\":{\"mode\":\"nonblocking\"}}]}";
    (void)plugin;
    *json = (tr_buf){.ptr = (uint8_t *)(uintptr_t)text, .len = sizeof text - 1};
    return TR_OK;
}

static tr_rc call(tr_plugin *plugin, const tr_call_args *args) {
    tr_result result = {.struct_size = sizeof result, .format = TR_FMT_TEXT};
    (void)plugin;
    if (host->buf_alloc(host->ctx, 4, &result.body) != TR_OK) return TR_E_NOMEM;
    memcpy(result.body.ptr, "well", 4);
    result.body.len = 4;
    host->complete(host->ctx, args->call, &result);
    return TR_OK;
}

static tr_rc destroy(tr_plugin *plugin) {
    (void)plugin;
    return TR_OK;
}

static const tr_plugin_api api = {
    .struct_size = sizeof api, .create = create, .describe = describe, .call = call, .destroy = destroy};
static const tr_descriptor descriptor = {
    .magic = TR_ABI_MAGIC, .struct_size = sizeof descriptor, .abi_major = TR_ABI_MAJOR, .abi_minor = TR_ABI_MINOR,
    .id = "test.healthy", .version = "1", .sdk = "c", .api = &api};
TR_EXPORT const tr_descriptor *toolrack_plugin_entry(void) { return &descriptor; }
TR_MANIFEST("{\"id\":\"test.healthy\",\"version\":\"1\",\"sdk\":\"c\",\"abi\":\"1.0\"}");
