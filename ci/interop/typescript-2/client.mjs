// Drives the appliance with the official TypeScript client, second generation: both eras.

import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';

import { answer, main } from '../typescript/checks.mjs';

async function open({ era, revision, transport, target, rest }) {
    const client = new Client(
        { name: 'interop', version: '1.0.0' },
        {
            capabilities: { elicitation: { form: {} } },
            versionNegotiation: { mode: era === 'modern' ? { pin: revision } : 'legacy' }
        }
    );
    const link =
        transport === 'http'
            ? new StreamableHTTPClientTransport(new URL(target))
            : new StdioClientTransport({ command: target, args: rest });
    const session = { client, elicited: [], revision: () => client.getNegotiatedProtocolVersion() };
    client.setRequestHandler('elicitation/create', request => answer(session, request.params.message));
    session.call = (params, options) => client.callTool(params, options);
    session.follow = async ({ resource, tools }, onChange) => {
        const method = tools ? 'notifications/tools/list_changed' : 'notifications/resources/updated';
        client.setNotificationHandler(method, ({ params }) => onChange(params ?? {}));
        if (era === 'modern') {
            const filter = tools ? { toolsListChanged: true } : { resourceSubscriptions: [resource] };
            const subscription = await client.listen(filter);
            return async () => {
                await subscription.close();
                const how = await subscription.closed;
                if (how !== 'local') throw new Error(`the subscription ended by itself: ${how}`);
            };
        }
        if (tools) return async () => {};
        await client.subscribeResource({ uri: resource });
        return () => client.unsubscribeResource({ uri: resource });
    };
    await client.connect(link);
    return session;
}

await main(open);
