// Drives the appliance with the official TypeScript client, first generation: legacy revisions only.

import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import {
    ElicitRequestSchema,
    ResourceUpdatedNotificationSchema,
    ToolListChangedNotificationSchema
} from '@modelcontextprotocol/sdk/types.js';

import { answer, main } from '../typescript/checks.mjs';

async function open({ transport, target, rest }) {
    const client = new Client({ name: 'interop', version: '1.0.0' }, { capabilities: { elicitation: {} } });
    const link =
        transport === 'http'
            ? new StreamableHTTPClientTransport(new URL(target))
            : new StdioClientTransport({ command: target, args: rest });
    let revision;
    link.setProtocolVersion = (set => version => {
        revision = version;
        set?.call(link, version);
    })(link.setProtocolVersion);
    const session = { client, elicited: [], revision: () => revision };
    client.setRequestHandler(ElicitRequestSchema, request => answer(session, request.params.message));
    session.call = (params, options) => client.callTool(params, undefined, options);
    session.follow = async ({ resource, tools }, onChange) => {
        if (tools) {
            client.setNotificationHandler(ToolListChangedNotificationSchema, () => onChange({}));
            return () => client.removeNotificationHandler('notifications/tools/list_changed');
        }
        client.setNotificationHandler(ResourceUpdatedNotificationSchema, ({ params }) => onChange(params));
        await client.subscribeResource({ uri: resource });
        return () => client.unsubscribeResource({ uri: resource });
    };
    await client.connect(link);
    return session;
}

await main(open);
