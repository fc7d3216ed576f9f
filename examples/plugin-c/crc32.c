/* A whole plugin in plain C11: one tool that computes the CRC-32 of a text, and compares it when asked to.
 *
 * The host checks arguments against `inputSchema` before it calls, so this file only has to read what the schema
 * allows: an object whose values are strings. It does that by hand; for anything richer use a JSON library. */
#include "toolrack_plugin.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT(literal) ((tr_buf){.ptr = (uint8_t *)(uintptr_t)(literal), .len = sizeof(literal) - 1})

/* What the host hands back with every call. Never written after create: calls run on several threads at once. */
struct tr_plugin {
    const tr_host *host;
};

static const char description[] =
    "{\"tools\":[{\"name\":\"crc32\",\"title\":\"CRC-32\","
    "\"description\":\"CRC-32 of the UTF-8 bytes of a text, as zip, gzip and PNG use it: eight hexadecimal digits. "
    "With `expected` it fails unless that is the checksum.\","
    "\"inputSchema\":{\"type\":\"object\",\"additionalProperties\":false,\"required\":[\"text\"],\"properties\":{"
    "\"text\":{\"type\":\"string\",\"description\":\"The text.\"},"
    "\"expected\":{\"type\":\"string\",\"pattern\":\"^[0-9a-fA-F]{8}$\","
    "\"description\":\"The checksum that the text should have.\"}}},"
    "\"annotations\":{\"readOnlyHint\":true,\"idempotentHint\":true,\"openWorldHint\":false}}]}";

/* ---- reading the arguments ---- */

/* Text that is read from the front. */
typedef struct reader {
    const char *at, *end;
} reader;

static void skip_space(reader *in) {
    while (in->at < in->end && strchr(" \t\r\n", *in->at)) in->at++;
}

static bool take(reader *in, char expected) {
    skip_space(in);
    if (in->at == in->end || *in->at != expected) return false;
    in->at++;
    return true;
}

static bool hex4(reader *in, uint32_t *value) {
    *value = 0;
    if (in->end - in->at < 4) return false;
    for (int i = 0; i < 4; i++) {
        static const char digits[] = "0123456789abcdef0123456789ABCDEF";
        const char *digit = memchr(digits, *in->at++, sizeof digits - 1);
        if (!digit) return false;
        *value = *value << 4 | ((uint32_t)(digit - digits) & 15);
    }
    return true;
}

/* Writes one character as UTF-8 and returns the end of what it wrote. */
static char *put_utf8(char *out, uint32_t c) {
    if (c < 0x80) {
        *out++ = (char)c;
    } else if (c < 0x800) {
        *out++ = (char)(0xC0 | c >> 6);
        *out++ = (char)(0x80 | (c & 63));
    } else if (c < 0x10000) {
        *out++ = (char)(0xE0 | c >> 12);
        *out++ = (char)(0x80 | (c >> 6 & 63));
        *out++ = (char)(0x80 | (c & 63));
    } else {
        *out++ = (char)(0xF0 | c >> 18);
        *out++ = (char)(0x80 | (c >> 12 & 63));
        *out++ = (char)(0x80 | (c >> 6 & 63));
        *out++ = (char)(0x80 | (c & 63));
    }
    return out;
}

/* Reads what follows `\u`; two of them make one character above U+FFFF. */
static bool read_escaped(reader *in, uint32_t *c) {
    uint32_t low;
    if (!hex4(in, c)) return false;
    if (*c < 0xD800 || *c > 0xDFFF) return true;
    if (*c > 0xDBFF || in->end - in->at < 6 || in->at[0] != '\\' || in->at[1] != 'u') return false;
    in->at += 2;
    if (!hex4(in, &low) || low < 0xDC00 || low > 0xDFFF) return false;
    *c = 0x10000 + ((*c - 0xD800) << 10) + (low - 0xDC00);
    return true;
}

