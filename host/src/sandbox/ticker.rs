//! The epochs of the engine: while a call runs, a thread makes compiled code look at the clock.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use wasmtime::Engine;

/// How often running code looks at its deadline and lets others run.
const TICK: Duration = Duration::from_millis(5);

/// Raises the epoch of an engine every [`TICK`], as long as a call runs. Not a task of the executor: its threads are
/// the ones that running code holds.
pub(super) struct Ticker {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    activity: Mutex<Activity>,
    changed: Condvar,
}

#[derive(Default)]
struct Activity {
    /// Calls that run.
    calls: usize,
    /// The engine is not used any more.
    ended: bool,
}

impl Shared {
    fn activity(&self) -> MutexGuard<'_, Activity> {
        self.activity.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until a call runs. False: none will.
    fn wait_for_calls(&self) -> bool {
        let mut activity = self.activity();
        while activity.calls == 0 && !activity.ended {
            activity = self
                .changed
                .wait(activity)
                .unwrap_or_else(PoisonError::into_inner);
        }
        !activity.ended
    }
}

impl Ticker {
    /// Starts the thread of an engine.
    pub fn start(engine: &Engine) -> std::io::Result<Self> {
        let shared = Arc::<Shared>::default();
        let (engine, watched) = (engine.clone(), Arc::clone(&shared));
        std::thread::Builder::new()
            .name("epochs".to_owned())
            .spawn(move || {
                while watched.wait_for_calls() {
                    std::thread::sleep(TICK);
                    engine.increment_epoch();
                }
            })?;
        Ok(Self { shared })
    }

    /// The epoch rises until what is returned is dropped.
    pub fn run(&self) -> Ticking<'_> {
        self.shared.activity().calls += 1;
        self.shared.changed.notify_one();
        Ticking(&self.shared)
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.activity().ended = true;
        self.shared.changed.notify_one();
    }
}

/// A call that runs.
pub(super) struct Ticking<'a>(&'a Shared);

impl Drop for Ticking<'_> {
    fn drop(&mut self) {
        self.0.activity().calls -= 1;
    }
}
