//! No expression and no object may stop, slow down or fill the program that evaluates it.

use std::time::{Duration, Instant};

use muster_cel::Program;
use proptest::prelude::*;
use serde_json::{Value, json};

fn many(count: usize) -> Value {
    json!({"items": (0..count).collect::<Vec<_>>()})
}

#[test]
fn what_multiplies_is_ended() {
    let doubling = format!("[[1]].{}", vec!["map(x, x + x)"; 60].join("."));
    let cases = [
        ("self.items.all(a, self.items.all(b, self.items.all(c, a + b + c >= 0)))", many(10_000)),
        (doubling.as_str(), json!({})),
        ("self.items.map(a, self.items) == self.items.map(a, self.items)", many(2_000)),
        (
            "'x'.replace('', 'yyyyyyyyyy').replace('', 'yyyyyyyyyy').replace('', 'yyyyyyyyyy').replace('', 'yyyyyyyyyy')\
          .replace('', 'yyyyyyyyyy').replace('', 'yyyyyyyyyy').replace('', 'yyyyyyyyyy') == ''",
            json!({}),
        ),
        ("self.items.exists(a, string(a).matches('(a*)*(b*)*(c*)*$x'))", many(100_000)),
    ];
    for (expression, object) in cases {
        let program = Program::compile(expression).unwrap_or_else(|error| panic!("{expression}: {error}"));
        let begin = Instant::now();
        let error = program.is_true(&object).unwrap_err();
        assert!(error.exhausted, "{expression}: {error}");
        // Generous: a debug build on a busy machine. Unbounded, it would take hours or all memory.
        assert!(begin.elapsed() < Duration::from_secs(20), "{expression}: {:?}", begin.elapsed());
    }
}

#[test]
fn a_failure_by_exhaustion_is_not_hidden_by_logic() {
    let object = many(100_000);
    for expression in [
        "self.items.all(a, self.items.all(b, true)) || true",
        "self.items.exists(a, self.items.all(b, true) || false) && false",
    ] {
        let error = Program::compile(expression).unwrap().is_true(&object).unwrap_err();
        assert!(error.exhausted, "{expression}: {error}");
    }
}

#[test]
fn what_is_nested_too_deep_cannot_be_read() {
    for (open, close) in [
        ("(", ")"),
        ("[", "]"),
        ("!", ""),
        ("-", ""),
        ("{1: ", "}"),
        ("true ? true : ", ""),
        ("[1].all(x, ", ")"),
    ] {
        let expression = format!("{}true{}", open.repeat(500), close.repeat(500));
        assert!(Program::compile(&expression).is_err(), "{open}");
    }
    for chain in ["self.a", " + self", "[0]", " == 1", ".b", ".size()"] {
        assert!(Program::compile(&format!("self{}", chain.repeat(500))).is_err(), "{chain}");
    }
    // Wide is not deep.
    assert!(Program::compile(&vec!["true"; 500].join(" && ")).is_ok());
    assert!(Program::compile(&vec!["true"; 500].join(" || ")).is_ok());
}

#[test]
fn errors_name_fields_and_types_and_never_values() {
    let object = json!({"data": {"password": "hunter2"}, "list": ["hunter2"]});
    for expression in [
        "self.data.password > 1",
        "self.data.password.x == 1",
        "int(self.data.password) == 1",
        "self.list[self.data.password] == 1",
        "self.data.password",
        "self.list.all(x, x)",
        "self.data.password.matches(self.data.password + '(')",
    ] {
        let error = Program::compile(expression).unwrap().is_true(&object).unwrap_err();
        assert!(!error.message.contains("hunter2"), "{expression}: {error}");
    }
    let missing = Program::compile("self.status.phase == 'a'").unwrap().is_true(&object).unwrap_err();
    assert_eq!((missing.missing, missing.to_string().as_str()), (true, "there is no `status`"));
}

#[test]
fn errors_of_reading_say_where() {
    let cases = [
        ("self.status.phase = 'a'", 18),
        ("slef.status", 0),
        ("self.a && (self.b", 17),
        ("self.status.nothing(1)", 12),
        ("self.a == 'open", 10),
        ("'ä' + ö", 6),
    ];
    for (expression, at) in cases {
        let error = Program::compile(expression).unwrap_err();
        assert_eq!(error.at, at, "{expression}: {error}");
    }
}

/// Texts that are nearly expressions.
fn nearly() -> impl Strategy<Value = String> {
    let words = vec![
        "self",
        ".a",
        ".?b",
        "[0]",
        "[?'x']",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        "1",
        "1u",
        "1.5",
        "'t'",
        "r'\\'",
        "true",
        "null",
        " && ",
        " || ",
        "!",
        "-",
        " + ",
        " * ",
        " == ",
        " < ",
        " in ",
        " ? ",
        " : ",
        ",",
        ".all(x, x)",
        ".map(x, x + x)",
        ".exists(y, ",
        "has(self.a)",
        "size(",
        ".matches(",
        "'('",
        "int(",
        "\\",
        "\"",
        "ä",
        "9999999999999999999",
    ];
    prop::collection::vec(prop::sample::select(words), 0..40).prop_map(|words| words.concat())
}

/// Any JSON, to be looked at with them.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[a-c]{0,3}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map("[a-c]", inner, 0..5)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn nothing_panics(text in nearly(), object in any_json()) {
        if let Ok(program) = Program::compile(&text) {
            let _ = program.is_true(&object);
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,60}") {
        let _ = Program::compile(&text);
    }
}
