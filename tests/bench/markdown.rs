//! Figures as people read them.

use crate::machine::Machine;
use crate::record::{Finding, Record, Run, Sample, Target, mebibytes};

/// One case's figures and runs.
pub fn case(record: &Record) -> String {
    let mut text = format!("\n### {}: {}\n\n", record.case, record.about);
    if !record.findings.is_empty() {
        text.push_str(FINDINGS);
        for finding in &record.findings {
            text.push_str(&finding_line("", finding));
        }
        text.push('\n');
    }
    if !record.runs.is_empty() {
        text.push_str(
            "| run | rows | wall s (least to most) | rows/s | CPU s share | pull | tools | PostgreSQL | CPU s / M rows | peak MiB share | pull | bytes/row |\n\
             | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n",
        );
        for run in &record.runs {
            text.push_str(&run_line(run));
        }
        text.push('\n');
    }
    for note in &record.notes {
        text.push_str(&format!("{note}\n\n"));
    }
    if let Some(failure) = &record.failure {
        text.push_str(&format!("**Failed**: {failure}\n\n"));
    }
    text
}

const FINDINGS: &str = "| measured | figure | target | met |\n| --- | ---: | ---: | --- |\n";

/// All cases: the machine, every figure beside its target, and then the cases one by one.
pub fn all(machine: &Machine, records: &[Record]) -> String {
    let mut text = format!("\n{}\n## Figures\n\n{FINDINGS}", about(machine));
    for record in records {
        for finding in &record.findings {
            text.push_str(&finding_line(&format!("{}: ", record.case), finding));
        }
        if record.failure.is_some() {
            text.push_str(&format!("| {} | failed | | |\n", record.case));
        }
    }
    text.push_str("\n## Runs\n");
    for record in records {
        text.push_str(&case(record));
    }
    text
}

fn about(machine: &Machine) -> String {
    let Machine {
        date,
        processor,
        cores,
        memory,
        kernel,
        load,
        tombolo,
        postgres,
        postgres_settings,
        sqlite,
        rows,
        repetitions,
    } = machine;
    format!(
        "{date}: {tombolo}; {processor}, {cores} cores, {memory}, Linux {kernel}, load {load}; PostgreSQL {postgres} \
         (`{postgres_settings}`), SQLite {sqlite}. {rows} rows, median of {repetitions}.\n"
    )
}

fn finding_line(prefix: &str, finding: &Finding) -> String {
    let target = match finding.target {
        Target::AtLeast(least) => format!("≥ {least}"),
        Target::AtMost(most) => format!("≤ {most}"),
        Target::None => String::new(),
    };
    let met = match finding.met() {
        Some(true) => "yes",
        Some(false) => "**no**",
        None => "",
    };
    let (what, unit) = (&finding.what, finding.unit);
    format!(
        "| {prefix}{what} | {} {unit} | {target} | {met} |\n",
        number(finding.value)
    )
}

fn run_line(run: &Run) -> String {
    let median =
        |figure: &dyn Fn(&Sample) -> Option<f64>| run.median(figure).map_or(String::new(), number);
    let most = |figure: &dyn Fn(&Sample) -> Option<u64>| {
        let most = run.samples.iter().filter_map(figure).max();
        most.map_or(String::new(), |bytes| number(mebibytes(bytes)))
    };
    let rows = run.rows.max(1) as f64;
    let (least, longest) = run.wall_range();
    let cells = [
        run.name.clone(),
        run.rows.to_string(),
        format!(
            "{} ({} to {})",
            number(run.wall()),
            number(least),
            number(longest)
        ),
        format!("{:.0}", rows / run.wall()),
        median(&|sample| sample.share_cpu),
        median(&|sample| sample.pull_cpu),
        median(&|sample| sample.tools_cpu),
        median(&|sample| sample.postgres_cpu),
        number(run.cpu_a_million(Sample::cpu)),
        most(&|sample| sample.share_peak),
        most(&|sample| sample.pull_peak),
        median(&|sample| sample.bytes.map(|bytes| bytes as f64 / rows)),
    ];
    format!("| {} |\n", cells.join(" | "))
}

/// Three digits that matter.
fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if size < 0.01 => format!("{value:.5}"),
        size if size < 10.0 => format!("{value:.2}"),
        size if size < 100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}
