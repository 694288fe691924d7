//! Is this object one the API server would take? (names, labels, required and immutable fields)
//!
//! The checks that people meet: what a broken manifest in Git trips over. Not every rule of every kind.

use crate::kinds::Kind;
use crate::selector::{is_label, is_label_key, is_label_value, is_subdomain};
use crate::status::{Cause, Failure};
use serde_json::{Value, json};

const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', \
                         and must start and end with an alphanumeric character (e.g. 'example.com', regex used for \
                         validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must \
                     start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for \
                     validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const LABEL_KEY: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end \
                         with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for \
                         validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const LABEL_VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or \
                           '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or \
                           'my_value',  or '12345', regex used for validation is \
                           '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const DATA_KEY: &str = "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  \
                        or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')";
const IMMUTABLE: &str = "field is immutable";

/// Checks a new object.
pub(super) fn create(kind: &Kind, object: &Value) -> Result<(), Failure> {
    let mut causes = Vec::new();
    name(kind, object, &mut causes);
    metadata(object, &mut causes);
    specification(kind, object, &mut causes);
    finish(kind, object, causes)
}

/// Checks the new state of an object.
pub(super) fn update(kind: &Kind, before: &Value, object: &Value) -> Result<(), Failure> {
    let mut causes = Vec::new();
    metadata(object, &mut causes);
    specification(kind, object, &mut causes);
    immutable(kind, before, object, &mut causes);
    new_finalizers(before, object, &mut causes);
    finish(kind, object, causes)
}

fn finish(kind: &Kind, object: &Value, causes: Vec<Cause>) -> Result<(), Failure> {
    if causes.is_empty() {
        return Ok(());
    }
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    Err(Failure::invalid(&kind.group, &kind.kind, name, causes))
}

fn name(kind: &Kind, object: &Value, causes: &mut Vec<Cause>) {
    let field = "metadata.name";
    let value = &object["metadata"]["name"];
    let name = value.as_str().unwrap_or_default();
    if name.is_empty() {
        causes.push(Cause::required(field, "name or generateName is required"));
        return;
    }
    let free = kind.group == "rbac.authorization.k8s.io";
    let short = matches!(kind.kind.as_str(), "Namespace" | "Service") && kind.group.is_empty();
    let wrong = match (free, short) {
        (true, _) if matches!(name, "." | "..") || name.contains(['/', '%']) => {
            Some("may not be '.' or '..' or contain '/' or '%'")
        }
        (true, _) => None,
        (false, true) if !is_label(name, 63) => Some(LABEL),
        (false, false) if !is_subdomain(name) => Some(SUBDOMAIN),
        _ => None,
    };
    if let Some(why) = wrong {
        causes.push(Cause::invalid(field, value, why));
    }
    if kind.kind == "CustomResourceDefinition" {
        let plural = object["spec"]["names"]["plural"].as_str().unwrap_or_default();
        let expected = format!("{plural}.{}", object["spec"]["group"].as_str().unwrap_or_default());
        if name != expected {
            let why = "must be spec.names.plural+\".\"+spec.group";
            causes.push(Cause::invalid(field, value, why));
        }
    }
}

fn metadata(object: &Value, causes: &mut Vec<Cause>) {
    for (key, value) in object["metadata"]["labels"].as_object().into_iter().flatten() {
        if !is_label_key(key) {
            causes.push(Cause::invalid("metadata.labels", &json!(key), LABEL_KEY));
        }
        if !value.as_str().is_some_and(is_label_value) {
            causes.push(Cause::invalid("metadata.labels", value, LABEL_VALUE));
        }
    }
    for key in object["metadata"]["annotations"].as_object().into_iter().flatten().map(|(key, _)| key) {
        if !is_label_key(&key.to_lowercase()) {
            causes.push(Cause::invalid("metadata.annotations", &json!(key), LABEL_KEY));
        }
    }
}

