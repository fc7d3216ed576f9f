//! Any sequence of coming, going, giving up and waiting, against what must always be so.

use proptest::prelude::*;
use protocol::Shares;

use super::*;

const CALLS_MAX: usize = 3;
const CLIENT_CALLS_MAX: u32 = 2;
const CLIENT_QUEUE_CALLS_MAX: u32 = 4;
const QUEUE_CALLS_MAX: usize = 9;
const CLIENTS: u32 = 5;

#[derive(Clone, Debug)]
enum Step {
    /// A call comes.
    Come { client: u32, is_read: bool, cost: u32 },
    /// The n-th of those under way ends.
    End(usize),
    /// The n-th of those that wait gives up.
    GiveUp(usize),
    /// Time passes.
    Pass(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        5 => (0..CLIENTS, any::<bool>(), 1_u32..4)
            .prop_map(|(client, is_read, cost)| Step::Come { client, is_read, cost }),
        3 => (0_usize..8).prop_map(Step::End),
        1 => (0_usize..8).prop_map(Step::GiveUp),
        1 => (1_u64..300).prop_map(Step::Pass),
    ];
    proptest::collection::vec(step, 1..120)
}

/// The layer's state, and all that is known of it from outside.
struct World {
    state: State,
    under_way: Vec<(u32, Turn)>,
    waiting: Vec<(u32, Class, Waiting)>,
    came: usize,
    ended: usize,
}

impl World {
    fn new() -> Self {
        let config = Config {
            client_calls_max: CLIENT_CALLS_MAX,
            client_queue_calls_max: CLIENT_QUEUE_CALLS_MAX,
            queue_calls_max: QUEUE_CALLS_MAX as u32,
            ..config()
        };
        let shares = Shares { calls_max: CALLS_MAX, guaranteed: [1, 0] };
        let state = State::new(&config, &ClassBound::new("test", shares));
        Self { state, under_way: Vec::new(), waiting: Vec::new(), came: 0, ended: 0 }
    }

    fn take(&mut self, step: &Step) {
        match *step {
            Step::Come { client: number, is_read, cost } => {
                self.come(number, if is_read { Class::Read } else { Class::Work }, cost);
            }
            Step::End(at) if at < self.under_way.len() => {
                drop(self.under_way.remove(at));
                self.ended += 1;
            }
            Step::GiveUp(at) if at < self.waiting.len() => {
                drop(self.waiting.remove(at));
                self.ended += 1;
            }
            Step::End(_) | Step::GiveUp(_) | Step::Pass(_) => {}
        }
        self.hear();
    }

    fn come(&mut self, number: u32, class: Class, cost: u32) {
        self.came += 1;
        let patience = Patience {
            usual: Duration::from_millis(1_000),
            standing: Duration::from_millis(20),
            deadline: None,
        };
        let candidate = Candidate { key: client(number).key(), class, cost };
        match self.state.0.enter(candidate, patience) {
            Entered::Now(turn) => self.under_way.push((number, turn)),
            Entered::Later(ticket) => {
                let waiting = Waiting::new(&self.state.0, class, ticket);
                self.waiting.push((number, class, waiting));
            }
            Entered::Never(full) => {
                let own = self.waiting.iter().filter(|(of, ..)| *of == number).count();
                let is_of_client = own >= CLIENT_QUEUE_CALLS_MAX as usize;
                assert_eq!(full == Full::Client, is_of_client);
                assert!(is_of_client || self.waiting.len() >= QUEUE_CALLS_MAX);
                self.ended += 1;
            }
        }
    }

    /// What those who wait have heard by now.
    fn hear(&mut self) {
        let mut context = Context::from_waker(std::task::Waker::noop());
        for (number, class, mut waiting) in std::mem::take(&mut self.waiting) {
            match waiting.poll_turn(&mut context) {
                Poll::Pending => self.waiting.push((number, class, waiting)),
                Poll::Ready(Ok(turn)) => self.under_way.push((number, turn)),
                Poll::Ready(Err(_)) => self.ended += 1,
            }
        }
    }

    fn check(&self) {
        let (shared, bound) = (&self.state.0, &self.state.0.bound);
        assert_eq!(self.came, self.ended + self.under_way.len() + self.waiting.len());
        assert_eq!(bound.used(), self.under_way.len());
        assert!(bound.used() <= CALLS_MAX && self.waiting.len() <= QUEUE_CALLS_MAX);
        assert_eq!(self.state.queue().used(), self.waiting.len());
        for number in 0..CLIENTS {
            let own = self.under_way.iter().filter(|(of, _)| *of == number).count();
            let queued = self.waiting.iter().filter(|(of, ..)| *of == number).count();
            assert!(own <= CLIENT_CALLS_MAX as usize, "{own} of one client");
            assert!(queued <= CLIENT_QUEUE_CALLS_MAX as usize, "{queued} of one client wait");
        }
        // Nobody waits who could come: that would be a wake-up that was lost.
        for (number, class, _) in &self.waiting {
            if !shared.has_its_share(client(*number).key()) {
                assert!(bound.try_take(*class).is_none(), "a permit, and somebody waits for it");
            }
        }
    }
}

proptest! {
    #[test]
    fn bounds_hold_nobody_is_forgotten_and_each_ends_once(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let mut world = World::new();
            for step in &steps {
                if let Step::Pass(ms) = step {
                    tokio::time::advance(Duration::from_millis(*ms)).await;
                }
                world.take(step);
                world.check();
            }
            world.under_way.clear();
            world.hear();
            while !world.under_way.is_empty() {
                world.under_way.clear();
                world.hear();
            }
            assert!(world.waiting.is_empty(), "who waits comes when all others have gone");
            assert_eq!(world.state.0.bound.used(), 0);
        });
    }

    #[test]
    fn queues_keep_their_order_and_take_turns(
        pushes in proptest::collection::vec(0_usize..6, 1..80),
        blocked in 0_usize..6,
    ) {
        let mut queues = queues::Queues::new();
        let now = Instant::now();
        let mut model: Vec<Vec<usize>> = vec![Vec::new(); 6];
        for (number, queue) in pushes.into_iter().enumerate() {
            let is_in = queues.push(queue, queue as u64, 1, number, now).is_ok();
            prop_assert_eq!(is_in, model[queue].len() < queues::LENGTH);
            if is_in {
                model[queue].push(number);
            }
        }
        let mut rounds = vec![0_usize; 6];
        while queues.turn(|entry| entry.key != blocked as u64) {
            let entry = queues.pop().expect("its turn");
            let queue = entry.key as usize;
            prop_assert_eq!(entry.item, model[queue].remove(0), "in its order");
            rounds[queue] += 1;
            for (other, left) in model.iter().enumerate() {
                if other != blocked && !left.is_empty() {
                    prop_assert!(rounds[other] + 1 >= rounds[queue], "{:?}", rounds);
                }
            }
        }
        prop_assert_eq!(queues.count(), model[blocked].len());
        prop_assert!(model.iter().enumerate().all(|(queue, left)| queue == blocked || left.is_empty()));
    }
}
