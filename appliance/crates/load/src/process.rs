//! What a process of this machine holds and has used, as `/proc` says.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Resident memory in bytes. Exact, unlike `VmRSS`, which the kernel counts in batches of each thread.
///
/// # Errors
/// The file that could not be read.
pub fn resident_bytes(pid: u32) -> Result<u64, String> {
    let value = field(pid, "smaps_rollup", "Rss")?;
    let kilobytes = value.strip_suffix("kB").and_then(|value| value.trim().parse().ok());
    kilobytes
        .map(|kilobytes: u64| kilobytes * 1024)
        .ok_or_else(|| format!("/proc/{pid}/smaps_rollup: no Rss"))
}

/// What a file of the process says behind `name:`.
fn field(pid: u32, file: &str, name: &str) -> Result<String, String> {
    let path = format!("/proc/{pid}/{file}");
    let text = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    value.map(|value| value.trim().to_owned()).ok_or_else(|| format!("{path}: no {name}"))
}

/// Open descriptors.
///
/// # Errors
/// The folder that could not be read.
pub fn descriptors(pid: u32) -> Result<u64, String> {
    let path = format!("/proc/{pid}/fd");
    let folder = fs::read_dir(&path).map_err(|error| format!("{path}: {error}"))?;
    Ok(folder.count() as u64)
}

/// The processors that its first thread may run on, as the kernel lists them: `0-2,5`.
///
/// # Errors
/// The file that could not be read.
pub fn processors(pid: u32) -> Result<String, String> {
    field(pid, "status", "Cpus_allowed_list")
}

/// Threads.
///
/// # Errors
/// The folder that could not be read.
pub fn threads(pid: u32) -> Result<u64, String> {
    let path = format!("/proc/{pid}/task");
    let folder = fs::read_dir(&path).map_err(|error| format!("{path}: {error}"))?;
    Ok(folder.count() as u64)
}

/// Processor time of this process, in user and kernel.
///
/// # Errors
/// As [`processor_time`].
pub fn own_processor_time() -> Result<Duration, String> {
    processor_time(std::process::id())
}

/// Processor time, in user and kernel.
///
/// # Errors
/// The file that could not be read.
pub fn processor_time(pid: u32) -> Result<Duration, String> {
    let path = format!("/proc/{pid}/stat");
    let text = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    let ticks = ticks(&text).ok_or_else(|| format!("{path}: no times in it"))?;
    let seconds = ticks as f64 / rustix::param::clock_ticks_per_second() as f64;
    Ok(Duration::from_secs_f64(seconds))
}

/// User and kernel time in clock ticks: fields 14 and 15 of `/proc/PID/stat`, counted from 1. The second field is the
/// program's name and may hold anything, so counting begins after it.
fn ticks(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ').skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let kernel: u64 = fields.next()?.parse().ok()?;
    Some(user + kernel)
}

/// The process of this machine that listens at `address`; `None` when there is none that this process may look into.
#[must_use]
pub fn listening_at(address: SocketAddr) -> Option<u32> {
    let sockets: Vec<_> = ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .filter_map(|path| fs::read_to_string(path).ok())
        .flat_map(|table| listeners(&table, address))
        .map(|inode| PathBuf::from(format!("socket:[{inode}]")))
        .collect();
    let holds = |pid: u32| {
        let open = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        open.filter_map(|entry| fs::read_link(entry.path()).ok()).any(|to| sockets.contains(&to))
    };
    let processes = fs::read_dir("/proc").ok()?.flatten();
    let mut pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.find(|pid| !sockets.is_empty() && holds(*pid))
}

/// The inodes of the sockets in a table of the kernel that listen at `address`, or at its port of every address.
fn listeners(table: &str, address: SocketAddr) -> Vec<String> {
    let port = format!("{:04X}", address.port());
    let own = match address.ip() {
        // As the kernel has it: the four bytes as one number of this machine.
        IpAddr::V4(ip) => format!("{:08X}", u32::from_ne_bytes(ip.octets())),
        IpAddr::V6(ip) => {
            let words = ip.octets();
            let words = words.chunks_exact(4).filter_map(|word| word.try_into().ok());
            words.map(|word| format!("{:08X}", u32::from_ne_bytes(word))).collect()
        }
    };
    let inode = |line: &str| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let (place, state, inode) = (fields.get(1)?, fields.get(3)?, fields.get(9)?);
        let (ip, found) = place.split_once(':')?;
        let is_there = ip == own || ip.bytes().all(|digit| digit == b'0');
        (found == port && is_there && *state == LISTEN).then(|| (*inode).to_owned())
    };
    table.lines().filter_map(inode).collect()
}

/// The state of a listening socket in the kernel's tables.
const LISTEN: &str = "0A";

/// Allows this process, and what it starts, as many descriptors as the system lets it have; how many.
///
/// # Errors
/// Why the system did not.
pub fn raise_descriptors() -> Result<u64, String> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    setrlimit(Resource::Nofile, raised)
        .map_err(|error| format!("cannot raise the limit of descriptors: {error}"))?;
    Ok(limit.maximum.unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_times_behind_any_program_name() {
        let stat = "7 (a) b (c)) S 1 2 3 4 5 6 7 8 9 10 120 34 0 0 20 0 1";
        assert_eq!(ticks(stat), Some(154));
        assert_eq!(ticks("7 (a"), None);
    }

    #[test]
    fn finds_who_listens_and_nobody_who_does_not() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        assert_eq!(listening_at(listener.local_addr().unwrap()), Some(std::process::id()));
        assert_eq!(listening_at(([127, 9, 9, 9], 1).into()), None);
    }

    #[test]
    fn listener_of_every_address_counts_and_connections_do_not() {
        let line = |place: &str, state: &str, inode: u32| {
            format!("0: {place} 00000000:0000 {state} 0:0 00:0 0 0 0 {inode} 1\n")
        };
        let table = line("00000000:1F90", "0A", 1)
            + &line("00000000:1F90", "01", 2)
            + &line("00000000:1F91", "0A", 3)
            + &line("0500007F:1F90", "0A", 4);
        assert_eq!(listeners(&table, ([127, 0, 0, 1], 8080).into()), ["1"]);
    }

    #[test]
    fn reads_its_own_cost() {
        let pid = std::process::id();
        assert!(resident_bytes(pid).unwrap() > 100_000);
        assert!(descriptors(pid).unwrap() >= 3);
        assert!(threads(pid).unwrap() >= 1);
        assert!(own_processor_time().is_ok());
    }
}
