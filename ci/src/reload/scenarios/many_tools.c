/* A thousand tools of one plugin. Its configuration is a part of what each of them says, so that with another one they
 * are a thousand other tools. */
#include "toolrack_plugin.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TOOLS = 1000, CONFIG_BYTES_MAX = 64, TOOL_BYTES_MAX = 768 };

struct tr_plugin {
    const tr_host *host;
    char config[CONFIG_BYTES_MAX];
};

static const char tool[] =
    "%c{\"name\":\"tool_%d\",\"title\":\"Tool %d\",\"description\":\"Looks up the record %d for those who know its key. "
    "It is one of many. %s\",\"inputSchema\":{\"type\":\"object\",\"additionalProperties\":false,\"required\":[\"key\"],"
    "\"properties\":{\"key\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":%d,\"description\":\"The key.\"},"
    "\"fields\":{\"type\":\"array\",\"items\":{\"type\":\"string\",\"pattern\":\"^[a-z_]+$\"}},"
    "\"limit\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":1000}}},"
    "\"annotations\":{\"readOnlyHint\":true}}";

/* Quotes would end the text that it becomes a part of. */
static void copy_unquoted(char *to, tr_str from) {
    size_t length = 0;
    for (size_t at = 0; at < from.len && length < CONFIG_BYTES_MAX - 1; at++) {
        if (from.ptr[at] != '"' && from.ptr[at] != '\\') to[length++] = from.ptr[at];
    }
    to[length] = 0;
}

static tr_rc create(const tr_host *host, const tr_create_args *args, tr_plugin **out, tr_buf *error) {
    (void)error;
    tr_plugin *plugin = malloc(sizeof *plugin);
    if (!plugin) return TR_E_NOMEM;
    plugin->host = host;
    copy_unquoted(plugin->config, args->config_json);
    *out = plugin;
    return TR_OK;
}

static void release(void *owner, uint8_t *text, size_t capacity) {
    (void)owner, (void)capacity;
    free(text);
}

static tr_rc describe(tr_plugin *plugin, tr_buf *json) {
    size_t capacity = (size_t)TOOLS * TOOL_BYTES_MAX, length = 0;
    char *text = malloc(capacity);
    if (!text) return TR_E_NOMEM;
    length += (size_t)sprintf(text, "{\"tools\":");
    for (int number = 0; number < TOOLS; number++) {
        length += (size_t)snprintf(text + length, capacity - length, tool, number ? ',' : '[', number, number, number,
                                   plugin->config, number + 1);
    }
    length += (size_t)snprintf(text + length, capacity - length, "]}");
    *json = (tr_buf){.ptr = (uint8_t *)text, .len = length, .cap = capacity, .release = release};
    return TR_OK;
}

static tr_rc call(tr_plugin *plugin, const tr_call_args *args) {
    static const char found[] = "found";
    tr_result result = {.struct_size = sizeof result, .format = TR_FMT_TEXT};
    result.body = (tr_buf){.ptr = (uint8_t *)(uintptr_t)found, .len = sizeof found - 1};
    return plugin->host->complete(plugin->host->ctx, args->call, &result);
}

static tr_rc destroy(tr_plugin *plugin) {
    free(plugin);
    return TR_OK;
}

static const tr_plugin_api api = {
    .struct_size = sizeof api, .create = create, .describe = describe, .call = call, .destroy = destroy};
static const tr_descriptor descriptor = {
    .magic = TR_ABI_MAGIC, .struct_size = sizeof descriptor, .abi_major = TR_ABI_MAJOR, .abi_minor = TR_ABI_MINOR,
    .id = "ci.many_tools", .version = "1", .sdk = "c", .api = &api};
TR_EXPORT const tr_descriptor *toolrack_plugin_entry(void) { return &descriptor; }
TR_MANIFEST("{\"id\":\"ci.many_tools\",\"version\":\"1\",\"sdk\":\"c\",\"abi\":\"1.0\"}");
