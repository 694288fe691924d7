//! What is wrong with the documents of a fleet, each by itself and together?

use muster_spec::{Catalog, Kind, Located, SpecError};

use crate::lint::finding::{At, Found, Mistake};
use crate::lint::rule::Rule;
use crate::repository::of_document;

/// Looks at all documents.
pub(in crate::lint) fn check(catalog: &Catalog, found: &mut Found) {
    for error in &catalog.errors {
        let placed = of_document(error);
        let at = At { file: placed.file, line: placed.line, column: placed.column };
        found.add(Mistake { at, rule: rule_of(error), message: placed.message });
    }
    check_apps(catalog, found);
    check_waves(catalog, found);
    check_sources(catalog, found);
}

fn rule_of(error: &SpecError) -> Rule {
    // The catalog says both in words only; a test holds them.
    let is_twice = error.message.contains(" is also at ") || error.message.contains("there is another Fleet");
    match error.field.as_str() {
        field if field.starts_with("spec.dependsOn[") => Rule::DependsOn,
        "metadata.name" | "kind" if is_twice => Rule::DuplicateName,
        _ => Rule::InvalidDocument,
    }
}

fn check_apps(catalog: &Catalog, found: &mut Found) {
    // A cluster whose document cannot be read may be the one.
    if catalog.has_broken(Kind::Cluster) {
        return;
    }
    for app in catalog.apps.values() {
        let selector = &app.value.spec.clusters;
        if catalog.clusters.values().any(|cluster| selector.selects(&cluster.value)) {
            continue;
        }
        let name = app.value.name();
        let message = match catalog.clusters.len() {
            0 => format!("the app `{name}` selects no cluster: there is no Cluster document"),
            many => format!(
                "the app `{name}` selects none of the {many} clusters; check spec.clusters against their labels"
            ),
        };
        found.add(Mistake { at: at(app), rule: Rule::AppWithoutCluster, message });
    }
}

fn check_waves(catalog: &Catalog, found: &mut Found) {
    let Some(fleet) = catalog.fleet.as_ref().filter(|fleet| !fleet.value.spec.waves.is_empty()) else {
        return;
    };
    for cluster in catalog.clusters.values() {
        if fleet.value.wave_of(&cluster.value).is_none() {
            let message = format!(
                "no wave of {} selects the cluster `{}`, so nothing is rolled out to it; add its labels to a wave",
                fleet.place(),
                cluster.value.name()
            );
            found.add(Mistake { at: at(cluster), rule: Rule::ClusterWithoutWave, message });
        }
    }
}

fn check_sources(catalog: &Catalog, found: &mut Found) {
    if catalog.fleet.as_ref().is_none_or(|fleet| fleet.value.spec.waves.is_empty()) {
        return;
    }
    for app in catalog.apps.values() {
        let source = &app.value.spec.source;
        let is_commit = |reference: &muster_spec::GitReference| {
            reference.as_str().parse::<muster_spec::Revision>().is_ok()
        };
        if source.repo.is_some() && !source.reference.as_ref().is_some_and(is_commit) {
            let name = app.value.name();
            let message = format!(
                "the app `{name}` follows another repository past the waves; name a commit in spec.source.ref"
            );
            found.add(Mistake { at: at(app), rule: Rule::MovingSource, message });
        }
    }
}

fn at<T>(document: &Located<T>) -> At {
    At { file: document.file.clone(), line: document.line, column: document.column }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lint::rule::Severity;

    fn rules(files: &[(&str, &str)]) -> Vec<(Rule, String)> {
        let text = |kind: &str, rest: &str| format!("apiVersion: muster.dev/v1alpha1\nkind: {kind}\n{rest}");
        let files: Vec<_> = files
            .iter()
            .enumerate()
            .map(|(number, (kind, rest))| (format!("{number}.yaml"), text(kind, rest)))
            .collect();
        let catalog = Catalog::load(files.iter().map(|(path, text)| (path.as_str(), text.as_bytes())));
        let mut found = Found::default();
        check(&catalog, &mut found);
        let findings = found.into_findings(|_| Severity::Error);
        findings.into_iter().map(|finding| (finding.mistake.rule, finding.mistake.at.file)).collect()
    }

    const APP: &str = "metadata: {name: web}\nspec: {clusters: {}, source: {path: web}}\n";

    #[test]
    fn mistakes_of_documents_have_their_rules() {
        let cluster = "metadata: {name: dev, labels: {env: dev}}\n";
        let waiting = "metadata: {name: a}\nspec: {clusters: {}, source: {path: a}, dependsOn: [b]}\n";
        let prod = "metadata: {name: a}\nspec: {clusters: {matchLabels: {env: prod}}, source: {path: a}}\n";
        let waves = "metadata: {name: f}\nspec: {waves: [{name: p, clusters: {matchLabels: {env: prod}}}]}\n";
        let moving =
            "metadata: {name: a}\nspec: {clusters: {}, source: {path: a, repo: 'https://x/y', ref: main}}\n";
        let fixed = moving.replace("main", &"a".repeat(40));
        for (files, expected) in [
            (vec![("Cluster", cluster), ("App", APP)], vec![]),
            (
                vec![("Cluster", cluster), ("App", "metadata: {name: a}\nspec: {}\n")],
                vec![(Rule::InvalidDocument, 1)],
            ),
            (
                vec![("Cluster", cluster), ("App", APP), ("App", APP)],
                vec![(Rule::DuplicateName, 1), (Rule::DuplicateName, 2)],
            ),
            (
                vec![("Fleet", "metadata: {name: a}\n"), ("Fleet", "metadata: {name: b}\n")],
                vec![(Rule::DuplicateName, 0), (Rule::DuplicateName, 1)],
            ),
            (vec![("Cluster", cluster), ("App", waiting)], vec![(Rule::DependsOn, 1)]),
            (vec![("Cluster", cluster), ("App", prod)], vec![(Rule::AppWithoutCluster, 1)]),
            (vec![("App", APP)], vec![(Rule::AppWithoutCluster, 0)]),
            (vec![("Cluster", cluster), ("Fleet", waves)], vec![(Rule::ClusterWithoutWave, 0)]),
            (vec![("Cluster", cluster), ("App", moving)], vec![]),
            (
                vec![("Cluster", cluster), ("Fleet", &waves.replace("prod", "dev")), ("App", moving)],
                vec![(Rule::MovingSource, 2)],
            ),
            (vec![("Cluster", cluster), ("Fleet", &waves.replace("prod", "dev")), ("App", &fixed)], vec![]),
        ] {
            let expected: Vec<_> =
                expected.into_iter().map(|(rule, file)| (rule, format!("{file}.yaml"))).collect();
            let found = rules(&files);
            assert_eq!(found, expected, "{files:?}");
        }
    }
}
