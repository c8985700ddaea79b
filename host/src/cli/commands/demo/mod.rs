//! `tombolo demo`: runs `share` and `pull` on this machine, and compares every row.

mod compare;
mod shop;
mod sites;

use std::time::{Duration, Instant};

use tempfile::TempDir;
use tombolo::bindings::types::Failure;
use tombolo::failure::{ErrorCode, failure};
use tombolo::private_files::create_temporary_folder;

use crate::cli::output::Output;
use crate::cli::output::event::Event;
use crate::cli::output::report;
use crate::cli::signals::Signals;
use compare::Comparison;
use sites::Sites;

/// Generates two databases, transfers one into the other, and compares them. Removes its folder and its processes.
///
/// Fails with `demo-differs` on any difference.
pub async fn run(output: &Output) -> Result<(), Failure> {
    let mut signals = Signals::take()?;
    let folder = create_temporary_folder("tombolo-demo-")?;
    let mut sites = Sites::new(folder.path())?;
    let outcome = signals
        .or_signal(demonstrate(&folder, &mut sites, output))
        .await;
    // Before the folder that they write to.
    sites.end().await;
    let closed = folder.close();
    outcome?;
    Ok(closed?)
}

async fn demonstrate(folder: &TempDir, sites: &mut Sites, output: &Output) -> Result<(), Failure> {
    let (source, target) = (
        folder.path().join(sites::SOURCE),
        folder.path().join(sites::TARGET),
    );
    output.note(&format!(
        "Two sites in {}, removed at the end.",
        folder.path().display()
    ));
    shop::generate(&source, &target).await?;
    let before = compare::files(&source, &target).await?;
    output.result(&format!(
        "{} has {}; {} lacks {} of them and has {} that differ.",
        sites::SOURCE,
        report::count(sum(&before, |table| table.rows)),
        sites::TARGET,
        report::number(sum(&before, |table| table.missing)),
        report::number(sum(&before, |table| table.different)),
    ));

    let session = sites.share(output).await?;
    let began = Instant::now();
    sites.pull(&session, output).await?;
    sites.finish_share(output).await?;
    let time = began.elapsed();

    let after = compare::files(&source, &target).await?;
    show(&after, time, output)
}

fn sum(tables: &[Comparison], of: impl Fn(&Comparison) -> u64) -> u64 {
    tables.iter().map(of).sum()
}

fn show(tables: &[Comparison], time: Duration, output: &Output) -> Result<(), Failure> {
    for table in tables {
        output.event(&Event::Compared {
            table: &table.table,
            rows: table.rows,
            equal: table.equal,
            missing: table.missing,
            different: table.different,
            surplus: table.surplus,
        });
    }
    let rows = sum(tables, |table| table.rows);
    let differences = sum(tables, Comparison::differences);
    output.event(&Event::Demo {
        rows,
        differences,
        milliseconds: u64::try_from(time.as_millis()).unwrap_or(u64::MAX),
    });
    let header = ["table", "rows", "equal", "missing", "different", "surplus"];
    let shown = report::table(
        &header,
        1,
        tables.iter().map(|table| {
            let Comparison {
                table: name,
                rows,
                equal,
                missing,
                different,
                surplus,
            } = table;
            let mut row = vec![name.clone()];
            row.extend(
                [rows, equal, missing, different, surplus].map(|&count| report::number(count)),
            );
            row
        }),
    );
    output.result(&format!(
        "\nBoth files compared, every cell of every row:\n{shown}"
    ));
    if differences > 0 || rows != shop::ROWS {
        let message = format!(
            "{differences} rows differ between the two files; the source has {rows} rows of {}",
            shop::ROWS
        );
        let hint = "report this as a bug, with the output above";
        return Err(failure(ErrorCode::DemoDiffers, message, hint));
    }
    output.result(&format!(
        "{} are equal on both sides; the transfer took {}.",
        report::count(rows),
        report::seconds(time)
    ));
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn compared(rows: u64, different: u64) -> Comparison {
        Comparison {
            table: "orders".to_owned(),
            rows,
            equal: rows - different,
            missing: 0,
            different,
            surplus: 0,
        }
    }

    #[test]
    fn any_difference_is_a_failure() {
        let output = Output::new(true);
        let show = |table| show(&[table], Duration::from_secs(1), &output);
        assert!(show(compared(shop::ROWS, 0)).is_ok());
        assert_eq!(
            show(compared(shop::ROWS, 1)).unwrap_err().code,
            "demo-differs"
        );
        assert!(
            show(compared(shop::ROWS - 1, 0)).is_err(),
            "a row is missing in both files"
        );
    }
}
