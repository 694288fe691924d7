//! Which rules are there? One table; docs/lint.md explains each under its id.

use std::fmt;

/// How bad it is to break a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Severity {
    /// It does not work, or gives away a secret.
    Error,
    /// It works, and may surprise.
    Warning,
}

impl Severity {
    /// The word for it in all output.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
        }
    }
}

/// A rule. The names of the variants are the ids in another spelling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rule {
    InvalidDocument,
    DuplicateName,
    DependsOn,
    Render,
    DuplicateObject,
    PlainSecret,
    MissingNamespace,
    UnknownKind,
    UnknownField,
    WrongType,
    MissingField,
    ImageTag,
    AppWithoutCluster,
    ClusterWithoutWave,
    Tenant,
    MovingSource,
}

/// What there is to say of a rule.
pub(crate) struct About {
    /// The rule.
    pub(crate) rule: Rule,
    /// Its stable name.
    pub(crate) id: &'static str,
    /// How bad breaking it is, unless the command line says otherwise.
    pub(crate) severity: Severity,
    /// What it asks for, in one sentence.
    pub(crate) summary: &'static str,
}

/// All rules, in the order of the documentation.
pub(crate) const RULES: [About; 16] = [
    about(
        Rule::InvalidDocument,
        "invalid-document",
        "A Fleet, Cluster, App or WavePin document can be read.",
    ),
    about(Rule::DuplicateName, "duplicate-name", "A name is given to one document of a kind only."),
    about(
        Rule::DependsOn,
        "depends-on",
        "An app depends on apps that exist, and not on itself by way of others.",
    ),
    about(Rule::Render, "render", "Every app can be rendered for every cluster that it selects."),
    about(Rule::DuplicateObject, "duplicate-object", "An object belongs to one app of a cluster only."),
    about(Rule::PlainSecret, "plain-secret", "No Secret has its values in Git in plain text."),
    warning(
        Rule::MissingNamespace,
        "missing-namespace",
        "A namespace that objects go into comes from Git, or from the app.",
    ),
    about(Rule::UnknownKind, "unknown-kind", "The cluster has the apiVersion and kind of every object."),
    about(Rule::UnknownField, "unknown-field", "The kind has every field of an object."),
    about(Rule::WrongType, "wrong-type", "Every field has a value of the type the kind wants."),
    about(Rule::MissingField, "missing-field", "No field is missing that the kind requires."),
    warning(Rule::ImageTag, "image-tag", "An image has a tag other than `latest`, or a digest."),
    warning(Rule::AppWithoutCluster, "app-without-cluster", "An app selects at least one cluster."),
    about(
        Rule::ClusterWithoutWave,
        "cluster-without-wave",
        "A wave selects every cluster, where there are waves.",
    ),
    about(Rule::Tenant, "tenant", "An app has only what its tenant may have, by the Fleet document."),
    about(
        Rule::MovingSource,
        "moving-source",
        "Where there are waves, an app names the commit of another repository.",
    ),
];

const fn about(rule: Rule, id: &'static str, summary: &'static str) -> About {
    About { rule, id, severity: Severity::Error, summary }
}

const fn warning(rule: Rule, id: &'static str, summary: &'static str) -> About {
    About { rule, id, severity: Severity::Warning, summary }
}

impl Rule {
    /// Its line in the table.
    pub(crate) fn about(self) -> &'static About {
        RULES.iter().find(|about| about.rule == self).expect("a test finds every rule in the table")
    }

    /// The rule of that id.
    pub(crate) fn of(id: &str) -> Option<Rule> {
        RULES.iter().find(|about| about.id == id).map(|about| about.rule)
    }
}

/// Shown as its id.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.about().id)
    }
}

/// Reads an id from the command line.
pub(crate) fn parse(id: &str) -> Result<Rule, String> {
    Rule::of(id).ok_or_else(|| {
        let ids: Vec<_> = RULES.iter().map(|about| about.id).collect();
        format!("there is no such rule; the rules are {}", ids.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_is_in_the_table_once_and_in_order() {
        for (position, about) in RULES.iter().enumerate() {
            assert_eq!(about.rule as usize, position, "{}", about.id);
            assert_eq!(Rule::of(about.id), Some(about.rule));
            assert_eq!(about.rule.to_string(), about.id);
        }
        assert_eq!(RULES.len(), Rule::MovingSource as usize + 1);
        assert!(parse("image-tags").unwrap_err().contains("image-tag,"));
    }

    #[test]
    fn every_rule_is_documented() {
        let page = include_str!("../../../../docs/lint.md");
        for about in &RULES {
            assert!(
                page.contains(&format!("\n### {}\n", about.id)),
                "docs/lint.md does not explain {}",
                about.id
            );
        }
    }
}
