//! What the client must be able to do.

use std::pin::Pin;

use anyhow::{Context, Result, bail, ensure};
use rmcp::ServiceError;
use rmcp::model::{
    CallToolRequest, ClientRequest, ErrorCode, GetPromptRequestParams, ReadResourceRequestParams,
    ResourceContents, ServerNotification, SubscribeRequestParams, SubscriptionFilter,
    UnsubscribeRequestParams,
};
use rmcp::service::PeerRequestOptions;
use serde_json::{Value, json};

use crate::session::{Heard, Session, request};

type Running<'a> = Pin<Box<dyn Future<Output = Result<()>> + 'a>>;
type Check = fn(&mut Session) -> Running<'_>;

/// Every check by its name, in order.
pub const CHECKS: &[(&str, Check)] = &[
    ("connect", |session| Box::pin(connect(session))),
    ("tools", |session| Box::pin(tools(session))),
    ("resources", |session| Box::pin(resources(session))),
    ("templates", |session| Box::pin(templates(session))),
    ("prompts", |session| Box::pin(prompts(session))),
    ("call", |session| Box::pin(call(session))),
    ("tool_error", |session| Box::pin(tool_error(session))),
    ("unknown_tool", |session| Box::pin(unknown_tool(session))),
    ("read", |session| Box::pin(read(session))),
    ("prompt", |session| Box::pin(prompt(session))),
    ("completion", |session| Box::pin(completion(session))),
    ("progress", |session| Box::pin(progress(session))),
    ("cancellation", |session| Box::pin(cancellation(session))),
    ("elicitation", |session| Box::pin(elicitation(session))),
    ("resource_update", |session| Box::pin(resource_update(session))),
    ("list_changed", |session| Box::pin(list_changed(session))),
];

async fn connect(session: &mut Session) -> Result<()> {
    let info = session.client.peer_info().context("the server has said who it is")?;
    let revision = if session.is_modern { "2026-07-28" } else { "2025-11-25" };
    ensure!(info.protocol_version.as_str() == revision, "speaks {revision}; seen: {info:?}");
    let name = info.server_info.as_ref().map(|server| server.name.as_str());
    ensure!(name == Some("toolrack"), "the server says its name; seen: {info:?}");
    Ok(())
}

async fn tools(session: &mut Session) -> Result<()> {
    let tools = session.client.list_all_tools().await?;
    for name in ["echo", "write_file", "test_elicitation"] {
        ensure!(tools.iter().any(|tool| tool.name == name), "{name} is listed; seen: {tools:?}");
    }
    Ok(())
}

async fn resources(session: &mut Session) -> Result<()> {
    let resources = session.client.list_all_resources().await?;
    let is_listed = resources.iter().any(|resource| resource.uri == "test://static-text");
    ensure!(is_listed, "the resource is listed; seen: {resources:?}");
    Ok(())
}

async fn templates(session: &mut Session) -> Result<()> {
    let templates = session.client.list_all_resource_templates().await?;
    let is_listed =
        templates.iter().any(|template| template.uri_template == "test://template/{id}/data");
    ensure!(is_listed, "the template is listed; seen: {templates:?}");
    Ok(())
}

async fn prompts(session: &mut Session) -> Result<()> {
    let prompts = session.client.list_all_prompts().await?;
    let is_listed = prompts.iter().any(|prompt| prompt.name == "test_prompt_with_arguments");
    ensure!(is_listed, "the prompt is listed; seen: {prompts:?}");
    Ok(())
}

async fn call(session: &mut Session) -> Result<()> {
    let said = "é \"quoted\" \u{1f642} \\ line\nbreak";
    let text = session.say("echo", json!({ "text": said })).await?;
    ensure!(text == said, "the text comes back; seen: {text:?}");
    Ok(())
}

async fn tool_error(session: &mut Session) -> Result<()> {
    let result = session.call("test_error_handling", json!({})).await?;
    ensure!(result.is_error == Some(true), "the result is an error; seen: {result:?}");
    Ok(())
}

async fn unknown_tool(session: &mut Session) -> Result<()> {
    match session.client.call_tool(request("no_such_tool", json!({}))?).await {
        Err(ServiceError::McpError(error)) if error.code == ErrorCode::INVALID_PARAMS => Ok(()),
        seen => bail!("the refusal has its code; seen: {seen:?}"),
    }
}

async fn read(session: &mut Session) -> Result<()> {
    let params = ReadResourceRequestParams::new("test://template/7/data");
    let result = session.client.read_resource(params).await?;
    let Some(ResourceContents::TextResourceContents { text, .. }) = result.contents.first() else {
        bail!("the template is read; seen: {result:?}");
    };
    let data: Value = serde_json::from_str(text)?;
    ensure!(data["id"] == "7", "the template is read; seen: {data}");
    Ok(())
}

