//! Is a text replaced as Flux would? The expected texts were recorded from Flux's package envsubst
//! where it gives one; where it silently does something odd, an error is expected.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{pattern::Pattern, *};
use crate::Files;

const VALUES: [(&str, &str); 10] = [
    ("comment", "x # y"),
    ("empty", ""),
    ("file", "path/to/bash.string.txt"),
    ("flow", "[a, {b: 1}]"),
    ("mixed", "abcDEF"),
    ("n", "3"),
    ("quote", "\""),
    ("word", "straße"),
    ("lines", "one\ntwo"),
    ("injection", "x\", y: z # $${n}"),
];

fn values() -> Substitutions {
    VALUES.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn replaced(text: &str) -> Result<String, String> {
    parse(text).and_then(|pieces| evaluate(&pieces, &clean(&values())))
}

#[test]
fn expressions_give_what_flux_gives() {
    let cases = [
        ("no variable, $ and $n and $(n)", "no variable, $ and $n and $(n)"),
        ("a${n}b${mixed}c", "a3babcDEFc"),
        ("$${n} $$ $$$${n} $$${n}", "${n} $ $${n} $3"),
        ("${#mixed}", "6"),
        ("${mixed^}|${mixed^^}|${mixed,}|${mixed,,}", "AbcDEF|ABCDEF|abcDEF|abcdef"),
        ("${empty^}${empty,}", ""),
        ("${missing:=x y}|${empty:-z}|${missing=w}|${empty:=}", "x y|z|w|"),
        ("${n:=x}|${n=x}|${n:-x}", "3|3|3"),
        ("${missing:=${mixed}-${n}}", "abcDEF-3"),
        ("${missing:=${other:=${mixed^^}}}", "ABCDEF"),
        ("${missing:=\\$$}", "\\$$"),
        ("${mixed:2}|${mixed:1:3}|${mixed:9}|${mixed:4:9}|${mixed:0:0}", "cDEF|bcD||EF|"),
        ("${mixed:${n}}", "DEF"),
        (
            "${file#*/}|${file##*/}|${file%.*}|${file%%.*}",
            "to/bash.string.txt|bash.string.txt|path/to/bash.string|path/to/bash",
        ),
        ("${file#nope}|${file%nope}", "path/to/bash.string.txt|path/to/bash.string.txt"),
        ("${mixed#[a-c]}|${mixed##[^D]*}|${mixed#?b}", "bcDEF||cDEF"),
        (
            "${file/t/T}|${file//t/T}|${file/#path/x}|${file/%txt/x}",
            "paTh/to/bash.string.txt|paTh/To/bash.sTring.TxT|x/to/bash.string.txt|path/to/bash.string.x",
        ),
        ("${file//\\//-}|${file/./}", "path-to-bash.string.txt|path/to/bashstring.txt"),
        ("${lines}", "onetwo"),
        ("${n:?is needed}", "3"),
    ];
    for (text, expected) in cases {
        assert_eq!(replaced(text).as_deref(), Ok(expected), "{text}");
    }
}

/// Flux counts bytes and takes a negative offset for none; bash and its documentation say otherwise.
#[test]
fn letters_are_counted_not_bytes() {
    assert_eq!(replaced("${#word}|${word:4:1}|${word^^}|${word: -2}").as_deref(), Ok("6|ß|STRASSE|ße"));
}

#[test]
fn what_means_nothing_is_refused_by_name() {
    let cases = [
        ("${missing}", "the variable `missing` has no value"),
        ("${missing^^}", "the variable `missing` has no value"),
        ("${missing:=${deeper}}", "the variable `deeper` has no value"),
        ("${missing:?set it, ${n}}", "the variable `missing` is required: set it, 3"),
        ("${empty:?no}", "the variable `empty` is required: no"),
        ("${}", "`${}`: a variable's name"),
        ("a ${n", "`${n`: `}` is missing"),
        ("${log.level}", "`${log.level}`: `}` is missing"),
        ("${n-x}", "not supported"),
        ("${n:+x}", "not supported"),
        ("${n/a}", "a second `/`"),
        ("${n#}", "something is missing"),
        ("${n:x}", "the offset for the variable `n` is not a number"),
        ("${n:0:-1}", "the length for the variable `n` is negative"),
        ("${n#[a}", "has a `[` without `]`"),
    ];
    for (text, expected) in cases {
        let said = replaced(text).expect_err(text);
        assert!(said.contains(expected), "{text}: {said}");
    }
    let deep = format!("{}{}", "${n:=".repeat(5000), "}".repeat(5000));
    assert!(replaced(&deep).unwrap_err().contains("nested too deep"));
}

fn object(mut fields: Value) -> Object {
    fields["apiVersion"] = json!("v1");
    fields["kind"] = json!("ConfigMap");
    if fields["metadata"].is_null() {
        fields["metadata"] = json!({"name": "a"});
    }
    Object { value: fields, file: "a.yaml".to_owned(), line: 2 }
}

fn in_object(fields: Value) -> Result<Value, String> {
    let mut objects = [object(fields)];
    let files = Files::from([(
        "a.yaml".to_owned(),
        b"# ${missing}\nkind: ConfigMap\nx: 1\ny: ${missing}\nz: ${missing:=a} ${missing}\n".to_vec(),
    )]);
    match substitute(&mut objects, &values(), Tree::new(&files), &Limits::default()) {
        Ok(()) => Ok(objects[0].value.clone()),
        Err(errors) => Err(errors[0].to_string()),
    }
}

#[test]
fn a_plain_text_takes_the_type_it_has_then() {
    let cases = [
        ("${n}", json!(3)),
        ("${n}5", json!(35)),
        ("${missing:=on}", json!(true)),
        ("${missing:=}", json!(null)),
        ("${quote}${n}${quote}", json!("3")),
        ("${flow}", json!(["a", {"b": 1}])),
        ("v${n}", json!("v3")),
        ("${comment}", json!("x")),
        // These have to stand in quotes or a block in YAML, so they stay text.
        ("*${n}", json!("*3")),
        (" ${n}", json!(" 3")),
        ("${n}\n", json!("3\n")),
        ("a: ${n}", json!("a: 3")),
        ("a: ${injection}", json!("a: x\", y: z # $${n}")),
    ];
    for (text, expected) in cases {
        let found = in_object(json!({"data": {"v": text}, "list": [text]}));
        let found = found.unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(found["data"]["v"], expected, "{text}");
        assert_eq!(found["list"][0], expected, "{text}");
    }
    let found = in_object(json!({"data": {"${mixed}-${n}": "x"}})).unwrap();
    assert_eq!(found["data"], json!({"abcDEF-3": "x"}));
}

#[test]
fn errors_name_object_field_and_line_and_no_value() {
    let said = in_object(json!({"y": [{"a": "${missing}"}]})).unwrap_err();
    assert!(said.starts_with("a.yaml:4: ConfigMap a: y[0].a: the variable `missing` has no value"), "{said}");
    let said = in_object(json!({"w": "${missing} elsewhere"})).unwrap_err();
    assert!(said.starts_with("a.yaml:2: ConfigMap a: w: the variable"), "{said}");
    let said = in_object(json!({"w": "${injection}"})).unwrap_err();
    assert!(said.contains("no YAML") && !said.contains("y: z"), "{said}");
    let said = in_object(json!({"metadata": {"name": "${n}"}})).unwrap_err();
    assert!(said.contains("metadata.name is no text"), "{said}");
    let said = in_object(json!({"data": {"a": "1", "${missing:=a}": "2"}})).unwrap_err();
    assert!(said.contains("two keys"), "{said}");
}

#[test]
fn an_object_may_opt_out() {
    for key in ["muster.dev/substitute", "kustomize.toolkit.fluxcd.io/substitute"] {
        for field in ["annotations", "labels"] {
            let kept =
                json!({"metadata": {"name": "a", field: {key: "disabled"}}, "data": {"a": "${missing} $$"}});
            let found = in_object(kept.clone()).unwrap();
            assert_eq!(found["data"], kept["data"]);
        }
    }
}

#[test]
fn what_values_come_to_is_limited() {
    let limits = Limits { bytes_max: 1000, ..Limits::default() };
    let mut objects = [object(json!({"data": {"a": "${mixed}".repeat(200)}}))];
    let errors = substitute(&mut objects, &values(), Tree::new(&Files::new()), &limits).unwrap_err();
    assert!(errors[0].message.contains("more than 1000 bytes"), "{}", errors[0]);
}

/// What is left when the shortest or longest non-empty part that matches is cut off, by trying all.
fn cut(value: &str, start: bool, longest: bool, pattern: &str) -> String {
    let all: Vec<char> = value.chars().collect();
    let matches = |from: usize, to: usize| {
        let part: String = all[from..to].iter().collect();
        // A pattern that matches all of a text leaves nothing when the longest is cut off.
        let pattern = Pattern::new(pattern).unwrap();
        !part.is_empty() && pattern.trim_start(&part, true).is_empty()
    };
    let count = all.len();
    let mut lengths: Vec<usize> = (1..=count).collect();
    if longest {
        lengths.reverse();
    }
    let found = lengths
        .into_iter()
        .find(|length| if start { matches(0, *length) } else { matches(count - length, count) });
    let length = found.unwrap_or_default();
    if start { all[length..].iter().collect() } else { all[..count - length].iter().collect() }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_text_is_read_or_refused(text in "[${}:=?#%/^,\\\\a-c. -]{0,40}") {
        if let Ok(found) = replaced(&text) {
            prop_assert!(text.contains('$') || found == text);
        }
    }

    #[test]
    fn text_without_a_dollar_is_left_alone(text in "[^$]{0,40}") {
        let found = in_object(json!({"data": {"v": text}})).unwrap();
        prop_assert_eq!(&found["data"]["v"], &json!(text));
    }

    /// A doubled dollar is the way to write any text at all.
    #[test]
    fn everything_can_be_escaped(text in "[a-z${}:=]{1,30}") {
        prop_assert_eq!(replaced(&text.replace('$', "$$")), Ok(text));
    }

    #[test]
    fn patterns_cut_at_both_ends_alike(value in "[ab.]{0,8}", pattern in "([ab.?*]|\\[a.\\]|\\[!b\\]){1,4}", start: bool, longest: bool) {
        let whole = Pattern::new(&pattern).unwrap();
        let found = if start { whole.trim_start(&value, longest) } else { whole.trim_end(&value, longest) };
        prop_assert_eq!(found, cut(&value, start, longest, &pattern));
    }
}
