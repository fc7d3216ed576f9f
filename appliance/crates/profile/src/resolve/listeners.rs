//! Addresses.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use ipnet::IpNet;
use middleware::Mode;

use super::{DAY_MS, Findings, check_name};
use crate::plan::{
    ControlBind, ControlPlan, HttpPlan, LayersPlan, ListenerPlan, StdioPlan, TransportPlan,
};
use crate::profile::{Control, Http, Listen};

pub(super) fn listeners(
    listen: BTreeMap<String, Listen>,
    layers: &LayersPlan,
    findings: &mut Findings<'_>,
) -> Vec<ListenerPlan> {
    if listen.is_empty() {
        let message =
            "nobody can come in; add a listener, for example [listen.public] with http = {}";
        findings.problem("listen", message);
    }
    let mut plans: Vec<ListenerPlan> = Vec::new();
    for (name, listen) in listen {
        check_name("listen", &name, findings);
        let key = format!("listen.{name}");
        let transport = match (listen.http, listen.stdio) {
            (Some(http), None) => http_plan(&key, http, layers, findings).map(TransportPlan::Http),
            (None, Some(stdio)) => {
                let calls_max = findings.number(
                    &format!("{key}.stdio.calls_max"),
                    stdio.calls_max,
                    1..=100_000,
                );
                Some(TransportPlan::Stdio(StdioPlan { calls_max }))
            }
            (None, None) | (Some(_), Some(_)) => {
                findings.problem(&key, "a listener has exactly one of `http` and `stdio`");
                None
            }
        };
        let Some(transport) = transport else { continue };
        if let Some(twin) = plans.iter().find(|plan| is_same(&plan.transport, &transport)) {
            let message = format!("this is the way in that listen.{} has already", twin.name);
            findings.problem(&key, message);
        }
        plans.push(ListenerPlan { name: name.as_str().into(), transport });
    }
    plans
}

fn is_same(left: &TransportPlan, right: &TransportPlan) -> bool {
    match (left, right) {
        (TransportPlan::Stdio(_), TransportPlan::Stdio(_)) => true,
        (TransportPlan::Http(left), TransportPlan::Http(right)) => {
            left.bind == right.bind && left.bind.port() != 0
        }
        _ => false,
    }
}

fn address(key: &str, text: &str, findings: &mut Findings<'_>) -> Option<SocketAddr> {
    let parsed = text.parse();
    if parsed.is_err() {
        let message = format!(
            "`{text}` is not an address with a port; write it like 127.0.0.1:8080 or [::1]:8080"
        );
        findings.problem(key, message);
    }
    parsed.ok()
}

/// Networks, or single addresses as networks of one.
fn networks(key: &str, texts: &[String], findings: &mut Findings<'_>) -> Vec<IpNet> {
    let mut networks = Vec::new();
    for text in texts {
        let address = || text.parse::<IpAddr>().map(|address| IpNet::from(address.to_canonical()));
        match text.parse::<IpNet>().or_else(|_| address()) {
            Ok(network) if network.prefix_len() == 0 => findings.problem(
                key,
                format!("`{text}` is every address, so that every client could choose whom it counts against; name the proxies"),
            ),
            Ok(network) => networks.push(network),
            Err(_) => findings.problem(
                key,
                format!("`{text}` is no network; write it like 10.0.0.0/8, 2001:db8::/32 or 192.0.2.1"),
            ),
        }
    }
    networks
}

fn http_plan(
    listener: &str,
    http: Http,
    layers: &LayersPlan,
    findings: &mut Findings<'_>,
) -> Option<HttpPlan> {
    let key = |name: &str| format!("{listener}.http.{name}");
    let bind = address(&key("bind"), &http.bind, findings)?;
    if !http.path.starts_with('/') || http.path.contains(['?', '#', ' ']) {
        findings.problem(key("path"), format!("`{}` is not a path; write it like /mcp", http.path));
    }
    if !bind.ip().is_loopback() {
        let message = match layers.origin.mode {
            Mode::Off => Some(
                "other hosts reach this address, and without [layer.origin] any web page that a user opens could call it; add the layer",
            ),
            Mode::Enforce | Mode::Shadow if layers.origin.allowed_hosts.is_empty() => Some(
                "other hosts reach this address, but layer.origin.allowed_hosts is empty, so every request would be refused; name the hosts that clients use",
            ),
            Mode::Enforce | Mode::Shadow => None,
        };
        if let Some(message) = message {
            findings.problem(key("bind"), message);
        }
    }
    let trusted_proxies = networks(&key("trusted_proxies"), &http.trusted_proxies, findings);
    let longest = 3_600_000;
    Some(HttpPlan {
        bind,
        connections_max: findings.number(
            &key("connections_max"),
            http.connections_max,
            1..=1_000_000,
        ),
        first_byte_deadline: findings.time(&key("first_byte_ms"), http.first_byte_ms, 1..=longest),
        head_deadline: findings.time(&key("head_ms"), http.head_ms, 1..=longest),
        body_deadline: findings.time(&key("body_ms"), http.body_ms, 1..=longest),
        body_bytes_per_sec_min: findings.number(
            &key("body_bytes_per_sec_min"),
            http.body_bytes_per_sec_min,
            0..=1_000_000_000,
        ),
        body_window: findings.time(&key("body_window_ms"), http.body_window_ms, 1..=longest),
        idle_deadline: findings.time(&key("idle_ms"), http.idle_ms, 1..=DAY_MS),
        write_deadline: findings.time(&key("write_ms"), http.write_ms, 1..=longest),
        heartbeat: findings.time(&key("heartbeat_ms"), http.heartbeat_ms, 100..=longest),
        path: http.path,
        trusted_proxies,
    })
}

pub(super) fn control(
    control: Option<Control>,
    findings: &mut Findings<'_>,
) -> Option<ControlPlan> {
    let Control { bind, allow_remote, selftest, allow_profile, refusals_kept } = control?;
    let refusals_kept = findings.number("control.refusals_kept", refusals_kept, 0..=65_536);
    if let Some(path) = bind.strip_prefix("unix:") {
        let bind = ControlBind::Unix(PathBuf::from(path));
        return Some(ControlPlan {
            bind,
            is_local: true,
            selftest: selftest.unwrap_or(true),
            takes_profiles: allow_profile.unwrap_or(true),
            refusals_kept,
        });
    }
    let address = address("control.bind", &bind, findings)?;
    let is_local = address.ip().is_loopback();
    if !is_local {
        if selftest == Some(true) {
            let message = "other hosts reach this address, from which nobody may make the process work; remove the key, or choose a loopback address or unix:/path as control.bind";
            findings.problem("control.selftest", message);
        }
        if allow_profile == Some(true) {
            let message = "other hosts reach this address, from which nobody may change the profile; remove the key, or choose a loopback address or unix:/path as control.bind";
            findings.problem("control.allow_profile", message);
        }
        if allow_remote {
            findings.warning(
                "control.bind",
                "whoever reaches this address reads the metrics, the plan and why requests were refused",
            );
        } else {
            let message = "other hosts reach this address; choose a loopback address or unix:/path, or set control.allow_remote = true";
            findings.problem("control.bind", message);
        }
    }
    Some(ControlPlan {
        bind: ControlBind::Tcp(address),
        is_local,
        selftest: selftest.unwrap_or(is_local) && is_local,
        takes_profiles: allow_profile.unwrap_or(is_local) && is_local,
        refusals_kept,
    })
}