fn specification(kind: &Kind, object: &Value, causes: &mut Vec<Cause>) {
    let spec = &object["spec"];
    match (kind.group.as_str(), kind.kind.as_str()) {
        ("apps", _) if spec["template"].is_object() => {
            selector(spec, causes);
            pod_template(spec, "spec.template", causes);
            let policy = &spec["template"]["spec"]["restartPolicy"];
            if policy != "Always" {
                causes.push(Cause::unsupported("spec.template.spec.restartPolicy", policy, &["Always"]));
            }
        }
        ("batch", "Job") => job(spec, "spec.template", causes),
        ("batch", "CronJob") => {
            required(spec, "spec", "schedule", causes);
            job(&spec["jobTemplate"]["spec"], "spec.jobTemplate.spec.template", causes);
        }
        ("", "Pod") => containers(spec, "spec", &[], causes),
        ("", "Service") => service(spec, causes),
        ("", "ConfigMap" | "Secret") => data_keys(object, causes),
        ("networking.k8s.io", "Ingress") => ingress(spec, causes),
        ("autoscaling", _) => {
            let max = spec["maxReplicas"].as_i64().unwrap_or(0);
            if max < 1 {
                causes.push(Cause::invalid("spec.maxReplicas", &json!(max), "must be greater than 0"));
            }
        }
        ("apiextensions.k8s.io", _) => definition(spec, causes),
        ("rbac.authorization.k8s.io", "RoleBinding" | "ClusterRoleBinding") => {
            required(&object["roleRef"], "roleRef", "name", causes);
        }
        _ => {}
    }
    if spec["replicas"].as_i64().is_some_and(|replicas| replicas < 0) && !kind.schema.custom() {
        let why = "must be greater than or equal to 0";
        causes.push(Cause::invalid("spec.replicas", &spec["replicas"], why));
    }
}

fn required(object: &Value, path: &str, field: &str, causes: &mut Vec<Cause>) {
    if object[field].as_str().is_none_or(str::is_empty) {
        causes.push(Cause::required(format!("{path}.{field}"), ""));
    }
}

fn selector(spec: &Value, causes: &mut Vec<Cause>) {
    let selector = &spec["selector"];
    let labels = &spec["template"]["metadata"]["labels"];
    let size = |field: &str| selector[field].as_object().map_or(0, |fields| fields.len());
    let expressions = selector["matchExpressions"].as_array().map_or(0, Vec::len);
    if selector.is_null() {
        causes.push(Cause::required("spec.selector", ""));
    } else if size("matchLabels") + expressions == 0 {
        let why = "empty selector is invalid for deployment";
        causes.push(Cause::invalid("spec.selector", selector, why));
    }
    let wanted = selector["matchLabels"].as_object().into_iter().flatten();
    if wanted.clone().any(|(key, value)| labels.get(key) != Some(value))
        || (selector.is_null() && labels.is_null())
    {
        let why = "`selector` does not match template `labels`";
        causes.push(Cause::invalid("spec.template.metadata.labels", labels, why));
    }
}

fn pod_template(spec: &Value, path: &str, causes: &mut Vec<Cause>) {
    let claims = spec["volumeClaimTemplates"].as_array().into_iter().flatten();
    let claims: Vec<&Value> = claims.map(|claim| &claim["metadata"]["name"]).collect();
    containers(&spec["template"]["spec"], &format!("{path}.spec"), &claims, causes);
}

fn job(spec: &Value, path: &str, causes: &mut Vec<Cause>) {
    pod_template(spec, path, causes);
    let policy = &spec["template"]["spec"]["restartPolicy"];
    if policy != "OnFailure" && policy != "Never" {
        let why = "valid values: \"OnFailure\", \"Never\"";
        causes.push(Cause::required(format!("{path}.spec.restartPolicy"), why));
    }
}