/* Reads a string into `out`, which has room for all that is left of `in`: decoded, a string never grows. */
static bool read_string(reader *in, char *out, size_t *len) {
    char *to = out;
    if (!take(in, '"')) return false;
    while (in->at < in->end && *in->at != '"') {
        if (*in->at != '\\') {
            *to++ = *in->at++;
            continue;
        }
        if (in->end - in->at < 2) return false;
        char letter = in->at[1];
        in->at += 2;
        if (letter == 'u') {
            uint32_t c;
            if (!read_escaped(in, &c)) return false;
            to = put_utf8(to, c);
        } else {
            static const char letters[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
            const char *found = memchr(letters, letter, sizeof letters - 1);
            if (!found) return false;
            *to++ = meant[found - letters];
        }
    }
    *len = (size_t)(to - out);
    return take(in, '"');
}

/* ---- the work ---- */

static uint32_t crc32(const char *bytes, size_t len) {
    uint32_t crc = 0xFFFFFFFF;
    for (size_t i = 0; i < len; i++) {
        crc ^= (uint8_t)bytes[i];
        for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (0xEDB88320 & -(crc & 1));
    }
    return ~crc;
}

/* Ends a call. `complete` copies what has no release function, so the text may live on the stack. */
static void answer(const tr_host *host, tr_call call, int32_t status, const char *text) {
    tr_result result = {.struct_size = sizeof result,
                        .status = status,
                        .format = TR_FMT_TEXT,
                        .body = {.ptr = (uint8_t *)(uintptr_t)text, .len = strlen(text)}};
    host->complete(host->ctx, call, &result);
}

static void checksum(const tr_host *host, tr_call call, reader arguments, char *room) {
    char expected[9] = "", found[9], text[64];
    bool is_first = true;
    uint32_t crc = 0;
    if (!take(&arguments, '{')) goto misread;
    while (!take(&arguments, '}')) {
        size_t len;
        if (!is_first && !take(&arguments, ',')) goto misread;
        is_first = false;
        if (!read_string(&arguments, room, &len)) goto misread;
        bool is_text = len == 4 && !memcmp(room, "text", 4);
        if (!take(&arguments, ':') || !read_string(&arguments, room, &len)) goto misread;
        if (is_text) crc = crc32(room, len);
        else if (len == 8) memcpy(expected, room, 8);
    }
    snprintf(found, sizeof found, "%08x", (unsigned)crc);
    for (char *c = expected; *c; c++)
        if (*c >= 'A' && *c <= 'F') *c += 'a' - 'A';
    if (*expected && strcmp(expected, found)) {
        snprintf(text, sizeof text, "The checksum is %s, not %s.", found, expected);
        answer(host, call, TR_ST_TOOL_ERROR, text);
        return;
    }
    answer(host, call, TR_ST_OK, found);
    return;
misread:
    answer(host, call, TR_ST_INVALID_PARAMS, "The arguments hold a character that is none: half of a surrogate pair.");
}

/* ---- the functions of the plugin ---- */

static tr_rc create(const tr_host *host, const tr_create_args *args, tr_plugin **out, tr_buf *error) {
    (void)args;
    tr_plugin *plugin = malloc(sizeof *plugin);
    if (!plugin) {
        *error = TEXT("out of memory");
        return TR_E_NOMEM;
    }
    plugin->host = host;
    *out = plugin;
    return TR_OK;
}

static tr_rc describe(tr_plugin *plugin, tr_buf *json) {
    (void)plugin;
    *json = TEXT(description);
    return TR_OK;
}

static tr_rc call(tr_plugin *plugin, const tr_call_args *args) {
    /* There is one tool, so `args->item` can only be 0. */
    char *room = malloc(args->params_json.len + 1);
    if (!room) return TR_E_BUSY;
    reader arguments = {args->params_json.ptr, args->params_json.ptr + args->params_json.len};
    checksum(plugin->host, args->call, arguments, room);
    free(room);
    return TR_OK;
}

static tr_rc destroy(tr_plugin *plugin) {
    free(plugin);
    return TR_OK;
}

static const tr_plugin_api api = {
    .struct_size = sizeof api, .create = create, .describe = describe, .call = call, .destroy = destroy};

static const tr_descriptor descriptor = {.magic = TR_ABI_MAGIC,
                                         .struct_size = sizeof descriptor,
                                         .abi_major = TR_ABI_MAJOR,
                                         .abi_minor = TR_ABI_MINOR,
                                         .id = "example.crc32",
                                         .version = "1.0.0",
                                         .sdk = "c",
                                         .api = &api};

TR_EXPORT const tr_descriptor *toolrack_plugin_entry(void) { return &descriptor; }

TR_MANIFEST("{\"id\":\"example.crc32\",\"version\":\"1.0.0\",\"sdk\":\"c\",\"abi\":\"1.0\","
            "\"description\":\"CRC-32 of a text.\"}");
