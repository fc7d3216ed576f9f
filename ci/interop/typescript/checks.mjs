// What every generation of the official TypeScript client must be able to do with the appliance.

import { writeFileSync } from 'node:fs';

// One check may take this long; the one that hangs is named then.
const CHECK_MS = 30_000;

class Wrong extends Error {}

function expect(fits, what, seen) {
    if (!fits) throw new Wrong(`${what}; seen: ${JSON.stringify(seen)}`);
}

// A promise that somebody else resolves.
function signal() {
    let resolve;
    const promise = new Promise(done => (resolve = done));
    return { promise, resolve };
}

async function within(promise) {
    let timer;
    const late = new Promise((_, reject) => {
        timer = setTimeout(() => reject(new Wrong('nothing happened in time')), CHECK_MS);
    });
    try {
        return await Promise.race([promise, late]);
    } finally {
        clearTimeout(timer);
    }
}

function say(line) {
    // Straight to the descriptor: nothing is lost when the process ends.
    writeFileSync(1, `${line.replaceAll('\n', ' ')}\n`);
}

function names(list) {
    return list.map(item => item.name ?? item.uriTemplate ?? item.uri);
}

// `session` is what a generation's own file makes of its client: `client`, `call(params, options)`,
// `follow(filter, onChange)` which resolves to a function that ends it, `revision()` and `elicited`.
function checks({ session, revision, mark }) {
    const { client, call, follow } = session;
    const text = result => result.content[0].text;
    const file = `${mark}.txt`;
    return {
        async connect() {
            expect(session.revision() === revision, `the connection speaks ${revision}`, session.revision());
            const { name } = client.getServerVersion();
            expect(name === 'toolrack', 'the server says its name', name);
        },
        async tools() {
            const { tools } = await client.listTools();
            for (const name of ['echo', 'write_file', 'test_elicitation']) {
                expect(names(tools).includes(name), `${name} is among the tools`, names(tools));
            }
        },
        async resources() {
            const uris = (await client.listResources()).resources.map(resource => resource.uri);
            expect(uris.includes('test://static-text'), 'the resource is listed', uris);
        },
        async templates() {
            const { resourceTemplates } = await client.listResourceTemplates();
            const templates = resourceTemplates.map(template => template.uriTemplate);
            expect(templates.includes('test://template/{id}/data'), 'the template is listed', templates);
        },
        async prompts() {
            const { prompts } = await client.listPrompts();
            expect(names(prompts).includes('test_prompt_with_arguments'), 'the prompt is listed', names(prompts));
        },
        async call() {
            const said = 'é "quoted" \u{1F642} \\ line\nbreak';
            const result = await call({ name: 'echo', arguments: { text: said } });
            expect(text(result) === said, 'the text comes back', result);
        },
        async tool_error() {
            const result = await call({ name: 'test_error_handling', arguments: {} });
            expect(result.isError === true, 'the result is an error', result);
        },
        async unknown_tool() {
            const refused = await call({ name: 'no_such_tool', arguments: {} }).then(
                result => ({ result }),
                error => error
            );
            expect(refused.code === -32602, 'the refusal has its code', refused);
        },
        async read() {
            const { contents } = await client.readResource({ uri: 'test://template/7/data' });
            expect(JSON.parse(contents[0].text).id === '7', 'the template is read', contents);
        },
        async prompt() {
            const { messages } = await client.getPrompt({
                name: 'test_prompt_with_arguments',
                arguments: { arg1: 'one', arg2: 'two' }
            });
            expect(messages[0].content.text.includes("arg2='two'"), 'the arguments are in it', messages);
        },
        async completion() {
            const { completion } = await client.complete({
                ref: { type: 'ref/prompt', name: 'test_prompt_with_arguments' },
                argument: { name: 'arg1', value: 'testV' }
            });
            expect(completion.values.join() === 'testValue1,testValue2', 'the words fit', completion);
        },
        async progress() {
            const heard = [];
            const options = { onprogress: progress => heard.push(progress.progress) };
            await call({ name: 'test_tool_with_progress', arguments: {} }, options);
            expect(heard.join() === '0,50,100', 'every step is heard, in order', heard);
        },
        async cancellation() {
            const begun = signal();
            const cancel = new AbortController();
            const waiting = call(
                { name: 'test_cancellation', arguments: { mark } },
                { signal: cancel.signal, onprogress: begun.resolve }
            ).then(
                result => ({ result }),
                error => ({ error })
            );
            await begun.promise;
            cancel.abort('no longer wanted');
            const { result } = await waiting;
            expect(result === undefined, 'the call ends without a result', result);
            // The server has heard of it when the work says so itself.
            for (;;) {
                const ended = await call({ name: 'test_was_cancelled', arguments: { mark } });
                if (text(ended) === 'yes') return;
            }
        },
        async elicitation() {
            const result = await call({ name: 'test_elicitation', arguments: { message: 'Who are you?' } });
            expect(session.elicited.join() === 'Who are you?', 'the user was asked once', session.elicited);
            expect(text(result).includes('action=accept'), 'the tool has the action', result);
            expect(text(result).includes('ada@example.com'), 'the tool has the answer', result);
        },
        async resource_update() {
            const uri = `file:///${file}`;
            await call({ name: 'write_file', arguments: { path: file, text: 'before' } });
            const changed = signal();
            const end = await follow({ resource: uri }, changed.resolve);
            await call({ name: 'write_file', arguments: { path: file, text: 'after' } });
            const seen = await changed.promise;
            expect(seen.uri === uri, 'the notification names the resource', seen);
            await end();
        },
        async list_changed() {
            const changed = signal();
            const end = await follow({ tools: true }, changed.resolve);
            await call({ name: 'test_trigger_tool_change', arguments: {} });
            await changed.promise;
            await end();
        }
    };
}

/** Answers a form as a user would. */
export function answer(session, message) {
    session.elicited.push(message);
    return { action: 'accept', content: { username: 'ada', email: 'ada@example.com' } };
}

/** Arguments are `era mark http URL` or `era mark stdio PROGRAM ARGUMENT...`; the exit code counts what failed. */
export async function main(open) {
    const [era, mark, transport, target, ...rest] = process.argv.slice(2);
    const revision = era === 'modern' ? '2026-07-28' : '2025-11-25';
    const session = await within(open({ era, revision, transport, target, rest }));
    let failed = 0;
    for (const [name, check] of Object.entries(checks({ session, revision, mark }))) {
        try {
            await within(check());
            say(`ok ${name}`);
        } catch (error) {
            failed += 1;
            say(`FAIL ${name}: ${error instanceof Wrong ? error.message : (error.stack ?? error)}`);
        }
    }
    await within(session.client.close());
    process.exit(failed);
}
