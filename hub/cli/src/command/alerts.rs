//! `muster alerts` and `muster silence`.

use jiff::{SignedDuration, Timestamp};
use muster_wire::v1;
use serde::Serialize;

use super::Verdict;
use crate::{
    alerts::{Alert, Silence},
    args::{SilenceArguments, SilenceCommand},
    failure::Failure,
    hub::Hub,
    output::{Printer, remark},
    show,
    text::{clean, count},
};

#[derive(Serialize)]
struct Alerts<'a> {
    time: Timestamp,
    alerts: &'a [Alert],
    receivers: &'a [String],
}

#[derive(Serialize)]
struct Silences<'a> {
    time: Timestamp,
    silences: &'a [Silence],
}

/// Shows what is wrong.
pub(super) async fn list(hub: &mut Hub, printer: Printer, firing: bool) -> Result<Verdict, Failure> {
    let (alerts, receivers) = hub.alerts(firing).await?;
    let time = Timestamp::now();
    let document = Alerts { time, alerts: &alerts, receivers: &receivers };
    printer.print(&document, |screen| show::alerts(&alerts, time, screen))?;
    if printer.is_for_people() && receivers.is_empty() {
        remark("Nobody is told of alerts: the hub has no receivers.\n");
    }
    Ok(Verdict::of(!alerts.iter().any(Alert::is_firing)))
}

/// Sends a test message.
pub(super) async fn test(hub: &mut Hub, receiver: &str) -> Result<Verdict, Failure> {
    hub.test_receiver(receiver).await?;
    remark(&format!("{} took the test message.\n", clean(receiver)));
    Ok(Verdict::Well)
}

/// Begins, ends or shows silences.
pub(super) async fn silence(
    hub: &mut Hub,
    printer: Printer,
    command: SilenceCommand,
) -> Result<Verdict, Failure> {
    let time = Timestamp::now();
    match command {
        SilenceCommand::Add(arguments) => {
            let (silence, silenced) = hub.create_silence(asked(arguments, time)?).await?;
            let what = count(silenced, "alert");
            let id = silence.id.clone();
            if printer.is_for_people() {
                remark(&format!("It keeps {what} quiet now. To end it: muster silence end {id}\n"));
            }
            let all = [silence];
            printer.print(&Silences { time, silences: &all }, |screen| show::silences(&all, time, screen))?;
        }
        SilenceCommand::List => {
            let all = hub.silences().await?;
            printer.print(&Silences { time, silences: &all }, |screen| show::silences(&all, time, screen))?;
        }
        SilenceCommand::End { id } => {
            hub.end_silence(&id).await?;
            remark(&format!("Silence {} is ended\n", clean(&id)));
        }
    }
    Ok(Verdict::Well)
}

fn asked(arguments: SilenceArguments, now: Timestamp) -> Result<v1::Silence, Failure> {
    let too_long = || Failure::Rejected { message: "--for is too long".to_owned() };
    let lasts = SignedDuration::try_from(arguments.lasts).map_err(|_| too_long())?;
    let ends_at = now.checked_add(lasts).map_err(|_| too_long())?;
    Ok(v1::Silence {
        kind: arguments.kind.unwrap_or_default(),
        cluster: arguments.cluster.unwrap_or_default(),
        app: arguments.app.unwrap_or_default(),
        wave: arguments.wave.unwrap_or_default(),
        reason: arguments.reason,
        ends_at: Some(prost_types::Timestamp {
            seconds: ends_at.as_second(),
            nanos: ends_at.subsec_nanosecond(),
        }),
        ..v1::Silence::default()
    })
}
