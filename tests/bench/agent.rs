//! One agent on one real API server: first apply beside kubectl and a bare loop, a resync of what has not
//! changed, drift, requests, memory and processor time, and Flux's published benchmark in its own shape.
//!
//! Each size has a cluster of its own. Every step has a deadline, and a part that fails keeps none of the others
//! from being measured.

mod first;
mod flux;
mod follower;
mod meter;
mod objects;
mod owned;
mod report;
mod server;

use std::time::Duration;

use super::Arguments;
use report::Report;
use server::Server;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// The longest any one step may take.
const LONG: Duration = Duration::from_secs(300);

/// How much is measured.
struct Scale {
    /// Apps of the smaller and the larger first apply.
    apps: [usize; 2],
    /// How long requests are counted while nothing happens.
    steady: Duration,
    drifts: usize,
    /// Apps at once in Flux's shape.
    flux: Vec<usize>,
}

impl Scale {
    fn of(arguments: &Arguments) -> Scale {
        let small = arguments.objects.div_ceil(objects::OF_AN_APP);
        if arguments.quick {
            let steady = Duration::from_secs(30);
            return Scale { apps: [small.div_ceil(5), small], steady, drifts: 20, flux: vec![100] };
        }
        Scale {
            apps: [small, 5 * small],
            steady: Duration::from_secs(180),
            drifts: arguments.drifts,
            flux: vec![100, 500, 1_000],
        }
    }
}

/// Prints the tables.
pub(crate) async fn run(arguments: &Arguments) -> Result<()> {
    let scale = Scale::of(arguments);
    let mut report = Report::default();
    let [small, large] = scale.apps;
    for apps in [small, large] {
        if let Err(error) = one_cluster(&mut report, &scale, apps, apps == large).await {
            report.failed(format!("{apps} apps of {} objects", objects::OF_AN_APP), error);
        }
    }
    report.table("Flux's benchmark: apps of 4 objects at once");
    for apps in &scale.flux {
        if let Err(error) = flux::measure(&mut report, *apps).await {
            report.failed(format!("{apps} apps in Flux's shape"), error);
        }
    }
    report.end();
    Ok(())
}

async fn one_cluster(report: &mut Report, scale: &Scale, apps: usize, is_owned: bool) -> Result<()> {
    let Some(server) = Server::start("bench").await? else { return Ok(()) };
    let mut follower = first::apply(report, &server, apps).await?;
    if is_owned {
        owned::measure(report, &server, &mut follower, scale, apps).await?;
    }
    Ok(())
}
