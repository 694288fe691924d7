//! What was found: each problem once, with all the clusters that have it.

use std::collections::{BTreeMap, BTreeSet};

use super::rule::{Rule, Severity};

/// Where something is. Lines and columns count from 1; 0 means that no single one is meant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct At {
    /// From the root of the fleet; may be a directory.
    pub(crate) file: String,
    /// Line.
    pub(crate) line: usize,
    /// Column.
    pub(crate) column: usize,
}

/// A rule that is broken somewhere.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Mistake {
    /// Where.
    pub(crate) at: At,
    /// Which rule.
    pub(crate) rule: Rule,
    /// What is wrong and what to do, without any value of a Secret.
    pub(crate) message: String,
}

/// A mistake, how bad it is, and which apps and clusters have it; none when it is one of the repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    /// What is wrong.
    pub(crate) mistake: Mistake,
    /// How bad that is.
    pub(crate) severity: Severity,
    /// Names of apps.
    pub(crate) apps: BTreeSet<String>,
    /// Names of clusters.
    pub(crate) clusters: BTreeSet<String>,
}

/// Mistakes as they are found, each once.
#[derive(Debug, Default)]
pub(crate) struct Found {
    mistakes: BTreeMap<Mistake, (BTreeSet<String>, BTreeSet<String>)>,
}

impl Found {
    /// A mistake of the repository.
    pub(crate) fn add(&mut self, mistake: Mistake) {
        self.mistakes.entry(mistake).or_default();
    }

    /// A mistake that an app has in some clusters.
    pub(crate) fn add_for<'n>(
        &mut self,
        mistake: &Mistake,
        app: &str,
        clusters: impl IntoIterator<Item = &'n str>,
    ) {
        let (apps, in_clusters) = self.mistakes.entry(mistake.clone()).or_default();
        if !app.is_empty() {
            apps.insert(app.to_owned());
        }
        in_clusters.extend(clusters.into_iter().filter(|name| !name.is_empty()).map(str::to_owned));
    }

    /// All of them, in the order of files and lines.
    pub(crate) fn into_findings(self, severity: impl Fn(Rule) -> Severity) -> Vec<Finding> {
        let all = self.mistakes.into_iter();
        all.map(|(mistake, (apps, clusters))| {
            let severity = severity(mistake.rule);
            Finding { mistake, severity, apps, clusters }
        })
        .collect()
    }
}
