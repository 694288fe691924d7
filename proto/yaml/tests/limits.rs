//! Does every limit hold, and do errors say where?

use muster_yaml::{Error, Limits, Node, Reading};

fn read_with(text: &str, limits: &Limits, reading: Reading) -> Result<Vec<Node>, Error> {
    let parts = muster_yaml::parts(text.as_bytes(), limits);
    parts
        .into_iter()
        .filter_map(|part| part.and_then(|part| part.read(reading, limits)).transpose())
        .collect()
}

fn error(text: &str) -> String {
    read_with(text, &Limits::default(), Reading::Strict).expect_err(text).to_string()
}

#[test]
fn a_billion_laughs_stop_early() {
    let mut text = "a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n".to_owned();
    for level in 1..20 {
        let aliases = vec![format!("*a{}", level - 1); 9].join(", ");
        text.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
    }
    assert!(error(&text).contains("expand to more than 16777216 bytes"), "{}", error(&text));
    let merges = text.replace("[*", "[{<<: [*").replace("]\n", "]}]\n").replacen("]}]\n", "]\n", 1);
    assert!(read_with(&merges, &Limits::default(), Reading::AsKubectl).is_err());
    let long = format!("a: &a \"{}\"\nb: [{}]\n", "x".repeat(1 << 20), vec!["*a"; 40].join(", "));
    assert!(error(&long).contains("expand to more than"), "{}", error(&long));
}

#[test]
fn depth_is_limited_in_every_form() {
    let forms =
        ["[".repeat(5000), "{a: ".repeat(5000), "- ".repeat(5000), "? ".repeat(5000), "{\"a\":".repeat(5000)];
    for text in forms {
        assert!(read_with(&text, &Limits::default(), Reading::AsKubectl).is_err(), "{}", &text[..10]);
    }
    assert!(error(&"[".repeat(5000)).contains("deeper than 128 levels"));
}

#[test]
fn bytes_and_documents_are_limited() {
    let limits = Limits { bytes_max: 10, documents_max: 2, ..Limits::default() };
    let error = read_with("a: 1234567890", &limits, Reading::AsKubectl).expect_err("too long");
    assert_eq!(error.to_string(), "line 1 column 1: the file has 13 bytes; 10 are allowed");
    let limits = Limits { bytes_max: 100, ..limits };
    let error = read_with("a: 1\n---\nb: 1\n---\nc: 1\n", &limits, Reading::AsKubectl).expect_err("too many");
    assert!(error.to_string().contains("more than 2 documents"), "{error}");
}

#[test]
fn errors_name_line_and_column() {
    let cases = [
        ("a: 1\nb: [1, 2\n", "line 3 column 1: expected a comma or a closing bracket"),
        ("a: 1\nb: *x\n", "line 2 column 4: this alias (*) names no anchor before it"),
        ("# c\n---\na: 1\n---\n\nb: {{ x }}\n", "line 6 column 5: a key is a list or a mapping"),
        ("a: 1\nb: 2\na: 3\n", "line 3 column 1: the key `a` is already given at line 1 column 1"),
        ("{\"a\": 1,\n \"a\": 2}", "line 2 column 2: the key `a` is already given at line 1 column 2"),
        ("{\"a\": 1}\n{\"a\": 1}\n{\"b\": tru}", "line 3 column 7: expected a JSON value"),
        ("a:\n  b: 1\n c: 2\n", "line 3 column 2: expected a key at the indentation"),
        ("a: \"x\n", "line 1 column 4: the closing quote of this text is missing"),
        ("a: 1\n--- b\n", "line 2 column 1: only a comment may follow the separator"),
        ("é: @a\n", "line 1 column 4: found a character that cannot begin a value"),
        ("a: b: c\n", "line 1 column 5: a second colon"),
        ("a: 1\nyes: 1\n", "line 2 column 1: the key yes is not a string to YAML 1.1; put it in quotes"),
        ("a: !!int x\n", "line 1 column 10: the value is not what its tag !!int says"),
        ("a: .inf\n", "line 1 column 4: JSON has no infinities"),
    ];
    for (text, expected) in cases {
        let error = error(text);
        assert!(error.starts_with(expected), "{text:?}: {error}");
    }
}

#[test]
fn values_know_where_they_stand() {
    let text = "# c\n---\na:\n- x: 1\n  z: [2,\n    3]\n";
    let nodes = read_with(text, &Limits::default(), Reading::Strict).expect("reads");
    let item = match &nodes[0].get("a").expect("has a").value {
        muster_yaml::Value::Sequence(items) => &items[0],
        other => panic!("{other:?}"),
    };
    assert_eq!(item.at.to_string(), "line 4 column 3");
    assert_eq!(item.entry("z").expect("has z").at.to_string(), "line 5 column 3");
    let muster_yaml::Value::Sequence(items) = &item.get("z").expect("has z").value else { panic!("a list") };
    assert_eq!(items[1].at.to_string(), "line 6 column 5");
}

#[test]
fn a_long_file_is_read_in_linear_time() {
    let mut text = String::new();
    for number in 0..20_000 {
        text.push_str(&format!("key-{number}: {{a: [1, 2], b: \"text\"}}\n"));
    }
    let nodes = read_with(&text, &Limits::default(), Reading::Strict).expect("reads");
    assert_eq!(nodes.len(), 1);
}

#[test]
fn a_long_line_of_json_is_read_in_linear_time() {
    let items = vec!["{\"a\": 1}"; 100_000].join(",");
    let nodes =
        read_with(&format!("{{\"items\": [{items}]}}"), &Limits::default(), Reading::Strict).expect("reads");
    assert_eq!(nodes[0].get("items").map(|items| items.kind()), Some("a list"));
}

#[test]
fn no_error_quotes_a_value() {
    let secret = "hunter2";
    let texts = [
        format!("a: {secret}: x\n"),
        format!("a: \"{secret}\\d\"\n"),
        format!("a: *{secret}\n"),
        format!("a: &{secret}$\n"),
        format!("a: !{secret}!x y\n"),
        format!("a: !{secret}{{\n"),
        format!("a: %{secret}\n"),
        format!("%{secret}\n"),
        format!("a: !!int {secret}\n"),
        format!("a: \"{secret}\n"),
        format!("a: !!binary {secret}%\n"),
        format!("a: [{secret}\n"),
        format!("a: 1\n--- {secret}\n"),
        format!("a: {secret}\u{1}\n"),
        format!("{{\"a\": \"{secret}\\q\"}}"),
        format!("a: {{{secret}}}}}\n"),
    ];
    for text in texts {
        assert!(!error(&text).contains(secret), "{}", error(&text));
    }
}