/// `claims` are volumes that come from elsewhere.
fn containers(pod: &Value, path: &str, claims: &[&Value], causes: &mut Vec<Cause>) {
    let listed = pod["containers"].as_array().map(Vec::as_slice).unwrap_or_default();
    if listed.is_empty() {
        causes.push(Cause::required(format!("{path}.containers"), ""));
    }
    let volumes = pod["volumes"].as_array().into_iter().flatten().map(|volume| &volume["name"]);
    let volumes: Vec<&Value> = volumes.chain(claims.iter().copied()).collect();
    for (index, container) in listed.iter().enumerate() {
        let path = format!("{path}.containers[{index}]");
        required(container, &path, "name", causes);
        required(container, &path, "image", causes);
        if listed[..index].iter().any(|other| other["name"] == container["name"]) {
            causes.push(Cause::duplicate(format!("{path}.name"), &container["name"]));
        }
        if let Some(name) = container["name"].as_str().filter(|name| !name.is_empty() && !is_label(name, 63))
        {
            causes.push(Cause::invalid(format!("{path}.name"), &json!(name), LABEL));
        }
        for (index, mount) in container["volumeMounts"].as_array().into_iter().flatten().enumerate() {
            if !volumes.contains(&&mount["name"]) {
                let message = format!("Not found: {}", mount["name"]);
                let field = format!("{path}.volumeMounts[{index}].name");
                causes.push(Cause { reason: "FieldValueNotFound", message, field });
            }
        }
        for (index, port) in container["ports"].as_array().into_iter().flatten().enumerate() {
            check_port(&port["containerPort"], &format!("{path}.ports[{index}].containerPort"), causes);
        }
    }
}

fn check_port(port: &Value, field: &str, causes: &mut Vec<Cause>) {
    if !port.as_i64().is_some_and(|number| (1..=65535).contains(&number)) {
        causes.push(Cause::invalid(field, port, "must be between 1 and 65535, inclusive"));
    }
}

fn service(spec: &Value, causes: &mut Vec<Cause>) {
    let kinds = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
    if !kinds.iter().any(|kind| spec["type"] == *kind) {
        causes.push(Cause::unsupported("spec.type", &spec["type"], &kinds));
    }
    let ports = spec["ports"].as_array().map(Vec::as_slice).unwrap_or_default();
    if ports.is_empty() && spec["type"] != "ExternalName" && spec["clusterIP"] != "None" {
        causes.push(Cause::required("spec.ports", ""));
    }
    for (index, port) in ports.iter().enumerate() {
        let path = format!("spec.ports[{index}]");
        check_port(&port["port"], &format!("{path}.port"), causes);
        if ports.len() > 1 {
            required(port, &path, "name", causes);
        }
        let same = |other: &&Value| other["port"] == port["port"] && other["protocol"] == port["protocol"];
        if ports[..index].iter().any(|other| same(&other)) {
            let value = json!({"port": port["port"], "protocol": port["protocol"]});
            causes.push(Cause::duplicate(path, &value));
        }
    }
}

fn data_keys(object: &Value, causes: &mut Vec<Cause>) {
    let valid = |key: &str| {
        let inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        !key.is_empty() && key.len() <= 253 && key.bytes().all(inner) && key != "." && key != ".."
    };
    for field in ["data", "binaryData"] {
        for (key, _) in object[field].as_object().into_iter().flatten() {
            if !valid(key) {
                causes.push(Cause::invalid(format!("{field}[{key}]"), &json!(key), DATA_KEY));
            }
        }
    }
}

fn ingress(spec: &Value, causes: &mut Vec<Cause>) {
    for (index, rule) in spec["rules"].as_array().into_iter().flatten().enumerate() {
        for (at, path) in rule["http"]["paths"].as_array().into_iter().flatten().enumerate() {
            if path["pathType"].as_str().is_none_or(str::is_empty) {
                let field = format!("spec.rules[{index}].http.paths[{at}].pathType");
                causes.push(Cause::required(field, "pathType must be specified"));
            }
        }
    }
}

fn definition(spec: &Value, causes: &mut Vec<Cause>) {
    for field in ["group", "scope"] {
        required(spec, "spec", field, causes);
    }
    for field in ["plural", "kind"] {
        required(&spec["names"], "spec.names", field, causes);
    }
    let versions = spec["versions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let stored = versions.iter().filter(|version| version["storage"] == json!(true)).count();
    if stored != 1 {
        let why = "must have exactly one version marked as storage version";
        causes.push(Cause::invalid("spec.versions", &spec["versions"], why));
    }
    for (index, version) in versions.iter().enumerate() {
        if !version["schema"]["openAPIV3Schema"].is_object() {
            let field = format!("spec.versions[{index}].schema.openAPIV3Schema");
            causes.push(Cause::required(field, "schemas are required"));
        }
    }
}

/// Paths that cannot change, by group and kind.
fn fixed_paths(kind: &Kind) -> &'static [&'static str] {
    match (kind.group.as_str(), kind.kind.as_str()) {
        ("apps", "Deployment" | "DaemonSet" | "ReplicaSet") => &["spec.selector"],
        ("batch", "Job") => &["spec.selector", "spec.template.spec", "spec.completionMode"],
        ("", "Secret") => &["type"],
        ("storage.k8s.io", "StorageClass") => {
            &["provisioner", "parameters", "reclaimPolicy", "volumeBindingMode"]
        }
        ("scheduling.k8s.io", "PriorityClass") => &["value", "preemptionPolicy"],
        ("apiextensions.k8s.io", _) => &["spec.group", "spec.scope", "spec.names.plural", "spec.names.kind"],
        _ => &[],
    }
}

