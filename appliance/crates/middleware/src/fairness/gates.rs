//! What the layer promises, with clients that send at their rates, in simulated time.

use std::cell::Cell;
use std::rc::Rc;

use tokio::task::LocalSet;

use super::tests::{house, of};
use super::*;
use crate::concurrency::{self, Concurrency};
use crate::testing::{Inner, reply};

/// How long a call takes; ten at once are a thousand in a second.
const WORK: Duration = Duration::from_millis(10);
const CALLS_MAX: usize = 10;
const CAPACITY_PER_SEC: u32 = 1_000;

type House = Fairness<Concurrency<Inner<fn(Call) -> Working>>>;
type Working = Pin<Box<dyn Future<Output = Result<Reply, Refusal>> + Send>>;

fn working(_: Call) -> Working {
    Box::pin(async {
        tokio::time::sleep(WORK).await;
        Ok(reply(1))
    })
}

/// One client and what became of its calls.
#[derive(Debug, Default)]
struct Sender {
    number: u32,
    calls_per_sec: u32,
    sent: Cell<u32>,
    served: Cell<u32>,
}

impl Sender {
    fn new(number: u32, calls_per_sec: u32) -> Rc<Self> {
        Rc::new(Self { number, calls_per_sec, ..Self::default() })
    }

    /// Sends at its rate, whatever becomes of its calls.
    async fn send(self: Rc<Self>, house: Rc<House>, time: Duration) {
        let begun = Instant::now();
        let count = (time.as_secs_f64() * f64::from(self.calls_per_sec)) as u32;
        for number in 0..count {
            let due = Duration::from_secs(1) * number / self.calls_per_sec;
            tokio::time::sleep_until(begun + due).await;
            let (house, sender) = (Rc::clone(&house), Rc::clone(&self));
            self.sent.set(self.sent.get() + 1);
            drop(tokio::task::spawn_local(async move {
                if (&*house).call(of(sender.number)).await.is_ok() {
                    sender.served.set(sender.served.get() + 1);
                }
            }));
        }
    }

    fn success(&self) -> f64 {
        f64::from(self.served.get()) / f64::from(self.sent.get())
    }
}

/// Has all of them send for so long, and waits for the last answer.
fn run(senders: &[Rc<Sender>], time: Duration) {
    let permits = concurrency::Config {
        calls_max: CALLS_MAX.try_into().expect("not zero"),
        read_share_percent: 0,
        work_share_percent: 0,
        ..Default::default()
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    let local = LocalSet::new();
    let house = Rc::new(house(&Config::default(), &permits, working as fn(Call) -> Working));
    for sender in senders {
        drop(local.spawn_local(Rc::clone(sender).send(Rc::clone(&house), time)));
    }
    runtime.block_on(local);
    assert_eq!(house.waiting(), 0);
}

#[test]
fn one_elephant_at_ten_times_the_capacity_costs_nine_mice_nothing() {
    let fair = CAPACITY_PER_SEC / 10;
    let elephant = Sender::new(0, 10 * CAPACITY_PER_SEC);
    let mice: Vec<_> = (1..10).map(|number| Sender::new(number, fair / 2)).collect();
    run(&[&[Rc::clone(&elephant)], &mice[..]].concat(), Duration::from_secs(3));
    let (sent, served) = mice.iter().fold((0, 0), |(sent, served), mouse| {
        (sent + mouse.sent.get(), served + mouse.served.get())
    });
    assert!(f64::from(served) >= 0.999 * f64::from(sent), "{served} of {sent}");
    // What the mice leave is the elephant's: nothing idles.
    let left = 3 * (CAPACITY_PER_SEC - 9 * (fair / 2));
    assert!(f64::from(elephant.served.get()) >= 0.95 * f64::from(left), "{elephant:?}");
}

#[test]
fn ten_equal_clients_are_served_equally() {
    let clients: Vec<_> = (0..10).map(|number| Sender::new(number, 500)).collect();
    run(&clients, Duration::from_secs(3));
    let served = || clients.iter().map(|client| f64::from(client.served.get()));
    let (sum, squares) =
        (served().sum::<f64>(), served().map(|served| served * served).sum::<f64>());
    // Jain, Chiu and Hawe, 1984: 1 when all are equal, a tenth when one has everything.
    let jain = sum * sum / (10.0 * squares);
    assert!(jain >= 0.95, "{jain}: {clients:?}");
    assert!(sum >= 0.95 * f64::from(3 * CAPACITY_PER_SEC), "{sum}");
}

#[test]
fn sixteen_elephants_hardly_ever_starve_a_mouse() {
    let is_starved = |salt: u32| {
        // Other clients have other hands, as the same ones have under another salt.
        let number = salt * 17;
        let fair = CAPACITY_PER_SEC / 17;
        let mouse = Sender::new(number, fair / 2);
        let elephants = (1..=16).map(|other| Sender::new(number + other, 2 * fair));
        let all: Vec<_> = elephants.chain([Rc::clone(&mouse)]).collect();
        run(&all, Duration::from_millis(750));
        mouse.success() < 0.95
    };
    let starved = (0..100).filter(|salt| is_starved(*salt)).count();
    assert!(starved <= 5, "{starved} of 100");
}
