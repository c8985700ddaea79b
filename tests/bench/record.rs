//! What a case has measured.

use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::Serialize;

use crate::bench::Bench;

/// One transfer by one contender. Times are in seconds, memory and sizes in bytes.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Sample {
    /// From the start of what the user starts to its end.
    pub wall: f64,
    /// Processors' time of `tombolo share`.
    pub share_cpu: Option<f64>,
    /// Processors' time of `tombolo pull`.
    pub pull_cpu: Option<f64>,
    /// Processors' time of the baseline's own programs.
    pub tools_cpu: Option<f64>,
    /// Processors' time of all of PostgreSQL's processes.
    pub postgres_cpu: Option<f64>,
    /// The most memory of `tombolo share`.
    pub share_peak: Option<u64>,
    /// The most memory of `tombolo pull`.
    pub pull_peak: Option<u64>,
    /// What the receiver's report says that it received.
    pub bytes: Option<u64>,
    /// From the start of `tombolo share` to its code.
    pub ready: Option<f64>,
}

impl Sample {
    /// All processors' time that is known.
    pub fn cpu(&self) -> f64 {
        let all = [
            self.share_cpu,
            self.pull_cpu,
            self.tools_cpu,
            self.postgres_cpu,
        ];
        all.into_iter().flatten().sum()
    }

    /// Processors' time of both processes of tombolo.
    pub fn own_cpu(&self) -> f64 {
        [self.share_cpu, self.pull_cpu].into_iter().flatten().sum()
    }
}

/// All samples of one contender.
#[derive(Clone, Debug, Serialize)]
pub struct Run {
    /// Which contender, with what.
    pub name: String,
    /// Rows that each sample moved or compared.
    pub rows: u64,
    /// In the order in which they were taken.
    pub samples: Vec<Sample>,
}

impl Run {
    /// The median of one figure; none if a sample lacks it.
    pub fn median(&self, figure: impl Fn(&Sample) -> Option<f64>) -> Option<f64> {
        let all: Option<Vec<f64>> = self.samples.iter().map(figure).collect();
        median(all?)
    }

    /// The median of the wall clock, in seconds.
    pub fn wall(&self) -> f64 {
        self.median(|sample| Some(sample.wall)).unwrap_or(f64::NAN)
    }

    /// The shortest and the longest wall clock, in seconds.
    pub fn wall_range(&self) -> (f64, f64) {
        let walls = || self.samples.iter().map(|sample| sample.wall);
        (
            walls().fold(f64::NAN, f64::min),
            walls().fold(f64::NAN, f64::max),
        )
    }

    /// The median of all processors' time, in seconds.
    pub fn cpu(&self) -> f64 {
        self.median(|sample| Some(sample.cpu())).unwrap_or(f64::NAN)
    }

    /// The median of all processors' time, in seconds a million rows.
    pub fn cpu_a_million(&self, figure: impl Fn(&Sample) -> f64) -> f64 {
        let seconds = self.median(|sample| Some(figure(sample)));
        seconds.unwrap_or(f64::NAN) * 1e6 / self.rows.max(1) as f64
    }

    /// The most memory of either process of tombolo in any sample, in MiB.
    pub fn peak(&self) -> f64 {
        let peaks = self
            .samples
            .iter()
            .map(|sample| sample.share_peak.max(sample.pull_peak));
        peaks.max().flatten().map_or(f64::NAN, mebibytes)
    }
}

/// Bytes as MiB.
pub fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / (1 << 20) as f64
}

fn median(mut numbers: Vec<f64>) -> Option<f64> {
    numbers.sort_by(f64::total_cmp);
    let upper = *numbers.get(numbers.len() / 2)?;
    let lower = *numbers.get((numbers.len() - 1) / 2)?;
    Some(f64::midpoint(lower, upper))
}

/// What a figure should be.
#[derive(Clone, Copy, Debug, Serialize)]
pub enum Target {
    /// This or more.
    AtLeast(f64),
    /// This or less.
    AtMost(f64),
    /// Nothing was promised.
    None,
}

/// What is promised of a transfer.
#[derive(Clone, Copy, Debug)]
pub struct Targets {
    /// Against the baseline's, by the wall clock.
    pub speed: Target,
    /// Processors' time of both processes of tombolo, in seconds a million rows.
    pub own_cpu: Target,
}