fn immutable(kind: &Kind, before: &Value, object: &Value, causes: &mut Vec<Cause>) {
    let at = |object: &Value, path: &str| {
        object.pointer(&format!("/{}", path.replace('.', "/"))).cloned().unwrap_or(Value::Null)
    };
    for path in fixed_paths(kind) {
        let (old, new) = (at(before, path), at(object, path));
        if old != new {
            causes.push(Cause::invalid(*path, &new, IMMUTABLE));
        }
    }
    if before["immutable"] == json!(true) {
        for field in ["immutable", "data", "binaryData"] {
            if before.get(field) != object.get(field) {
                causes.push(Cause::forbidden(field, "field is immutable when `immutable` is set"));
            }
        }
    }
    match (kind.group.as_str(), kind.kind.as_str()) {
        ("apps", "StatefulSet") => stateful_set(before, object, causes),
        ("", "Service") => {
            let (old, new) = (&before["spec"]["clusterIP"], &object["spec"]["clusterIP"]);
            if old != new
                && object["spec"]["type"] != "ExternalName"
                && old.as_str().is_some_and(|ip| !ip.is_empty())
            {
                causes.push(Cause::invalid("spec.clusterIPs[0]", &json!([new]), "may not change once set"));
            }
        }
        ("", "PersistentVolumeClaim") => claim(before, object, causes),
        ("rbac.authorization.k8s.io", _) if before["roleRef"] != object["roleRef"] => {
            let role = &object["roleRef"];
            let shown = json!({"APIGroup": role["apiGroup"], "Kind": role["kind"], "Name": role["name"]});
            causes.push(Cause::invalid("roleRef", &shown, "cannot change roleRef"));
        }
        _ => {}
    }
}

fn stateful_set(before: &Value, object: &Value, causes: &mut Vec<Cause>) {
    let free = [
        "replicas",
        "ordinals",
        "template",
        "updateStrategy",
        "revisionHistoryLimit",
        "persistentVolumeClaimRetentionPolicy",
        "minReadySeconds",
    ];
    let rest = |object: &Value| {
        let mut spec = object["spec"].as_object().cloned().unwrap_or_default();
        spec.retain(|field, _| !free.contains(&field.as_str()));
        spec
    };
    if rest(before) != rest(object) {
        let why = "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', \
                   'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and \
                   'minReadySeconds' are forbidden";
        causes.push(Cause::forbidden("spec", why));
    }
}

fn claim(before: &Value, object: &Value, causes: &mut Vec<Cause>) {
    let rest = |object: &Value| {
        let mut spec = object["spec"].as_object().cloned().unwrap_or_default();
        for field in ["resources", "volumeAttributesClassName", "volumeName"] {
            spec.remove(field);
        }
        spec
    };
    if rest(before) != rest(object) {
        let why = "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound \
                   claims";
        causes.push(Cause::forbidden("spec", why));
    }
}

fn new_finalizers(before: &Value, object: &Value, causes: &mut Vec<Cause>) {
    if !before["metadata"]["deletionTimestamp"].is_string() {
        return;
    }
    let list = |object: &Value| object["metadata"]["finalizers"].as_array().cloned().unwrap_or_default();
    let known = list(before);
    let new: Vec<Value> = list(object).into_iter().filter(|finalizer| !known.contains(finalizer)).collect();
    if !new.is_empty() {
        let listed: Vec<String> = new.iter().map(Value::to_string).collect();
        let why = format!(
            "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
            listed.join(", ")
        );
        // The API server says it twice.
        causes.extend([
            Cause::forbidden("metadata.finalizers", &why),
            Cause::forbidden("metadata.finalizers", &why),
        ]);
    }
}
