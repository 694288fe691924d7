//! Does kubectl read what `muster render` prints back to the same objects?

use serde_json::{Map, Value, json};

use muster_tests::skip;

use super::{kubectl, muster};

/// Texts that YAML, of one version or another, takes for something else, or that are hard to write.
const TEXTS: &[&str] = &[
    "",
    " ",
    "yes",
    "No",
    "on",
    "OFF",
    "y",
    "n",
    "true",
    "False",
    "null",
    "~",
    "NULL",
    "0644",
    "0o644",
    "0x1F",
    "1e3",
    "1_000",
    "1.0",
    ".5",
    ".inf",
    "-.INF",
    ".nan",
    "12:30:45",
    "2024-01-01",
    "2024-01-01T00:00:00Z",
    "+1",
    "-",
    "- a",
    "?",
    "? a",
    ":",
    "a: b",
    "a:b",
    "#",
    "a #b",
    "&a",
    "*a",
    "!a",
    "!!str a",
    "|",
    ">",
    "%a",
    "@a",
    "`a",
    "'",
    "\"",
    "it's",
    "\\",
    "\\n",
    "{",
    "}",
    "[",
    "]",
    ",",
    "<<",
    "=",
    "---",
    "...",
    "--- a",
    "a\n---\nb",
    "a\nb\n",
    "\n",
    "\n\n",
    "a\r\nb",
    "\t",
    "a\tb",
    " a",
    "a ",
    "a\n",
    "\u{0}",
    "\u{7}",
    "\u{1b}[2J",
    "\u{85}",
    "\u{a0}",
    "\u{2028}",
    "\u{202e}x",
    "\u{feff}",
    "\u{fffd}",
    "größe",
    "東京",
    "🦀",
    "$(A) ${B}",
];

/// A pod's texts in values, keys and lists; and values that are no texts.
fn objects() -> Vec<Value> {
    let mut all: Vec<String> = TEXTS.iter().map(|text| (*text).to_owned()).collect();
    // Every character of ASCII and some beyond it, alone and between letters.
    for code in (0..0x100).chain([0x2029, 0xd7ff, 0xe000, 0xfffe, 0x1_0000, 0x10_ffff]) {
        all.extend(char::from_u32(code).into_iter().flat_map(|char| [char.to_string(), format!("a{char}1")]));
    }
    let values: Map<String, Value> =
        all.iter().enumerate().map(|(number, text)| (format!("k{number}"), text.as_str().into())).collect();
    // Keys are texts too; to YAML some are the same key, so each has an object of its own.
    let keys = all.iter().map(|text| json!({ text.as_str(): text }));
    let config = |name: String, data: Value| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "texts"}, "data": data});
    let mut objects = vec![config("values".to_owned(), Value::Object(values))];
    objects.extend(keys.enumerate().map(|(number, data)| config(format!("key-{number}"), data)));
    objects.push(json!({
        "apiVersion": "example.com/v1", "kind": "Anything", "metadata": {"name": "values", "namespace": "texts"},
        "spec": {
            "numbers": [0, -1, 420, 9_007_199_254_740_993_i64, 1.5, -0.25, 1e21], "booleans": [true, false],
            "empty": [{}, [], "", null], "nested": [[1, [2, {"a": [3]}]], {"b": {"c": {}}}],
        },
    }));
    objects
}

#[tokio::test]
async fn kubectl_reads_back_what_is_printed() {
    let Some(program) = skip::program("kubectl") else { return };
    let directory = tempfile::tempdir().unwrap();
    let wanted = objects();
    // Written as JSON, so that reading it is no question.
    let text: Vec<String> = wanted.iter().map(ToString::to_string).collect();
    std::fs::write(directory.path().join("objects.json"), text.join("\n")).unwrap();
    let (code, printed) = muster(directory.path(), &["render", "."]).await;
    assert_eq!(code, Some(0), "{printed}");
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("printed.yaml"), &printed).unwrap();
    let arguments = ["annotate", "--local", "-o", "json", "x=y", "-f", "printed.yaml"];
    let read = kubectl(&program, folder.path(), &arguments).await;
    let read: Vec<Value> =
        serde_json::Deserializer::from_str(&read).into_iter().collect::<Result<_, _>>().expect("JSON");
    assert_eq!(read.len(), wanted.len());
    for (mut wanted, read) in wanted.into_iter().zip(read) {
        wanted["metadata"]["annotations"] = json!({"x": "y"});
        assert_eq!(read, wanted);
    }
}