impl Targets {
    /// Nothing but the memory of every transfer.
    pub const NONE: Self = Self {
        speed: Target::None,
        own_cpu: Target::None,
    };
}

/// The most memory of a transfer, in MiB.
pub const PEAK: f64 = 128.0;

/// A figure and what it should be.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// What was measured.
    pub what: String,
    /// The figure.
    pub value: f64,
    /// `×`, `s`, `MiB`, …
    pub unit: &'static str,
    /// What it should be.
    pub target: Target,
}

impl Finding {
    /// Whether it is as it should be; none without a target.
    pub fn met(&self) -> Option<bool> {
        match self.target {
            Target::AtLeast(least) => Some(self.value >= least),
            Target::AtMost(most) => Some(self.value <= most),
            Target::None => None,
        }
    }
}

/// All that a case has measured.
#[derive(Debug, Serialize)]
pub struct Record {
    /// The case's name.
    pub case: &'static str,
    /// What it is about.
    pub about: &'static str,
    /// Every contender's samples.
    pub runs: Vec<Run>,
    /// Figures made of them.
    pub findings: Vec<Finding>,
    /// What a reader has to know beside.
    pub notes: Vec<String>,
    /// Why the case ended early.
    pub failure: Option<String>,
}

/// Takes one sample.
pub type Measure<'a> = Box<dyn FnMut() -> Result<Sample> + 'a>;

impl Record {
    /// Nothing yet.
    pub fn new(case: &'static str, about: &'static str) -> Self {
        Self {
            case,
            about,
            runs: Vec::new(),
            findings: Vec::new(),
            notes: Vec::new(),
            failure: None,
        }
    }

    /// Lets contenders take turns, as often as the arguments say, and keeps what they did before one failed.
    pub fn compare<const N: usize>(
        &mut self,
        bench: &Bench,
        rows: u64,
        mut contenders: [(String, Measure<'_>); N],
    ) -> Result<[Run; N]> {
        let mut runs = contenders.each_ref().map(|(name, _)| Run {
            name: name.clone(),
            rows,
            samples: Vec::new(),
        });
        let mut outcome = Ok(());
        'turns: for turn in 1..=bench.arguments.repetitions {
            for ((name, measure), run) in contenders.iter_mut().zip(&mut runs) {
                let sample = bench
                    .flush()
                    .and_then(|()| measure())
                    .with_context(|| format!("{name}, turn {turn}"));
                match sample {
                    Ok(sample) => {
                        let (wall, cpu) = (sample.wall, sample.cpu());
                        eprintln!("   {name}: {wall:.2} s, {cpu:.2} CPU s");
                        run.samples.push(sample);
                    }
                    Err(error) => {
                        outcome = Err(error);
                        break 'turns;
                    }
                }
            }
        }
        let measured = runs.iter().filter(|run| !run.samples.is_empty());
        self.runs.extend(measured.cloned());
        outcome.map(|()| runs)
    }

    /// Adds a figure.
    pub fn find(
        &mut self,
        what: impl Into<String>,
        value: f64,
        unit: &'static str,
        target: Target,
    ) {
        self.findings.push(Finding {
            what: what.into(),
            value,
            unit,
            target,
        });
    }

    /// Adds what is said of most transfers: speed by the wall clock and by all processors' time, and what `own` needs.
    pub fn find_transfer(&mut self, label: &str, own: &Run, other: &Run, targets: Targets) {
        let name = |what: &str| match label {
            "" => what.to_owned(),
            label => format!("{what}, {label}"),
        };
        let speed = other.wall() / own.wall();
        self.find(name("speed"), speed, "×", targets.speed);
        let by_cpu = other.cpu_a_million(Sample::cpu) / own.cpu_a_million(Sample::cpu);
        self.find(name("speed by CPU time"), by_cpu, "×", Target::None);
        let cpu = own.cpu_a_million(Sample::own_cpu);
        self.find(name("own CPU"), cpu, "s / M rows", targets.own_cpu);
        self.find(name("peak memory"), own.peak(), "MiB", Target::AtMost(PEAK));
    }

    /// Adds a remark.
    pub fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }
}

/// A time in seconds.
pub fn seconds(time: Duration) -> f64 {
    time.as_secs_f64()
}