async fn prompt(session: &mut Session) -> Result<()> {
    let arguments = serde_json::from_value(json!({ "arg1": "one", "arg2": "two" }))?;
    let params =
        GetPromptRequestParams::new("test_prompt_with_arguments").with_arguments(arguments);
    let result = session.client.get_prompt(params).await?;
    let text = result.messages.first().and_then(|message| message.content.as_text());
    let has_it = text.is_some_and(|text| text.text.contains("arg2='two'"));
    ensure!(has_it, "the arguments are in it; seen: {result:?}");
    Ok(())
}

async fn completion(session: &mut Session) -> Result<()> {
    let words = session
        .client
        .complete_prompt_simple("test_prompt_with_arguments", "arg1", "testV")
        .await?;
    ensure!(words == ["testValue1", "testValue2"], "the words fit; seen: {words:?}");
    Ok(())
}

async fn progress(session: &mut Session) -> Result<()> {
    session.call("test_tool_with_progress", json!({})).await?;
    for step in [0.0, 50.0, 100.0] {
        let heard = session.hear().await?;
        ensure!(heard == Heard::Progress(step), "step {step} is heard; seen: {heard:?}");
    }
    Ok(())
}

async fn cancellation(session: &mut Session) -> Result<()> {
    let mark = json!({ "mark": session.mark });
    let call = CallToolRequest::new(request("test_cancellation", mark.clone())?);
    let handle = session
        .client
        .send_cancellable_request(
            ClientRequest::CallToolRequest(call),
            PeerRequestOptions::no_options(),
        )
        .await?;
    let heard = session.hear().await?;
    ensure!(heard == Heard::Progress(1.0), "the work begins; seen: {heard:?}");
    handle.cancel(Some("no longer wanted".to_owned())).await?;
    // The server has heard of it when the work says so itself.
    while session.say("test_was_cancelled", mark.clone()).await? != "yes" {}
    Ok(())
}

async fn elicitation(session: &mut Session) -> Result<()> {
    let text = session.say("test_elicitation", json!({ "message": "Who are you?" })).await?;
    let heard = session.hear().await?;
    ensure!(heard == Heard::Asked("Who are you?".into()), "the user is asked; seen: {heard:?}");
    ensure!(text.contains("action=accept"), "the tool has the action; seen: {text}");
    ensure!(text.contains("ada@example.com"), "the tool has the answer; seen: {text}");
    Ok(())
}

async fn resource_update(session: &mut Session) -> Result<()> {
    let file = format!("{}.txt", session.mark);
    let uri = format!("file:///{file}");
    session.say("write_file", json!({ "path": file, "text": "before" })).await?;
    let change = json!({ "path": file, "text": "after" });
    if session.is_modern {
        let filter = SubscriptionFilter::builder().resource_subscription(&uri).build();
        let mut subscription = session.client.listen(filter).await?;
        session.say("write_file", change).await?;
        match subscription.next().await? {
            Some(ServerNotification::ResourceUpdatedNotification(seen))
                if seen.params.uri == uri => {}
            seen => bail!("the notification names the resource; seen: {seen:?}"),
        }
        subscription.cancel().await?;
    } else {
        #[allow(deprecated)] // The legacy era has no other way.
        session.client.subscribe(SubscribeRequestParams::new(&uri)).await?;
        session.say("write_file", change).await?;
        let heard = session.hear().await?;
        ensure!(heard == Heard::Updated(uri.clone()), "the resource is named; seen: {heard:?}");
        #[allow(deprecated)] // The legacy era has no other way.
        session.client.unsubscribe(UnsubscribeRequestParams::new(&uri)).await?;
    }
    Ok(())
}

async fn list_changed(session: &mut Session) -> Result<()> {
    if session.is_modern {
        let filter = SubscriptionFilter::builder().tools_list_changed().build();
        let mut subscription = session.client.listen(filter).await?;
        session.say("test_trigger_tool_change", json!({})).await?;
        let seen = subscription.next().await?;
        let is_it = matches!(seen, Some(ServerNotification::ToolListChangedNotification(_)));
        ensure!(is_it, "the notification says what changed; seen: {seen:?}");
        subscription.cancel().await?;
    } else {
        session.say("test_trigger_tool_change", json!({})).await?;
        // A change of the file may have been told twice.
        loop {
            match session.hear().await? {
                Heard::ToolsChanged => break,
                Heard::Updated(_) => {}
                seen => bail!("the notification says what changed; seen: {seen:?}"),
            }
        }
    }
    Ok(())
}
