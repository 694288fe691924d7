//! Do the rules and the dashboard of `deploy/monitoring` ask for series that there are?

use std::collections::BTreeSet;

use serde_json::Value;

use super::*;

fn file(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/monitoring").join(name);
    std::fs::read_to_string(path).unwrap()
}

/// The names of our series in an expression, without what histograms add.
fn names(expression: &str) -> BTreeSet<String> {
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let words = expression.split(|letter| !is_part(letter)).filter(|word| word.starts_with("muster_"));
    words.map(|word| word.trim_end_matches("_bucket").to_owned()).collect()
}

fn check(expression: &str) {
    // Every name on that page is one that a program writes: tests beside them see to it.
    let page = include_str!("../../../docs/metrics.md");
    let names = names(expression);
    assert!(!names.is_empty(), "{expression} asks for nothing of ours");
    for name in names {
        assert!(page.contains(&format!("`{name}`")), "{name} in {expression}");
    }
    for (open, close) in [('(', ')'), ('[', ']'), ('{', '}')] {
        let count = |letter| expression.matches(letter).count();
        assert_eq!(count(open), count(close), "{expression}");
    }
}

#[test]
fn rules_and_dashboard_ask_for_what_there_is() {
    let rules: Value = serde_yaml::from_str(&file("rules.yaml")).unwrap();
    let groups = rules["groups"].as_array().unwrap();
    let rules: Vec<&Value> = groups.iter().flat_map(|group| group["rules"].as_array().unwrap()).collect();
    assert!(rules.len() >= 9);
    for rule in rules {
        check(rule["expr"].as_str().unwrap());
        assert!(
            rule["annotations"]["summary"].is_string() && rule["labels"]["severity"].is_string(),
            "{rule}"
        );
        assert!(rule["alert"].as_str().unwrap().starts_with("Muster"), "{rule}");
    }
    let dashboard: Value = serde_json::from_str(&file("grafana.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let ids: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), panels.len());
    for panel in panels {
        for target in panel["targets"].as_array().unwrap() {
            check(target["expr"].as_str().unwrap());
        }
    }
}
