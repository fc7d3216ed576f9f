//! How a plugin comes to life: created, described, and given its threads.

use std::sync::Arc;
use std::sync::mpsc::{SendError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use plugin_abi::{Buf, CreateArgs, OK, PluginApi, Str};

use crate::core::{Core, TEXT_BYTES_MAX};
use crate::describe::Described;
use crate::error::LoadError;
use crate::host_functions::HostState;
use crate::images::Image;
use crate::settings::Settings;
use crate::threads::{Control, ControlThread, thread_name};

/// How long a plugin may take to create or to describe itself.
pub(crate) const START_DEADLINE: Duration = Duration::from_secs(5);

/// Creates and describes the plugin on its control thread, which then goes on as such.
pub(crate) fn create(
    settings: &Settings,
    api: PluginApi,
    host: &'static HostState,
    image: Image,
) -> Result<(Arc<Core>, Described, ControlThread), LoadError> {
    let slow = |what| move |_| LoadError::Slow { what, limit_ms: START_DEADLINE.as_millis() };
    let (reply, created) = sync_channel(1);
    let (instance, config) = (Arc::clone(&settings.name), settings.config_json.clone());
    let generation = settings.generation;
    // The thread that creates must be one of the plugin's; it ends after this one step.
    std::thread::Builder::new()
        .name(thread_name(&settings.name, "s"))
        .spawn(move || {
            let created = create_here(&instance, &config, generation, api, host, image);
            if let Err(SendError(Ok(core))) = reply.send(created) {
                // It came too late: nobody will ever use it.
                core.destroy();
            }
        })
        .map_err(LoadError::NoThread)?;
    let core = Arc::new(created.recv_timeout(START_DEADLINE).map_err(slow("start"))??);
    let control =
        ControlThread::start(&settings.name, Arc::clone(&core)).map_err(LoadError::NoThread)?;
    let (reply, described) = sync_channel(1);
    control.send(Control::Run(Box::new(move |core| drop(reply.send(core.describe())))));
    let described = described.recv_timeout(START_DEADLINE).map_err(slow("describe itself"));
    match described.flatten() {
        Ok(described) => Ok((core, described, control)),
        Err(error) => {
            destroy_by(&control);
            Err(error)
        }
    }
}

/// Ends a plugin that did not become one, as soon as it comes back.
pub(crate) fn destroy_by(control: &ControlThread) {
    control.send(Control::Last(Box::new(|core| {
        core.destroy();
    })));
}

fn create_here(
    instance: &str,
    config: &str,
    generation: u32,
    api: PluginApi,
    host: &'static HostState,
    image: Image,
) -> Result<Core, LoadError> {
    let args = CreateArgs {
        struct_size: size_of::<CreateArgs>() as u32,
        generation,
        instance: Str::new(instance.as_bytes()),
        config_json: Str::new(config.as_bytes()),
    };
    let mut plugin = std::ptr::null_mut();
    let mut error = Buf::EMPTY;
    let refused = |what: String| LoadError::Create { what };
    let Some(create) = api.create else {
        image.give_back();
        return Err(refused("no create function".to_owned()));
    };
    let table = host.table();
    // SAFETY: everything lent lives until this returns; the table lives for ever; nobody else has the plugin yet.
    let rc = unsafe { create(table, &raw const args, &raw mut plugin, &raw mut error) };
    let text = host.buffers.take(error, TEXT_BYTES_MAX).unwrap_or_default();
    if rc != OK {
        image.give_back();
        let text = String::from_utf8_lossy(&text);
        let text = if text.is_empty() { format!("code {rc}") } else { text.into_owned() };
        return Err(refused(text));
    }
    Ok(Core { api, plugin, host, image })
}

pub(crate) fn start_run(name: &str, core: &Arc<Core>) -> std::io::Result<JoinHandle<()>> {
    let core = Arc::clone(core);
    std::thread::Builder::new().name(thread_name(name, "r")).spawn(move || {
        if let Some(run) = core.api.run {
            // SAFETY: a thread of this plugin; `run` returns after quiesce, and destroy waits for this thread.
            let rc = unsafe { run(core.plugin) };
            tracing::debug!(plugin = %core.host.name, rc, "Event loop of the plugin ended.");
        }
    })
}
