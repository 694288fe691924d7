use proptest::prelude::*;
use serde_json::json;

use super::*;

fn object() -> Value {
    json!({
        "metadata": {"annotations": {"a.b/c": "1", "x": "2"}},
        "spec": {
            "replicas": 3,
            "args": ["a", "b", "c"],
            "containers": [
                {"name": "web", "image": "w", "env": [{"name": "A"}, {"name": "B"}]},
                {"name": "proxy-1", "image": "p", "injected": true},
                {"name": "proxy-2", "image": "q"},
            ],
        },
    })
}

/// What is left of the object when the places are taken out, as the texts of the values taken.
fn taken(path: &FieldPath) -> Vec<String> {
    let object = object();
    path.places(&object).iter().map(|place| at_place(&object, place).unwrap().to_string()).collect()
}

#[test]
fn a_path_means_what_jq_means_by_it() {
    let cases: &[(&str, &[&str])] = &[
        (".spec.replicas", &["3"]),
        (".spec[\"replicas\"]", &["3"]),
        (".\"spec\".\"replicas\"", &["3"]),
        (". | .spec | .replicas", &["3"]),
        (".metadata.annotations[\"a.b/c\"]", &["\"1\""]),
        (".metadata.annotations.\"a.b/c\"", &["\"1\""]),
        (".metadata.annotations[]", &["\"1\"", "\"2\""]),
        (".spec.args[0]", &["\"a\""]),
        (".spec.args[-1]", &["\"c\""]),
        (".spec.args[7]", &[]),
        (".spec.containers[].image", &["\"w\"", "\"p\"", "\"q\""]),
        (".spec.containers[]?.image?", &["\"w\"", "\"p\"", "\"q\""]),
        (".spec.missing[]?.a", &[]),
        (".spec.containers[] | select(.name == \"web\") | .image", &["\"w\""]),
        (".spec.containers[] | select(.name == \"web\").image", &["\"w\""]),
        (".spec.containers[] | select(.name != \"web\") | .image", &["\"p\"", "\"q\""]),
        (".spec.containers[]|select(.name|startswith(\"proxy\"))|.image", &["\"p\"", "\"q\""]),
        (".spec.containers[] | select(.name | endswith(\"2\")) | .image", &["\"q\""]),
        (".spec.containers[] | select(.name | contains(\"x\") | not) | .image", &["\"w\""]),
        (".spec.containers[] | select(.injected) | .image", &["\"p\""]),
        (".spec.containers[] | select(.injected | not) | .image", &["\"w\"", "\"q\""]),
        (
            ".spec.containers[] | select(.injected == null and (.name == \"web\" or .name == \"x\")) | .name",
            &["\"web\""],
        ),
        (".spec.containers[] | select(.env[].name == \"B\") | .name", &["\"web\""]),
        (".spec | select(.replicas == 3) | .args[0]", &["\"a\""]),
        (".spec | select(.replicas != 3) | .args[0]", &[]),
        (".spec.containers[] | select(.injected == true) | .image", &["\"p\""]),
        (".spec.containers[].env[]? | select(.name == \"A\")", &["{\"name\":\"A\"}"]),
    ];
    for (text, expected) in cases {
        let path = FieldPath::of_jq(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(taken(&path), *expected, "{text}");
    }
}

#[test]
fn a_pointer_is_that_of_rfc_6901() {
    let cases: &[(&str, &[&str])] = &[
        ("/spec/replicas", &["3"]),
        ("/metadata/annotations/a.b~1c", &["\"1\""]),
        ("/spec/containers/1/image", &["\"p\""]),
        ("/spec/containers/9/image", &[]),
        ("/spec/replicas/x", &[]),
    ];
    for (text, expected) in cases {
        assert_eq!(taken(&FieldPath::of_pointer(text)), *expected, "{text}");
    }
}

#[test]
fn what_is_no_path_is_refused_where_it_ends_to_be_one() {
    let cases = [
        ("", "at character 1 of the path: expected `.` or `select(`, found the end."),
        (".", "the path names the whole object"),
        ("spec", "at character 1 of the path: expected `.` or `select(`, found `spec`."),
        (".spec | to_entries", "at character 9 of the path: expected `.` or `select(`, found `to_entries`."),
        (".spec | length", "found `length`"),
        (".a[", "expected a number, a text in quotes or `]`, found the end"),
        (".a[1:2]", "expected `]`, found `:`"),
        (".a..b", "expected a name, found `.`"),
        (".a | select(.b == )", "expected a text in quotes, a number, true, false or null, found `)`"),
        (".a | select(.b == \"x\"", "expected `)`, found the end"),
        (".a, .b", "expected the end of the path, `|`, `.` or `[`, found `,`"),
        (".a = 1", "found `=`"),
    ];
    for (text, expected) in cases {
        let error = FieldPath::of_jq(text).expect_err(text).to_string();
        assert!(error.contains(expected), "{text}: {error}");
    }
    let deep = format!(".a | select({}.b{})", "(".repeat(100), ")".repeat(100));
    assert!(FieldPath::of_jq(&deep).unwrap_err().to_string().contains("nested deeper"));
}

#[test]
fn what_is_taken_out_is_gone_and_nothing_else() {
    let mut object = object();
    let path = FieldPath::of_jq(".spec.containers[] | select(.name | startswith(\"proxy\"))").unwrap();
    let mut places = path.places(&object);
    places.extend(FieldPath::of_pointer("/spec/args/0").places(&object));
    places.extend(FieldPath::of_pointer("/metadata/annotations").places(&object));
    places.extend(FieldPath::of_pointer("/metadata/annotations/x").places(&object));
    take_out(&mut object, places);
    let left = json!({
        "metadata": {},
        "spec": {
            "replicas": 3,
            "args": ["b", "c"],
            "containers": [{"name": "web", "image": "w", "env": [{"name": "A"}, {"name": "B"}]}],
        },
    });
    assert_eq!(object, left);
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "[.a-c\"\\[\\]0-9?| ()=!]{0,40}") {
        if let Ok(path) = FieldPath::of_jq(&text) {
            path.places(&object());
        }
    }

    #[test]
    fn any_field_can_be_named(name in "\\PC{1,10}") {
        let object = json!({"a": {name.clone(): 1}});
        let quoted = Value::String(name.clone()).to_string();
        let path = FieldPath::of_jq(&format!(".a[{quoted}]")).unwrap();
        prop_assert_eq!(path.places(&object).len(), 1);
        let pointer = format!("/a/{}", name.replace('~', "~0").replace('/', "~1"));
        prop_assert_eq!(FieldPath::of_pointer(&pointer).places(&object).len(), 1);
    }
}
