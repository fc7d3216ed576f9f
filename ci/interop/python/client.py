"""Drives the appliance with the official Python client: both eras."""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Awaitable, Callable

import anyio
import mcp_types as types
from mcp import Client, StdioServerParameters
from mcp.shared.exceptions import MCPError
from mcp.shared.subscriptions import ResourceUpdated, ToolsListChanged

# One check may take this long; the one that hangs is named then.
CHECK_SECONDS = 30


class Wrong(Exception):
    """The appliance did something that this check does not accept."""


def expect(fits: bool, what: str, seen: object) -> None:
    """Fails the check with what was seen instead."""
    if not fits:
        raise Wrong(f"{what}; seen: {seen!r}")


class Checks:
    """What the client must be able to do; each public coroutine is one check."""

    def __init__(self, era: str, mark: str) -> None:
        self.revision = "2026-07-28" if era == "modern" else "2025-11-25"
        self.is_modern = era == "modern"
        self.mark = mark
        self.asked: list[str] = []
        self.updated: list[str] = []
        self.heard = anyio.Condition()
        self.client: Client

    def open(self, server: str | StdioServerParameters) -> Client:
        """The client, not yet connected."""
        # A pinned revision is adopted without asking; asking is what a real client does first.
        mode = "auto" if self.is_modern else "legacy"
        self.client = Client(
            server, mode=mode, elicitation_callback=self.answer, message_handler=self.hear
        )
        return self.client

    async def answer(self, _context: object, params: types.ElicitRequestParams) -> types.ElicitResult:
        """Answers a form as a user would."""
        self.asked.append(params.message)
        content = {"username": "ada", "email": "ada@example.com"}
        return types.ElicitResult(action="accept", content=content)

    async def hear(self, message: object) -> None:
        """Remembers the notifications that no request is waiting for."""
        async with self.heard:
            if isinstance(message, types.ResourceUpdatedNotification):
                self.updated.append(str(message.params.uri))
            elif isinstance(message, types.ToolListChangedNotification):
                self.updated.append("tools")
            self.heard.notify_all()

    async def wait_for(self, change: str) -> None:
        """Waits until a change was heard of outside of a subscription stream."""
        async with self.heard:
            while change not in self.updated:
                await self.heard.wait()

    async def say(self, tool: str, **arguments: str) -> str:
        """The text that a tool answers."""
        result = await self.client.call_tool(tool, arguments)
        expect(not result.is_error, f"{tool} succeeds", result)
        return result.content[0].text

    async def connect(self) -> None:
        revision = self.client.protocol_version
        expect(revision == self.revision, f"the connection speaks {self.revision}", revision)
        info = self.client.server_info
        expect(info is not None and info.name == "toolrack", "the server says its name", info)

    async def tools(self) -> None:
        names = [tool.name for tool in (await self.client.list_tools()).tools]
        for name in ("echo", "write_file", "test_elicitation"):
            expect(name in names, f"{name} is among the tools", names)

    async def resources(self) -> None:
        uris = [str(resource.uri) for resource in (await self.client.list_resources()).resources]
        expect("test://static-text" in uris, "the resource is listed", uris)

    async def templates(self) -> None:
        listed = (await self.client.list_resource_templates()).resource_templates
        templates = [template.uri_template for template in listed]
        expect("test://template/{id}/data" in templates, "the template is listed", templates)

    async def prompts(self) -> None:
        names = [prompt.name for prompt in (await self.client.list_prompts()).prompts]
        expect("test_prompt_with_arguments" in names, "the prompt is listed", names)

    async def call(self) -> None:
        said = 'é "quoted" \U0001f642 \\ line\nbreak'
        text = await self.say("echo", text=said)
        expect(text == said, "the text comes back", text)

    async def tool_error(self) -> None:
        result = await self.client.call_tool("test_error_handling", {})
        expect(result.is_error is True, "the result is an error", result)

    async def unknown_tool(self) -> None:
        try:
            result = await self.client.call_tool("no_such_tool", {})
        except MCPError as error:
            expect(error.error.code == types.INVALID_PARAMS, "the refusal has its code", error)
        else:
            raise Wrong(f"an unknown tool is refused; seen: {result!r}")

    async def read(self) -> None:
        result = await self.client.read_resource("test://template/7/data")
        expect(json.loads(result.contents[0].text)["id"] == "7", "the template is read", result)

    async def prompt(self) -> None:
        arguments = {"arg1": "one", "arg2": "two"}
        result = await self.client.get_prompt("test_prompt_with_arguments", arguments)
        expect("arg2='two'" in result.messages[0].content.text, "the arguments are in it", result)

    async def completion(self) -> None:
        reference = types.PromptReference(name="test_prompt_with_arguments")
        result = await self.client.complete(reference, {"name": "arg1", "value": "testV"})
        values = result.completion.values
        expect(values == ["testValue1", "testValue2"], "the words fit", values)

    async def progress(self) -> None:
        heard: list[float] = []

        async def hear(progress: float, _total: float | None, _message: str | None) -> None:
            heard.append(progress)

        await self.client.call_tool("test_tool_with_progress", {}, progress_callback=hear)
        expect(heard == [0, 50, 100], "every step is heard, in order", heard)

    async def cancellation(self) -> None:
        with anyio.CancelScope() as scope:

            async def cancel(_progress: float, _total: float | None, _message: str | None) -> None:
                scope.cancel()

            result = await self.client.call_tool(
                "test_cancellation", {"mark": self.mark}, progress_callback=cancel
            )
            raise Wrong(f"the call ends without a result; seen: {result!r}")
        # The server has heard of it when the work says so itself.
        while await self.say("test_was_cancelled", mark=self.mark) != "yes":
            pass

    async def elicitation(self) -> None:
        text = await self.say("test_elicitation", message="Who are you?")
        expect(self.asked == ["Who are you?"], "the user was asked once", self.asked)
        expect("action=accept" in text, "the tool has the action", text)
        expect("ada@example.com" in text, "the tool has the answer", text)

    async def resource_update(self) -> None:
        file = f"{self.mark}.txt"
        uri = f"file:///{file}"
        await self.say("write_file", path=file, text="before")
        if self.is_modern:
            async with self.client.listen(resource_subscriptions=[uri]) as subscription:
                await self.say("write_file", path=file, text="after")
                event = await anext(subscription)
            expect(event == ResourceUpdated(uri=uri), "the event names the resource", event)
        else:
            await self.client.session.subscribe_resource(uri)
            await self.say("write_file", path=file, text="after")
            await self.wait_for(uri)
            await self.client.session.unsubscribe_resource(uri)

    async def list_changed(self) -> None:
        if self.is_modern:
            async with self.client.listen(tools_list_changed=True) as subscription:
                await self.say("test_trigger_tool_change")
                event = await anext(subscription)
            expect(event == ToolsListChanged(), "the event says what changed", event)
        else:
            await self.say("test_trigger_tool_change")
            await self.wait_for("tools")

    def all(self) -> list[Callable[[], Awaitable[None]]]:
        """Every check, in order."""
        return [
            self.connect,
            self.tools,
            self.resources,
            self.templates,
            self.prompts,
            self.call,
            self.tool_error,
            self.unknown_tool,
            self.read,
            self.prompt,
            self.completion,
            self.progress,
            self.cancellation,
            self.elicitation,
            self.resource_update,
            self.list_changed,
        ]


async def main(era: str, mark: str, transport: str, target: str, *rest: str) -> int:
    """Runs every check and counts what failed."""
    checks = Checks(era, mark)
    server = target if transport == "http" else StdioServerParameters(command=target, args=[*rest])
    failed = 0
    async with checks.open(server):
        for check in checks.all():
            try:
                with anyio.fail_after(CHECK_SECONDS):
                    await check()
                print(f"ok {check.__name__}", flush=True)
            except Exception as error:
                failed += 1
                why = str(error) if isinstance(error, Wrong) else traceback.format_exc()
                print(f"FAIL {check.__name__}: {why}".replace("\n", " "), flush=True)
    return failed


if __name__ == "__main__":
    # Arguments are `ERA MARK http URL` or `ERA MARK stdio PROGRAM ARGUMENT...`.
    sys.exit(anyio.run(main, *sys.argv[1:]))
