//! H9: no answer shows two generations.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use load::wire;
use load::{Client, answer};
use serde_json::json;

use crate::Outcome;
use crate::reload::live::{Live, ON_REQUEST, ask, play};
use crate::stage::clients::together;
use crate::stage::rules::Rules;
use crate::stage::scenario::{Scenario, Stage};
use crate::stage::wait;

/// From one swap to the next.
const EVERY: Duration = Duration::from_millis(100);
/// Threads that ask.
const ASKERS: usize = 4;
/// One session among so many requests.
const REQUESTS_PER_SESSION: u64 = 100;

/// Answers that show their generation in several places.
pub(super) const MIXTURE: Scenario = Scenario {
    name: "mixture",
    title: "a swap every 100 ms between two profiles that each answer shows in several places",
    left: "",
    play: mixture,
};

/// A profile that shows in six places: name, title, instructions, time to keep, length of a page, cursor.
fn tables(which: usize) -> String {
    let (name, items) = [("one", 3), ("two", 7)][which];
    format!(
        "{ON_REQUEST}[server]\nname = \"{name}\"\ntitle = \"This is {name}\"\ninstructions = \"Ask {name}.\"\n\
         list_ttl_ms = {items}000\npage_items_max = {items}\n"
    )
}

/// What is asked, and what each of the two profiles answers.
struct Question {
    request: Vec<u8>,
    answers: [Vec<u8>; 2],
}

/// Counts of the askers.
#[derive(Default)]
struct Counts {
    asked: AtomicU64,
    seen: [AtomicU64; 2],
    mixed: AtomicU64,
}

impl Counts {
    fn note(&self, answers: &[Vec<u8>; 2], body: &[u8]) {
        self.asked.fetch_add(1, Relaxed);
        let which = answers.iter().position(|answer| answer == body);
        which.map_or(&self.mixed, |which| &self.seen[which]).fetch_add(1, Relaxed);
    }
}

fn mixture(stage: &mut Stage<'_>) -> Outcome {
    let wanted = stage.pick(10_000, 1_000_000);
    play(stage, &tables(0), Rules { mebibytes: 64, ..Rules::USUAL }, |live, findings| {
        let [discover, list, begin] = questions(live)?;
        let (counts, is_over) = (Counts::default(), AtomicBool::new(false));
        let swaps = std::thread::scope(|scope| {
            let swapping = scope.spawn(|| swap(live, &discover, &is_over));
            let asked = together(ASKERS, |_| {
                let mut client = live.client()?;
                for number in 0_u64.. {
                    if counts.asked.load(Relaxed) >= wanted {
                        break;
                    }
                    let question = if number % 2 == 0 { &discover } else { &list };
                    counts.note(&question.answers, &body(&mut client, &question.request)?);
                    if number % REQUESTS_PER_SESSION == 0 {
                        counts.note(&begin.answers, &session(live, &mut client, &begin.request)?);
                    }
                }
                Ok(())
            });
            is_over.store(true, Relaxed);
            let swaps = swapping.join().map_err(|_| "who swaps has panicked".to_owned())?;
            asked.and(swaps)
        })?;
        let [one, two] = counts.seen.map(AtomicU64::into_inner);
        findings.at_least("answers", counts.asked.into_inner() as f64, wanted as f64);
        findings.exactly("answers of neither profile", counts.mixed.into_inner(), 0);
        findings.at_least("answers of the one", one as f64, 1.0);
        findings.at_least("answers of the other", two as f64, 1.0);
        findings.at_least("swaps meanwhile", swaps.count as f64, 2.0);
        findings.exactly("answers of the old one after the swap", swaps.late, 0);
        Ok(())
    })
}

/// What is asked, with the answers of both profiles, which must be the same each time that one serves.
fn questions(live: &Live<'_>) -> Result<[Question; 3], String> {
    let requests = [
        live.request_of("server/discover", json!({})),
        live.request_of("tools/list", json!({})),
        wire::initialize(live.appliance.target()),
    ];
    let mut client = live.client()?;
    let mut look = |which| {
        live.reload_with(&tables(which))?;
        let [discover, list, begin] = &requests;
        let told = [body(&mut client, discover)?, body(&mut client, list)?];
        Ok::<_, String>([&told[..], &[session(live, &mut client, begin)?]].concat())
    };
    let (one, two, again) = (look(0)?, look(1)?, look(0)?);
    if one != again || one.iter().zip(&two).any(|(one, two)| one == two) {
        return Err("answers do not tell which of the two profiles serves".to_owned());
    }
    let mut answers = one.into_iter().zip(two);
    Ok(requests.map(|request| {
        let (one, two) = answers.next().unwrap_or_default();
        Question { request, answers: [one, two] }
    }))
}

fn body(client: &mut Client, request: &[u8]) -> Result<Vec<u8>, String> {
    let answer = client.exchange(request)?;
    answer::body(&answer.bytes)
}

/// Begins a session and ends it; the body of its first answer.
fn session(live: &Live<'_>, client: &mut Client, begin: &[u8]) -> Result<Vec<u8>, String> {
    let answer = client.exchange(begin)?;
    let id = answer::header(&answer.bytes, "mcp-session-id").ok_or("no session")?;
    ask(client, &wire::delete(live.appliance.target(), id))?;
    answer::body(&answer.bytes)
}

/// Swaps that were made, and answers that came from before one that had been told to be done.
#[derive(Default)]
struct Swaps {
    count: u64,
    late: u64,
}

/// Swaps until it is over; whoever was told that it is done meets it with the next request of the same connection.
fn swap(live: &Live<'_>, discover: &Question, is_over: &AtomicBool) -> Result<Swaps, String> {
    let (mut client, mut swaps) = (live.client()?, Swaps::default());
    while !is_over.load(Relaxed) {
        let which = usize::from(swaps.count % 2 == 0);
        live.applies(&tables(which))?;
        swaps.count += 1;
        let is_new = body(&mut client, &discover.request)? == discover.answers[which];
        swaps.late += u64::from(!is_new);
        wait::pass(EVERY);
    }
    Ok(swaps)
}
