/* A library whose outside is wrong: each macro that the test defines spoils one thing. */
#include "toolrack_plugin.h"

#ifndef MAGIC
#define MAGIC TR_ABI_MAGIC
#endif
#ifndef MAJOR
#define MAJOR TR_ABI_MAJOR
#endif
#ifndef HOST_MINOR
#define HOST_MINOR 0
#endif
#ifndef SIZE
#define SIZE sizeof(tr_descriptor)
#endif
#ifndef FLAGS
#define FLAGS 0
#endif
#ifndef ID
#define ID "test.descriptor"
#endif
#ifndef API
#define API &api
#endif
#ifndef API_SIZE
#define API_SIZE sizeof(tr_plugin_api)
#endif
#ifndef CALL
#define CALL call
#endif
#ifndef ENTRY
#define ENTRY toolrack_plugin_entry
#endif
#ifndef RETURNED
#define RETURNED &descriptor
#endif
#ifndef MANIFEST
#define MANIFEST "{\"id\":\"test.descriptor\",\"version\":\"1\",\"sdk\":\"c\",\"abi\":\"1.0\"}"
#endif

static tr_rc create(const tr_host *h, const tr_create_args *args, tr_plugin **out, tr_buf *error) {
    (void)h, (void)args, (void)out, (void)error;
    return TR_E_INTERNAL;
}
static tr_rc describe(tr_plugin *plugin, tr_buf *json) {
    (void)plugin, (void)json;
    return TR_E_INTERNAL;
}
__attribute__((unused)) static tr_rc call(tr_plugin *plugin, const tr_call_args *args) {
    (void)plugin, (void)args;
    return TR_E_INTERNAL;
}
static tr_rc destroy(tr_plugin *plugin) {
    (void)plugin;
    return TR_OK;
}

__attribute__((unused)) static const tr_plugin_api api = {
    .struct_size = API_SIZE, .create = create, .describe = describe, .call = CALL, .destroy = destroy};
__attribute__((unused)) static const tr_descriptor descriptor = {
    .magic = MAGIC, .struct_size = SIZE, .abi_major = MAJOR, .min_host_minor = HOST_MINOR, .flags = FLAGS,
    .id = ID, .version = "1", .sdk = "c", .api = API};
#ifdef UNDEFINED
extern const tr_descriptor *nowhere(void);
TR_EXPORT const tr_descriptor *toolrack_plugin_entry(void) { return nowhere(); }
#else
TR_EXPORT const tr_descriptor *ENTRY(void) { return RETURNED; }
#endif
#ifndef NO_MANIFEST
TR_MANIFEST(MANIFEST);
#endif
