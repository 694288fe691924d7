//! Is YAML read as `kubectl -f` reads it? The table is kubectl-f.txt beside this file, recorded from
//! the real kubectl; where kubectl is installed the record itself is checked, too.

use std::{fs, path::Path, process::Command};

use muster_yaml::{Limits, Reading};
use serde_json::Value;

const TABLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/kubectl-f.txt");
const HEADER: &str = "apiVersion: example.dev/v1\nkind: Case\nmetadata:\n  name: case\n";

struct Case {
    name: String,
    input: String,
    /// One for each object; `None` for an error.
    expected: Option<Vec<Value>>,
}

impl Case {
    fn is_file(&self) -> bool {
        self.name.ends_with("(file)")
    }

    /// The file the case stands for.
    fn bytes(&self) -> Vec<u8> {
        let (text, end) = match self.input.strip_suffix("⟨end⟩") {
            Some(text) => (text, ""),
            None => (self.input.as_str(), "\n"),
        };
        let mut bytes = if self.is_file() { Vec::new() } else { HEADER.as_bytes().to_vec() };
        let mut rest = text;
        while let Some((before, behind)) = rest.split_once('⟨') {
            let (hex, after) = behind.split_once('⟩').expect("⟨ is closed");
            bytes.extend_from_slice(before.as_bytes());
            bytes.extend(
                hex.split(' ').map(|byte| u8::from_str_radix(byte, 16).expect("two hexadecimal digits")),
            );
            rest = after;
        }
        bytes.extend_from_slice(rest.as_bytes());
        bytes.extend_from_slice(end.as_bytes());
        bytes
    }

    /// An object as the table has it: without the annotation and, if not a whole file, the header.
    fn shown(&self, mut object: Value) -> Value {
        let fields = object.as_object_mut().expect("kubectl prints objects");
        if self.is_file() {
            fields["metadata"].as_object_mut().expect("has metadata").remove("annotations");
        } else {
            for field in ["apiVersion", "kind", "metadata"] {
                fields.remove(field);
            }
        }
        object
    }
}

fn table() -> (String, Vec<Case>) {
    let text = fs::read_to_string(TABLE).expect("the table is there");
    let mut blocks = text.split("\n=== ");
    let preface = blocks.next().expect("a text has a beginning").to_owned();
    let cases = blocks
        .map(|block| {
            let (name, body) = block.split_once('\n').expect("a case has an input");
            let (input, results) = match body.split_once("\n>>> ") {
                Some((input, results)) => (input, format!(">>> {results}")),
                None => (body.trim_end_matches('\n'), String::new()),
            };
            let results: Vec<&str> = results.lines().filter_map(|line| line.strip_prefix(">>> ")).collect();
            let expected = (results != ["error"])
                .then(|| results.iter().map(|line| serde_json::from_str(line).expect("JSON")).collect());
            Case { name: name.to_owned(), input: input.to_owned(), expected }
        })
        .collect();
    (preface, cases)
}

/// Equal as numbers count in JSON: 1e23 and 100000000000000000000000 are one. The expected values
/// are read by serde_json, which may be off by the last bit of a float.
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => {
            one == other
                || matches!((one.as_f64(), other.as_f64()), (Some(one), Some(other)) if (one - other).abs() <= one.abs() * f64::EPSILON)
        }
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one.iter().all(|(key, value)| other.get(key).is_some_and(|other| same(value, other)))
        }
        _ => one == other,
    }
}

fn read(bytes: &[u8]) -> Result<Vec<Value>, String> {
    let limits = Limits::default();
    let mut values = Vec::new();
    for part in muster_yaml::parts(bytes, &limits) {
        let node = part
            .and_then(|part| part.read(Reading::AsKubectl, &limits))
            .map_err(|error| error.to_string())?;
        values.extend(node.map(|node| node.into_json()));
    }
    Ok(values)
}

#[test]
fn reads_every_case_as_kubectl_does() {
    let mut wrong = Vec::new();
    for case in table().1 {
        let read = read(&case.bytes())
            .map(|values| values.into_iter().map(|value| case.shown(value)).collect::<Vec<_>>());
        let right = match (&read, &case.expected) {
            (Ok(values), Some(expected)) => {
                values.len() == expected.len()
                    && values.iter().zip(expected).all(|(one, other)| same(one, other))
            }
            (Err(_), None) => true,
            _ => false,
        };
        if !right {
            wrong.push(format!("{}: kubectl {:?}, here {read:?}", case.name, case.expected));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn kubectl(path: &Path) -> Result<Vec<Value>, String> {
    let output = Command::new("kubectl")
        .args(["annotate", "--local", "-o", "json", "x=y", "-f"])
        .arg(path)
        .output()
        .expect("kubectl runs, as it did before");
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let objects = serde_json::Deserializer::from_slice(&output.stdout).into_iter();
    Ok(objects.collect::<Result<_, _>>().expect("kubectl prints JSON"))
}

#[test]
fn the_record_is_what_kubectl_says() {
    if Command::new("kubectl").args(["version", "--client"]).output().is_err() {
        println!("skipped the_record_is_what_kubectl_says: there is no kubectl");
        return;
    }
    let directory =
        std::path::PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("kubectl-{}", std::process::id()));
    fs::create_dir_all(&directory).expect("the directory of temporary files can be written");
    let (preface, mut cases) = table();
    if std::env::var_os("MUSTER_RECORD").is_some() {
        for case in &mut cases {
            let file = directory.join("case.yaml");
            fs::write(&file, case.bytes()).expect("the file can be written");
            let objects = kubectl(&file).ok();
            case.expected =
                objects.map(|objects| objects.into_iter().map(|object| case.shown(object)).collect());
        }
        record(&preface, &cases);
    } else {
        check(&directory, &cases);
    }
    fs::remove_dir_all(&directory).expect("the directory can be removed");
}

/// All cases that succeed in one run of kubectl, the others one by one.
fn check(directory: &Path, cases: &[Case]) {
    let together = directory.join("together");
    fs::create_dir_all(&together).expect("the directory can be made");
    for (number, case) in cases.iter().enumerate() {
        if case.expected.is_some() {
            fs::write(together.join(format!("{number:04}.yaml")), case.bytes())
                .expect("the file can be written");
        } else {
            let file = directory.join("case.yaml");
            fs::write(&file, case.bytes()).expect("the file can be written");
            assert!(kubectl(&file).is_err(), "kubectl reads {} without an error", case.name);
        }
    }
    let mut objects = kubectl(&together).expect("kubectl reads all cases that succeed").into_iter();
    for case in cases {
        for expected in case.expected.iter().flatten() {
            let found = case.shown(objects.next().expect("an object for each result"));
            assert!(same(&found, expected), "{}: kubectl says {found}, the record {expected}", case.name);
        }
    }
    assert_eq!(objects.next(), None);
}

fn record(preface: &str, cases: &[Case]) {
    let mut text = preface.trim_end().to_owned();
    for case in cases {
        text.push_str(&format!("\n\n=== {}\n{}", case.name, case.input));
        match &case.expected {
            Some(results) => results.iter().for_each(|result| text.push_str(&format!("\n>>> {result}"))),
            None => text.push_str("\n>>> error"),
        }
    }
    text.push('\n');
    fs::write(TABLE, text).expect("the table can be written");
}
