//! `muster promote --images`: the next overlay gets the images of the one before, as a commit.

use serde::Serialize;

use super::Verdict;
use crate::args::PromoteArguments;
use crate::failure::Failure;
use crate::output::{Printer, remark, write};
use crate::overlay::{self, Edited, Git, ImageChange, Wanted};
use crate::repository::Repository;
use crate::text::{Page, clean};

/// What was done, or would be.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Promotion<'a> {
    app: &'a str,
    from: &'a str,
    to: &'a str,
    is_dry_run: bool,
    branch: &'a str,
    /// None in a dry run, and where nothing was to be done.
    commit: Option<&'a str>,
    files: Vec<File<'a>>,
}

#[derive(Serialize)]
struct File<'a> {
    path: &'a str,
    images: &'a [ImageChange],
}

pub(super) fn run(arguments: &PromoteArguments, printer: Printer) -> Result<Verdict, Failure> {
    // clap asks for both with --images.
    let (from, to) = (arguments.from.as_deref().unwrap_or(""), arguments.to.as_deref().unwrap_or(""));
    let app = arguments.track.as_str();
    let branch = arguments.branch.clone().unwrap_or_else(|| format!("promote/{app}-to-{to}"));
    let directory = std::env::current_dir()?.join(&arguments.dir);
    let base = Git::around(&directory, "")?.branch(&branch).unwrap_or_else(|| "HEAD".to_owned());
    let repository = Repository::open(&arguments.dir, Some(&base))?;
    let wanted = Wanted { app, from, to, images: &arguments.image };
    let files = overlay::plan(&repository, &wanted)?;
    let git = Git::around(&directory, &repository.prefix)?;
    let mut done = None;
    if !files.is_empty() {
        let made = git.commit(&base, &files, &message(arguments, from, to, &files))?;
        if printer.is_for_people() {
            write(&format!("{}\n", git.diff(&made, printer.is_coloured())?))?;
        }
        if !arguments.dry_run {
            git.keep(&branch, &made)?;
            if let Some(remote) = &arguments.push {
                git.push(remote, &branch)?;
            }
            done = Some(made.id);
        }
    }
    let shown = files.iter().map(|file| File { path: &file.path, images: &file.images }).collect();
    let (is_dry_run, commit) = (arguments.dry_run, done.as_deref());
    if printer.is_for_people() {
        remark(&format!("{}\n", clean(&told(arguments, &branch, files.is_empty(), commit))));
    } else {
        let document = Promotion { app, from, to, is_dry_run, branch: &branch, commit, files: shown };
        printer.print(&document, |_| Page::new())?;
    }
    Ok(Verdict::Well)
}

/// What became of it, and what to do next.
fn told(arguments: &PromoteArguments, branch: &str, is_same: bool, commit: Option<&str>) -> String {
    let short = commit.map(crate::model::short).unwrap_or_default();
    match (commit, &arguments.push) {
        _ if is_same => "The images are the same already; nothing was changed.".to_owned(),
        (None, _) => "Nothing was changed: this was a dry run.".to_owned(),
        (Some(_), Some(remote)) => format!("{short} is on {branch}, and pushed to {remote}."),
        (Some(_), None) => format!("{short} is on {branch}. Push it with: git push origin {branch}"),
    }
}

/// The message of the commit: for people, then trailers for programs.
fn message(arguments: &PromoteArguments, from: &str, to: &str, files: &[Edited]) -> String {
    let app = &arguments.track;
    let mut text = format!("Promote images of {app} from {from} to {to}\n\n");
    if let Some(reason) = &arguments.reason {
        text.push_str(&format!("{reason}\n\n"));
    }
    let or_none = |image: &str| if image.is_empty() { "none".to_owned() } else { image.to_owned() };
    for file in files {
        for image in &file.images {
            text.push_str(&format!("- {}: {} -> {}\n", file.path, or_none(&image.from), image.to));
        }
    }
    text.push_str(&format!("\nMuster-Promote: {to}/{app} images {from}..{to}\n"));
    let mut images: Vec<&ImageChange> = files.iter().flat_map(|file| &file.images).collect();
    images.dedup();
    for image in images {
        text.push_str(&format!("Muster-Image: {} {}..{}\n", image.name, or_none(&image.from), image.to));
    }
    text
}
