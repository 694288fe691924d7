//! How are rendered objects written, for people, `kubectl` and scripts?

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{AppObjects, Applied, mask::mask};
use crate::text::Page;
use crate::text::{Screen, Style, Table, Text, clean, is_active};

/// One YAML document an object, each with a comment that says whose it is and where it comes from. `kubectl`
/// reads them back to the same objects, unless values of Secrets are masked.
pub(crate) fn yaml(apps: &[AppObjects], show_secrets: bool) -> String {
    let mut text = String::new();
    let mut namespaces = BTreeSet::new();
    for app in apps {
        for object in &app.objects {
            if is_repeated_namespace(app, object, &mut namespaces) {
                continue;
            }
            let mut value = object.value.clone();
            let is_masked = !show_secrets && mask(&mut value);
            text.push_str("---\n");
            for comment in comments(app, object, is_masked) {
                text.push_str(&format!("# {}\n", clean(&comment)));
            }
            text.push_str(&inert(&muster_yaml::to_yaml(&value)));
        }
    }
    text
}

/// A namespace that only the agent makes, made for another app of this cluster before.
fn is_repeated_namespace<'a>(
    app: &'a AppObjects,
    object: &'a Applied,
    seen: &mut BTreeSet<(&'a str, &'a str)>,
) -> bool {
    let name = field(&object.value, "/metadata/name");
    field(&object.value, "/kind") == "Namespace"
        && !seen.insert((&app.cluster, name))
        && object.place.is_empty()
}

fn comments(app: &AppObjects, object: &Applied, is_masked: bool) -> Vec<String> {
    let mut whose = Vec::new();
    if !app.app.is_empty() {
        let suspended = if app.is_suspended { " (suspended)" } else { "" };
        whose.push(format!("cluster {}, app {}{suspended}", app.cluster, app.app));
    }
    whose.push(match object.place.as_str() {
        "" => "made by the agent when it is missing".to_owned(),
        place => place.to_owned(),
    });
    let masked =
        is_masked.then(|| "The values of this Secret are masked; --show-secrets shows them.".to_owned());
    std::iter::once(whose.join(", ")).chain(masked).collect()
}

/// YAML with everything a terminal might obey spelled as an escape. Such characters are only ever inside
/// double quotes, where an escape is the same text.
fn inert(yaml: &str) -> String {
    let mut safe = String::with_capacity(yaml.len());
    for character in yaml.chars() {
        if character != '\n' && is_active(character) {
            safe.push_str(&format!("\\U{:08X}", u32::from(character)));
        } else {
            safe.push(character);
        }
    }
    safe
}

/// All objects as one `List`, which `kubectl` takes too.
pub(crate) fn list(apps: &[AppObjects], show_secrets: bool) -> Value {
    let mut namespaces = BTreeSet::new();
    let mut items = Vec::new();
    for app in apps {
        for object in &app.objects {
            if is_repeated_namespace(app, object, &mut namespaces) {
                continue;
            }
            let mut value = object.value.clone();
            if !show_secrets {
                mask(&mut value);
            }
            items.push(value);
        }
    }
    json!({"apiVersion": "v1", "kind": "List", "items": items})
}

/// Names alone, one a line, each once: `Deployment.apps/shop/web`, `Namespace/shop`.
pub(crate) fn names(apps: &[AppObjects]) -> String {
    let mut seen = BTreeSet::new();
    let all = apps.iter().flat_map(|app| &app.objects).map(|object| name(&object.value));
    let new = all.filter(|name| seen.insert(name.clone()));
    new.map(|name| clean(&name) + "\n").collect()
}

/// Which objects there are, and where each comes from.
pub(crate) fn table(apps: &[AppObjects], screen: Screen) -> Page {
    let mut table = Table::new(["CLUSTER", "APP", "OBJECT", "FROM"]).cut_last();
    for app in apps {
        for object in &app.objects {
            let or_dash = |text: &str| if text.is_empty() { "-".to_owned() } else { text.to_owned() };
            table.row([
                Text::plain(or_dash(&app.cluster)),
                Text::plain(or_dash(&app.app)),
                Text::styled(Style::Strong, name(&object.value)),
                Text::styled(Style::Dim, or_dash(&object.place)),
            ]);
        }
    }
    let mut page = Page::new();
    page.table(&table, screen);
    page
}

fn field<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// `Kind.group/namespace/name`, as an agent's statuses name objects.
pub(crate) fn name(object: &Value) -> String {
    let group = field(object, "/apiVersion").split_once('/').map(|(group, _)| format!(".{group}"));
    let namespace = match field(object, "/metadata/namespace") {
        "" => String::new(),
        namespace => format!("{namespace}/"),
    };
    let (kind, name) = (field(object, "/kind"), field(object, "/metadata/name"));
    format!("{kind}{}/{namespace}{name}", group.unwrap_or_default())
}
