//! What processes cost, as Linux counts it in /proc.

use std::fs;
use std::process::{Child, Command, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// Linux counts processors' time in hundredths of a second, whatever its own clock does.
const TICK: Duration = Duration::from_millis(10);

/// How exactly the end of a process is seen.
const LOOK: Duration = Duration::from_millis(5);

/// Every how many looks a process's memory is read, which costs more.
const MEMORY_EVERY: u32 = 4;

/// A run that takes longer hangs.
const LIMIT: Duration = Duration::from_secs(3_600);

/// A process's line in /proc.
struct Stat {
    parent: u32,
    own: Duration,
    reaped: Duration,
}

fn stat(process: &str) -> Result<Stat> {
    let path = format!("/proc/{process}/stat");
    let line = fs::read_to_string(&path).with_context(|| path.clone())?;
    // The second field, a name in brackets, may hold blanks and brackets.
    let (_, rest) = line.rsplit_once(')').with_context(|| path.clone())?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let number = |field: usize| -> Result<u32> {
        let text = fields.get(field - 3).with_context(|| path.clone())?;
        Ok(text.parse::<i64>()?.try_into().unwrap_or_default())
    };
    Ok(Stat {
        parent: number(4)?,
        own: TICK * (number(14)? + number(15)?),
        reaped: TICK * (number(16)? + number(17)?),
    })
}

/// The processors' time of all children that have ended and were waited for, theirs included.
pub fn reaped_children() -> Result<Duration> {
    Ok(stat("self")?.reaped)
}

/// The processors' time of a process and all its children so far, ended or not.
pub fn family(parent: u32) -> Result<Duration> {
    let first = stat(&parent.to_string())?;
    let mut total = first.own + first.reaped;
    for entry in fs::read_dir("/proc")?.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if !name.starts_with(|first: char| first.is_ascii_digit()) {
            continue;
        }
        // A process may end between the list and the look at it; then its parent has its time next time.
        if let Ok(child) = stat(&name)
            && child.parent == parent
        {
            total += child.own + child.reaped;
        }
    }
    Ok(total)
}

/// The most memory that a living process ever held, in bytes.
fn peak(process: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kibibytes * 1024)
}

/// A child whose memory is looked at as long as it lives; killed when dropped.
pub struct Watched {
    child: Child,
    name: String,
    started: Instant,
    looks: u32,
    /// The most memory that was seen, in bytes.
    pub peak: u64,
    /// From its start to its end.
    pub wall: Option<Duration>,
    /// The processors' time of it and its children, once it has ended.
    pub cpu: Duration,
    status: Option<ExitStatus>,
}

impl Watched {
    /// Starts it.
    pub fn start(command: &mut Command) -> Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        let started = Instant::now();
        let child = command
            .spawn()
            .with_context(|| format!("{name} cannot be started"))?;
        Ok(Self {
            child,
            name,
            started,
            looks: 0,
            peak: 0,
            wall: None,
            cpu: Duration::ZERO,
            status: None,
        })
    }

    /// The child itself, for its pipes.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// How long it has been running.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Notes its memory, and its end if it has ended.
    pub fn look(&mut self) -> Result<Option<ExitStatus>> {
        if self.status.is_some() {
            return Ok(self.status);
        }
        self.looks += 1;
        if self.looks.is_multiple_of(MEMORY_EVERY)
            && let Some(peak) = peak(self.child.id())
        {
            self.peak = self.peak.max(peak);
        }
        let before = reaped_children()?;
        if let Some(status) = self.child.try_wait()? {
            self.wall = Some(self.started.elapsed());
            self.cpu = reaped_children()?.saturating_sub(before);
            self.status = Some(status);
        } else if self.started.elapsed() > LIMIT {
            bail!("{} has not ended after {LIMIT:?}", self.name);
        }
        Ok(self.status)
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if self.status.is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Looks at all of these until `until` says that it is enough.
pub fn watch(
    all: &mut [&mut Watched],
    mut until: impl FnMut(&[&mut Watched]) -> Result<bool>,
) -> Result<()> {
    loop {
        for one in all.iter_mut() {
            one.look()?;
        }
        if until(all)? {
            return Ok(());
        }
        thread::sleep(LOOK);
    }
}

/// Looks at all of these until all have ended.
pub fn watch_to_the_end(all: &mut [&mut Watched]) -> Result<()> {
    watch(all, |all| Ok(all.iter().all(|one| one.status.is_some())))
}

/// Runs a command to a good end and returns its standard output.
pub fn output(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command
        .output()
        .with_context(|| format!("{name} cannot be started"))?;
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        bail!("{name} failed: {}", errors.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
