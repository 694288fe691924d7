//! Does reading stand any input, does it read back what it writes, and do selectors select?

use std::collections::{BTreeMap, BTreeSet};

use muster_spec::{Catalog, Document, Selector, parse_file};
use proptest::prelude::*;
use serde_json::{Value, json};

const LABELS: [&str; 3] = ["env", "tier", "example.com/zone"];
const VALUES: [&str; 3] = ["a", "b", ""];

/// A selector as JSON, and the same as a list of conditions for the model.
type Conditions = Vec<(&'static str, &'static str, BTreeSet<&'static str>)>;

fn conditions() -> impl Strategy<Value = Conditions> {
    let operator = prop::sample::select(vec!["Equals", "In", "NotIn", "Exists", "DoesNotExist"]);
    let values = prop::collection::btree_set(prop::sample::select(VALUES.to_vec()), 1..3);
    prop::collection::vec((prop::sample::select(LABELS.to_vec()), operator, values), 0..4)
}

fn selector_json(conditions: &Conditions) -> Value {
    let mut labels = serde_json::Map::new();
    let mut expressions = Vec::new();
    for (key, operator, values) in conditions {
        match *operator {
            "Equals" => {
                labels.insert((*key).to_owned(), json!(values.first()));
            }
            "In" | "NotIn" => expressions.push(json!({"key": key, "operator": operator, "values": values})),
            _ => expressions.push(json!({"key": key, "operator": operator})),
        }
    }
    json!({"matchLabels": labels, "matchExpressions": expressions})
}

/// The rules of Kubernetes, one condition at a time.
fn model(conditions: &Conditions, labels: &BTreeMap<String, String>) -> bool {
    // A label given twice under matchLabels keeps its last value, as in any mapping.
    let equals: BTreeMap<_, _> = conditions
        .iter()
        .filter(|(_, operator, _)| *operator == "Equals")
        .map(|(key, _, values)| (key, values.first()))
        .collect();
    equals.iter().all(|(key, value)| labels.get(**key).map(String::as_str) == value.copied())
        && conditions.iter().all(|(key, operator, values)| {
            let label = labels.get(*key).map(String::as_str);
            match *operator {
                "In" => label.is_some_and(|label| values.contains(label)),
                "NotIn" => label.is_none_or(|label| !values.contains(label)),
                "Exists" => label.is_some(),
                "DoesNotExist" => label.is_none(),
                _ => true,
            }
        })
}

fn duration() -> impl Strategy<Value = String> {
    (0_u32..50, 0_u32..60, 1_u32..60)
        .prop_map(|(hours, minutes, seconds)| format!("{hours}h{minutes}m{seconds}s"))
}

fn app() -> impl Strategy<Value = Value> {
    (
        ("[a-z][a-z0-9-]{0,8}[a-z0-9]", conditions(), "[a-z]{1,5}(/[a-z0-9.]{1,4}[a-z]){0,3}"),
        (any::<bool>(), any::<bool>(), duration(), 0_u32..100, 1_u32..10),
        (prop::option::of("[a-z]{1,8}"), prop::option::of("[a-z]{1,8}"), prop::collection::btree_set("[A-Z]{1,6}", 0..3)),
    )
        .prop_map(|((name, conditions, path), (prune, suspend, timeout, limit, factor), (namespace, track, kinds))| {
            let health: Vec<Value> =
                kinds.iter().map(|kind| json!({"kind": kind, "healthy": "self.x == \"y\" // # \n"})).collect();
            let mut spec = json!({
                "clusters": selector_json(&conditions),
                "source": {"path": format!("{path}/{{{{ cluster.name }}}}")},
                "sync": {"prune": prune, "suspend": suspend, "timeout": timeout, "retry": {"limit": limit, "backoff": {"factor": factor}}},
                "health": health,
            });
            for (field, value) in [("namespace", namespace), ("track", track)] {
                if let (Some(value), Some(fields)) = (value, spec.as_object_mut()) {
                    fields.insert(field.to_owned(), value.into());
                }
            }
            json!({"apiVersion": muster_spec::API_VERSION, "kind": "App", "metadata": {"name": name}, "spec": spec})
        })
}

fn cluster() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        any::<String>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        Just(Value::Null),
        prop::sample::select(vec!["yes", "0644", "1.0", "~", "a: b"]).prop_map(Value::from),
    ];
    let values = scalar.prop_recursive(3, 20, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::btree_map(any::<String>(), inner, 0..4)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    });
    ("[a-z]{1,8}", prop::collection::btree_map(any::<String>(), values, 0..4)).prop_map(|(name, values)| {
        json!({
            "apiVersion": muster_spec::API_VERSION, "kind": "Cluster", "metadata": {"name": name, "labels": {"env": name}},
            "spec": {"values": values},
        })
    })
}

fn read_one(text: &str) -> Result<Document, TestCaseError> {
    let mut parsed = parse_file("a.yaml", text.as_bytes());
    prop_assert_eq!(&parsed.errors, &[], "{}", text);
    prop_assert_eq!(parsed.documents.len(), 1, "{}", text);
    Ok(parsed.documents.remove(0).value)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = Catalog::load([("a.yaml", bytes.as_slice())]);
        let behind = [b"apiVersion: muster.dev/v1alpha1\nkind: App\nmetadata: {name: a}\nspec:\n".as_slice(), &bytes].concat();
        let _ = Catalog::load([("a.yaml", behind.as_slice())]);
    }

    #[test]
    fn documents_with_a_piece_replaced_do_not_panic(app in app(), from in 0_usize..400, piece in "[-a-z0-9:{}\\[\\] \n\"']{0,8}") {
        let mut text = serde_json::to_string_pretty(&app).expect("JSON").replace(['{', '}', ','], " ");
        let from = (0..=from.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.insert_str(from, &piece);
        let _ = Catalog::load([("a.yaml", text.as_bytes())]);
    }

    #[test]
    fn what_is_written_is_read_back(value in prop_oneof![app(), cluster()]) {
        let document = read_one(&value.to_string())?;
        let yaml = document.to_yaml().expect("documents can be written");
        prop_assert_eq!(&read_one(&yaml)?, &document, "{}", yaml);
        let json = document.to_json().expect("documents can be written").to_string();
        prop_assert_eq!(&read_one(&json)?, &document, "{}", json);
    }

    #[test]
    fn selectors_agree_with_the_model(
        conditions in conditions(),
        labels in prop::collection::btree_map(prop::sample::select(LABELS.to_vec()), prop::sample::select(VALUES.to_vec()), 0..3),
    ) {
        let labels: BTreeMap<String, String> = labels.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        let selector: Selector = serde_json::from_value(selector_json(&conditions)).expect("a selector");
        prop_assert_eq!(selector.matches(&labels), model(&conditions, &labels));
    }
}
