//! `muster audit`: who did what to the hub, and whether that is still what was written.

use std::{
    fs::File,
    io::{BufRead as _, BufReader},
    path::Path,
};

use jiff::Timestamp;
use muster_wire::{
    audit::{Chain, Fault, Span, name},
    v1,
};
use serde::Serialize;

use super::{Verdict, hub};
use crate::{
    args::{AuditArguments, AuditCommand, AuditFilter, Options},
    failure::Failure,
    hub::Hub,
    model::{AuditRow, hex},
    output::{Printer, write},
    show,
    text::{Page, Text},
};

/// Entries asked for at once when all are wanted.
const PAGE: u32 = 1_000;

#[derive(Serialize)]
struct Rows<'a> {
    time: Timestamp,
    rows: &'a [AuditRow],
}

/// What `muster audit verify` found.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Verified {
    good: bool,
    /// One for each hub that has a log of its own.
    logs: Vec<VerifiedLog>,
    /// What is wrong.
    fault: Option<String>,
}

#[derive(Serialize)]
struct VerifiedLog {
    first: u64,
    last: u64,
    /// `NUMBER:HASH` of the last entry.
    checkpoint: String,
}

impl From<Span> for VerifiedLog {
    fn from(span: Span) -> Self {
        let checkpoint = format!("{}:{}", name(span.last), hex(&span.hash));
        Self { first: span.first, last: span.last, checkpoint }
    }
}

/// Runs the command.
pub(super) async fn run(
    options: &Options,
    printer: Printer,
    arguments: AuditArguments,
) -> Result<Verdict, Failure> {
    match arguments.command {
        None => {
            let request = v1::ListAuditRequest { limit: arguments.limit, ..request(arguments.filter) };
            let rows: Vec<AuditRow> =
                hub(options).await?.audit(request).await?.rows.into_iter().map(Into::into).collect();
            let time = Timestamp::now();
            printer.print(&Rows { time, rows: &rows }, |screen| show::audit(&rows, time, screen))?;
            Ok(Verdict::Well)
        }
        Some(AuditCommand::Export) => {
            let mut hub = hub(options).await?;
            whole(&mut hub, |row| {
                let line = serde_json::to_string(&AuditRow::from(row)).map_err(std::io::Error::other)?;
                write(&format!("{line}\n"))?;
                Ok(true)
            })
            .await?;
            Ok(Verdict::Well)
        }
        Some(AuditCommand::Verify { file, checkpoint }) => {
            let mut chain = Chain::new(checkpoint);
            let mut fault = None;
            let mut follow = |row: v1::AuditRow| {
                fault = chain.follow(&row).err();
                Ok(fault.is_none())
            };
            match file {
                Some(path) => export(&path, follow)?,
                None => whole(&mut hub(options).await?, &mut follow).await?,
            }
            verdict(fault.map_or_else(|| chain.end(), Err), printer)
        }
    }
}

fn verdict(checked: Result<Vec<Span>, Fault>, printer: Printer) -> Result<Verdict, Failure> {
    let verified = match checked {
        Ok(spans) => {
            Verified { good: true, logs: spans.into_iter().map(VerifiedLog::from).collect(), fault: None }
        }
        Err(fault) => Verified { good: false, logs: Vec::new(), fault: Some(fault.to_string()) },
    };
    printer.print(&verified, |_| page(&verified))?;
    Ok(Verdict::of(verified.good))
}

fn page(verified: &Verified) -> Page {
    let mut page = Page::new();
    match &verified.fault {
        Some(fault) => page.line(&Text::plain(format!("The audit log is not what was written: {fault}"))),
        None if verified.logs.is_empty() => page.line(&Text::plain("The audit log is empty.")),
        None => {}
    }
    for log in &verified.logs {
        let (first, last) = (name(log.first), name(log.last));
        page.line(&Text::plain(format!("Entries {first} to {last} are as they were written.")));
        page.line(&Text::plain(format!(
            "To prove it later, keep elsewhere: --checkpoint {}",
            log.checkpoint
        )));
    }
    page
}

fn request(filter: AuditFilter) -> v1::ListAuditRequest {
    let to_proto = |time: Timestamp| prost_types::Timestamp {
        seconds: time.as_second(),
        nanos: time.subsec_nanosecond(),
    };
    v1::ListAuditRequest {
        actor: filter.actor.unwrap_or_default(),
        action: filter.action.unwrap_or_default(),
        target: filter.target.unwrap_or_default(),
        result: filter.result.unwrap_or_default(),
        only_refused: filter.refused,
        since: filter.since.map(to_proto),
        until: filter.until.map(to_proto),
        ..v1::ListAuditRequest::default()
    }
}

/// Every entry of the hub's log, oldest first, for as long as `each` wants more.
async fn whole(
    hub: &mut Hub,
    mut each: impl FnMut(v1::AuditRow) -> Result<bool, Failure>,
) -> Result<(), Failure> {
    let mut after = 0;
    loop {
        let request = v1::ListAuditRequest {
            limit: PAGE,
            oldest_first: true,
            after,
            ..v1::ListAuditRequest::default()
        };
        let rows = hub.audit(request).await?.rows;
        let Some(last) = rows.iter().map(|row| row.number).max() else { return Ok(()) };
        for row in rows {
            if !each(row)? {
                return Ok(());
            }
        }
        if last <= after {
            return Ok(()); // a hub that gives the same again and again
        }
        after = last;
    }
}

/// Every entry of an export.
fn export(path: &Path, mut each: impl FnMut(v1::AuditRow) -> Result<bool, Failure>) -> Result<(), Failure> {
    let broken = |line: usize, problem: &str| {
        Failure::Repository(format!(
            "{}:{line}: {problem}; it should be an export of `muster audit export`",
            path.display()
        ))
    };
    let file =
        File::open(path).map_err(|error| Failure::Repository(format!("{}: {error}", path.display())))?;
    for (index, line) in BufReader::new(file).lines().enumerate() {
        let line = line?;
        if line.is_empty() {
            continue;
        }
        let row: AuditRow =
            serde_json::from_str(&line).map_err(|error| broken(index + 1, &error.to_string()))?;
        let row = row.to_wire().ok_or_else(|| broken(index + 1, "a hash is not hexadecimal"))?;
        if !each(row)? {
            return Ok(());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_export_reads_back_exactly() {
        let mut row = v1::AuditRow {
            number: 1,
            time: Some(prost_types::Timestamp { seconds: 1_800_000_000, nanos: 123_456_789 }),
            actor: "operator/admin".into(),
            count: 1,
            previous: vec![0; 32],
            ..v1::AuditRow::default()
        };
        row.hash = muster_wire::audit::hash(&row).to_vec();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        let line = serde_json::to_string(&AuditRow::from(row.clone())).unwrap();
        std::fs::write(&path, format!("{line}\n")).unwrap();
        let mut read = Vec::new();
        let mut keep = |row| {
            read.push(row);
            Ok(true)
        };
        export(&path, &mut keep).unwrap();
        assert_eq!(read, [row]);

        for wrong in ["{}", "x", &line.replace("\"hash\":\"", "\"hash\":\"z")] {
            std::fs::write(&path, wrong).unwrap();
            let failure = export(&path, |_| Ok(true)).unwrap_err();
            assert!(failure.to_string().contains("audit.jsonl:1:"), "{failure}");
        }
    }
}
