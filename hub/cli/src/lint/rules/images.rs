//! Which image will run tomorrow is what runs today?

use serde_json::Value;

use crate::lint::locate::{FieldPath, Step};

/// Lists in which containers are, wherever in an object; in other kinds than Pods too.
const LISTS: [&str; 3] = ["containers", "initContainers", "ephemeralContainers"];

/// The images of an object that name neither a digest nor a tag that stays, with what to do about each.
pub(in crate::lint) fn check(object: &Value) -> Vec<(FieldPath, String)> {
    let mut found = Vec::new();
    // A definition describes containers, it has none.
    if object.get("kind").and_then(Value::as_str) != Some("CustomResourceDefinition") {
        walk(object, &mut Vec::new(), &mut found);
    }
    found
}

fn walk(value: &Value, path: &mut Vec<Step>, found: &mut Vec<(FieldPath, String)>) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                path.push(Step::Key(key.clone()));
                if LISTS.contains(&key.as_str()) {
                    containers(value, path, found);
                }
                walk(value, path, found);
                path.pop();
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                path.push(Step::Index(index));
                walk(item, path, found);
                path.pop();
            }
        }
        _ => {}
    }
}

fn containers(list: &Value, path: &[Step], found: &mut Vec<(FieldPath, String)>) {
    for (index, container) in list.as_array().into_iter().flatten().enumerate() {
        let image = container.get("image").and_then(Value::as_str);
        if let Some((image, flaw)) = image.and_then(|image| flaw(image).map(|flaw| (image, flaw))) {
            let steps = path.iter().cloned().chain([Step::Index(index), Step::Key("image".to_owned())]);
            found.push((
                FieldPath(steps.collect()),
                format!("the image `{image}` {flaw}, so what runs changes without a commit; give it a version or a digest"),
            ));
        }
    }
}

/// Why an image is not always the same. A name that is filled in later is not judged.
fn flaw(image: &str) -> Option<&'static str> {
    if image.is_empty() || image.contains('@') || image.contains("${") || image.contains("$(") {
        return None;
    }
    let name = image.rsplit('/').next().unwrap_or(image);
    match name.split_once(':') {
        None | Some((_, "")) => Some("has no tag"),
        Some((_, "latest")) => Some("has the tag `latest`"),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_tag_or_digest_is_wanted() {
        for (image, expected) in [
            ("nginx", Some("has no tag")),
            ("nginx:latest", Some("has the tag `latest`")),
            ("registry.example.com:5000/shop/web", Some("has no tag")),
            ("registry.example.com:5000/shop/web:1.2", None),
            ("nginx:1.27", None),
            ("nginx@sha256:0123", None),
            ("nginx:latest@sha256:0123", None),
            ("${IMAGE}", None),
            ("", None),
        ] {
            assert_eq!(flaw(image), expected, "{image}");
        }
    }

    #[test]
    fn images_are_found_wherever_containers_are() {
        let pod =
            json!({"containers": [{"image": "a:1"}, {"image": "b"}], "initContainers": [{"image": "c"}]});
        let object =
            json!({"kind": "CronJob", "spec": {"jobTemplate": {"spec": {"template": {"spec": pod}}}}});
        let places: Vec<_> = check(&object).into_iter().map(|(path, _)| path.to_string()).collect();
        let base = "spec.jobTemplate.spec.template.spec";
        assert_eq!(
            places,
            [format!("{base}.containers[1].image"), format!("{base}.initContainers[0].image")]
        );
        assert!(
            check(&json!({"kind": "CustomResourceDefinition", "containers": [{"image": "a"}]})).is_empty()
        );
        assert!(check(&json!({"kind": "A", "containers": 1, "image": "b"})).is_empty());
    }
}
