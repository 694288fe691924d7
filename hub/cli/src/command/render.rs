//! `muster render`: what would an agent apply?

use crate::{
    args::{Output, RenderArguments},
    command::Verdict,
    failure::Failure,
    output::{Printer, json, remark, write},
    render::{self, Problem, Selection},
    repository::Repository,
    text::clean,
};

/// So many problems are written out; the rest is counted.
const PROBLEMS_SHOWN_MAX: usize = 50;

/// Renders, and prints either everything that was asked for or what keeps it from being rendered.
pub(super) fn run(
    arguments: &RenderArguments,
    output: Option<Output>,
    printer: Printer,
) -> Result<Verdict, Failure> {
    let repository = Repository::open(&arguments.repository.path, arguments.repository.revision.as_deref())?;
    let selection = Selection { cluster: arguments.cluster.clone(), app: arguments.app.clone() };
    let outcome = render::run(&repository, &selection)?;
    if !outcome.problems.is_empty() {
        for problem in outcome.problems.iter().take(PROBLEMS_SHOWN_MAX) {
            remark(&format!("error: {}\n", clean(&told(problem))));
        }
        let more = outcome.problems.len().saturating_sub(PROBLEMS_SHOWN_MAX);
        if more > 0 {
            remark(&format!("and {more} more errors\n"));
        }
        remark("\nNothing is printed while something cannot be rendered; --cluster and --app choose less.\n");
        return Ok(Verdict::NotWell);
    }
    for (app, repository) in &outcome.elsewhere {
        remark(&format!(
            "app {} is left out, its manifests are in {}: clone that, and render its directory there\n",
            clean(app),
            clean(repository)
        ));
    }
    match output.unwrap_or(Output::Yaml) {
        Output::Yaml => write(&render::yaml(&outcome.apps, arguments.show_secrets))?,
        Output::Json => json(&render::list(&outcome.apps, arguments.show_secrets))?,
        Output::Name => write(&render::names(&outcome.apps))?,
        Output::Table | Output::Wide => printer.page(|screen| render::table(&outcome.apps, screen))?,
        format @ (Output::Sarif | Output::JsonPath(_)) => return Err(Failure::Format(format)),
    }
    Ok(Verdict::Well)
}

fn told(problem: &Problem) -> String {
    let app = problem.app.as_ref().map(|app| format!("app {app}"));
    let clusters: Vec<String> = problem.clusters.iter().cloned().collect();
    let plural = if clusters.len() == 1 { "" } else { "s" };
    let clusters =
        (!clusters.is_empty()).then(|| format!("cluster{plural} {}", crate::show::names(&clusters, 3)));
    let who: Vec<String> = app.into_iter().chain(clusters).collect();
    match who.as_slice() {
        [] => problem.error.to_string(),
        who => format!("{} ({})", problem.error, who.join(", ")),
    }
}
