//! Does the reader stand any input, and does it read back what it writes?

use muster_yaml::{Limits, Reading, to_yaml};
use proptest::prelude::*;
use serde_json::Value;

fn read_all(bytes: &[u8], limits: &Limits) {
    for part in muster_yaml::parts(bytes, limits).into_iter().flatten() {
        for reading in [Reading::AsKubectl, Reading::Strict] {
            let _ = part.read(reading, limits);
        }
    }
}

/// Pieces that mean something to YAML, so that random texts reach further than random bytes.
fn yaml_like() -> impl Strategy<Value = String> {
    let pieces = [
        " ",
        "  ",
        "\n",
        ":",
        ": ",
        "- ",
        "\"",
        "'",
        "#",
        " #",
        "{",
        "}",
        "[",
        "]",
        ",",
        "|",
        ">",
        "|-",
        ">+",
        "&a ",
        "*a",
        "!!str ",
        "!x ",
        "!",
        "? ",
        "%",
        "@",
        "\t",
        "\r\n",
        "---\n",
        "...\n",
        "<<: ",
        "0644",
        "yes",
        "~",
        "1e3",
        "\\",
        "\\x41",
        "é",
        "\u{2028}",
        "\u{FEFF}",
        "a",
        "b: c",
        "\n  ",
        "0x1F",
        "%YAML 1.1\n",
        "%TAG ! x\n",
        "!<a>",
    ];
    prop::collection::vec(prop::sample::select(pieces.to_vec()), 0..40).prop_map(|pieces| pieces.concat())
}

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::from),
        any::<f64>()
            .prop_filter("only finite numbers", |value| value.is_finite() && value.fract() != 0.0)
            .prop_map(Value::from),
        any::<String>().prop_map(Value::String),
        "[a-z0-9:#{}\\[\\]'\",&*!|>%@` ~.+-]{0,12}".prop_map(Value::String),
        prop::sample::select(vec![
            "yes",
            "0644",
            "1e3",
            "~",
            "null",
            "<<",
            "",
            "2020-01-01",
            "-",
            "a: b",
            "y"
        ])
        .prop_map(|text| Value::String(text.to_owned())),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::Array),
            prop::collection::btree_map(any::<String>(), inner, 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        read_all(&bytes, &Limits::default());
    }

    #[test]
    fn no_text_like_yaml_makes_it_panic(text in yaml_like()) {
        read_all(text.as_bytes(), &Limits::default());
    }

    #[test]
    fn what_is_written_is_read_back(value in json()) {
        let text = to_yaml(&value);
        let parts = muster_yaml::parts(text.as_bytes(), &Limits::default());
        let part = parts.into_iter().next().expect("a document").expect("a document that can be split off");
        let node = part.read(Reading::Strict, &Limits::default()).map_err(|error| TestCaseError::fail(format!("{error}\n{text}")))?;
        prop_assert_eq!(node.map(|node| node.into_json()).unwrap_or(Value::Null), value, "{}", text);
    }
}

/// A text that begins with `{` is taken for JSON first, so empty and scalar documents are apart.
#[test]
fn writes_documents_for_people() {
    let value = serde_json::json!({
        "apiVersion": "v1", "n": 1, "list": [{"a": 1, "b": [1, [2]]}, "x y", "on"], "none": {}, "empty": [], "nested": {"k": "0644"},
    });
    let expected = "apiVersion: v1\nempty: []\nlist:\n- a: 1\n  b:\n  - 1\n  - - 2\n- \"x y\"\n- \"on\"\n\"n\": 1\nnested:\n  k: \"0644\"\nnone: {}\n";
    assert_eq!(to_yaml(&value), expected);
}
