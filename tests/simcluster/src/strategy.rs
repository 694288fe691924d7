//! What does the server itself set when an object is created or updated, whatever the writer said?

use crate::decode::decode;
use crate::kinds::{Generation, Kind};
use crate::state::Addresses;
use serde_json::{Map, Value, json};

/// Prepares an object that is being created; its uid is set already.
pub(crate) fn create(kind: &Kind, object: &mut Value, addresses: &mut Addresses) {
    reset_status(kind, object);
    if kind.generation != Generation::None {
        object["metadata"]["generation"] = json!(1);
    }
    match (kind.group.as_str(), kind.kind.as_str()) {
        ("", "Service") => allocate(object, addresses),
        ("", "Namespace") => {
            object["spec"]["finalizers"] = json!(["kubernetes"]);
            object["status"] = json!({"phase": "Active"});
            // A name that was generated is not known before.
            crate::defaults::fill(kind, object);
        }
        ("", "PersistentVolumeClaim") => {
            object["status"] = json!({"phase": "Pending"});
            protect(object, CLAIM_PROTECTION);
        }
        ("", "PersistentVolume") => {
            let since = object["metadata"]["creationTimestamp"].clone();
            object["status"] = json!({"phase": "Pending", "lastPhaseTransitionTime": since});
            protect(object, VOLUME_PROTECTION);
        }
        ("", "Pod") => pod(object),
        ("batch", "Job") => job_selector(object),
        ("apps", "DaemonSet") => template_generation(object, 1),
        ("scheduling.k8s.io", "PriorityClass") if object["value"].is_null() => object["value"] = json!(0),
        ("apiextensions.k8s.io", "CustomResourceDefinition") => definition_status(object),
        _ => {}
    }
}

/// What keeps storage that is in use from going.
pub(crate) const CLAIM_PROTECTION: &str = "kubernetes.io/pvc-protection";
pub(crate) const VOLUME_PROTECTION: &str = "kubernetes.io/pv-protection";

fn protect(object: &mut Value, finalizer: &str) {
    let finalizers = &mut object["metadata"]["finalizers"];
    match finalizers.as_array_mut() {
        Some(list) if list.contains(&json!(finalizer)) => {}
        Some(list) => list.push(json!(finalizer)),
        None => *finalizers = json!([finalizer]),
    }
}

/// Prepares an object that replaces `live`.
pub(crate) fn update(kind: &Kind, live: &Value, object: &mut Value, addresses: &mut Addresses) {
    if kind.status_apart() {
        copy(live, object, "status");
    }
    if (kind.group.as_str(), kind.kind.as_str()) == ("", "Service") {
        keep_addresses(live, object);
        allocate(object, addresses);
    }
    if kind.kind == "Namespace" && kind.group.is_empty() {
        copy(live, object, "spec");
    }
    if kind.kind == "DaemonSet" {
        keep_template_generation(live, object);
    }
    if kind.generation == Generation::Counted && specification(kind, live) != specification(kind, object) {
        let generation = live["metadata"]["generation"].as_i64().unwrap_or(0);
        object["metadata"]["generation"] = json!(generation + 1);
    }
}

/// What a change of bumps the generation.
fn specification(kind: &Kind, object: &Value) -> Map<String, Value> {
    let mut rest = object.as_object().cloned().unwrap_or_default();
    // Custom kinds without a status subresource have no status that is apart.
    let status = if kind.schema.custom() && !kind.status_apart() { "" } else { "status" };
    rest.retain(|field, _| !["apiVersion", "kind", "metadata", status].contains(&field.as_str()));
    if kind.kind == "Deployment" && kind.group == "apps" {
        rest.insert("annotations".to_owned(), object["metadata"]["annotations"].clone());
    }
    rest
}

fn copy(from: &Value, to: &mut Value, field: &str) {
    match (from.get(field), to.as_object_mut()) {
        (Some(value), Some(fields)) => {
            fields.insert(field.to_owned(), value.clone());
        }
        (None, Some(fields)) => {
            fields.remove(field);
        }
        _ => {}
    }
}

fn reset_status(kind: &Kind, object: &mut Value) {
    if !kind.status_apart() {
        return;
    }
    let (zero, _) = decode(&kind.schema, &json!({}));
    if kind.schema.custom() {
        if let Some(fields) = object.as_object_mut() {
            fields.remove("status");
        }
    } else {
        copy(&zero, object, "status");
    }
}

fn allocate(object: &mut Value, addresses: &mut Addresses) {
    let spec = &mut object["spec"];
    let kind = spec["type"].as_str().unwrap_or_default().to_owned();
    if kind != "ExternalName" {
        if spec["clusterIP"].as_str().is_none_or(str::is_empty) {
            spec["clusterIP"] = json!(addresses.ip());
        }
        if spec["clusterIPs"].is_null() {
            spec["clusterIPs"] = json!([spec["clusterIP"]]);
        }
        if spec["ipFamilies"].is_null() {
            spec["ipFamilies"] = json!(["IPv4"]);
        }
        if spec["ipFamilyPolicy"].is_null() {
            spec["ipFamilyPolicy"] = json!("SingleStack");
        }
        let headless_without_selector =
            spec["clusterIP"] == "None" && spec.get("selector").is_none_or(Value::is_null);
        if headless_without_selector && spec["ipFamilyPolicy"] == "SingleStack" {
            spec["ipFamilyPolicy"] = json!("RequireDualStack");
            spec["ipFamilies"] = json!(["IPv4", "IPv6"]);
        }
    }
    if kind == "NodePort" || kind == "LoadBalancer" {
        for port in spec["ports"].as_array_mut().into_iter().flatten() {
            if port["nodePort"].as_i64().unwrap_or(0) == 0 {
                port["nodePort"] = addresses.node_port();
            }
        }
    }
    // Looking a field up to change it leaves a null where there is none.
    if let Some(fields) = spec.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
    }
}

/// An update that does not name the addresses keeps them.
fn keep_addresses(live: &Value, object: &mut Value) {
    if object["spec"]["type"] == "ExternalName" {
        return;
    }
    for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "healthCheckNodePort"] {
        let missing = match object["spec"].get(field) {
            None | Some(Value::Null) => true,
            Some(Value::String(text)) => text.is_empty(),
            Some(_) => false,
        };
        if let (true, Some(value)) = (missing, live["spec"].get(field)) {
            object["spec"][field] = value.clone();
        }
    }
    if object["spec"]["type"] == "ClusterIP" {
        return;
    }
    let live_ports = live["spec"]["ports"].as_array().cloned().unwrap_or_default();
    for port in object["spec"]["ports"].as_array_mut().into_iter().flatten() {
        let same = |other: &&Value| other["port"] == port["port"] && other["protocol"] == port["protocol"];
        if port.get("nodePort").is_none()
            && let Some(number) = live_ports.iter().find(same).and_then(|other| other.get("nodePort"))
        {
            port["nodePort"] = number.clone();
        }
    }
}

fn pod(object: &mut Value) {
    let containers = object["spec"]["containers"].as_array().cloned().unwrap_or_default();
    let amounts =
        |container: &Value, list: &str| container["resources"][list].as_object().cloned().unwrap_or_default();
    let none =
        containers.iter().all(|c| amounts(c, "limits").is_empty() && amounts(c, "requests").is_empty());
    let all = containers.iter().all(|c| {
        let limits = amounts(c, "limits");
        limits.contains_key("cpu") && limits.contains_key("memory") && limits == amounts(c, "requests")
    });
    let class = if none {
        "BestEffort"
    } else if all {
        "Guaranteed"
    } else {
        "Burstable"
    };
    object["status"] = json!({"phase": "Pending", "qosClass": class});
    // What the admission of service accounts and priorities adds.
    let spec = &mut object["spec"];
    for (field, value) in [
        ("serviceAccountName", json!("default")),
        ("serviceAccount", json!("default")),
        ("priority", json!(0)),
        ("preemptionPolicy", json!("PreemptLowerPriority")),
    ] {
        if spec[field].is_null() {
            spec[field] = value;
        }
    }
}

/// Jobs select their pods by their own uid unless told otherwise.
fn job_selector(object: &mut Value) {
    if object["spec"]["manualSelector"] == json!(true) {
        return;
    }
    if let Some(fields) = object["spec"].as_object_mut() {
        fields.retain(|_, value| !value.is_null());
    }
    let (uid, name) = (object["metadata"]["uid"].clone(), object["metadata"]["name"].clone());
    let labels = &mut object["spec"]["template"]["metadata"]["labels"];
    if labels.is_null() {
        *labels = json!({});
    }
    for (label, value) in [
        ("batch.kubernetes.io/controller-uid", &uid),
        ("controller-uid", &uid),
        ("batch.kubernetes.io/job-name", &name),
        ("job-name", &name),
    ] {
        labels[label] = value.clone();
    }
    let labels = labels.clone();
    if object["metadata"].get("labels").is_none_or(Value::is_null) {
        object["metadata"]["labels"] = labels;
    }
    object["spec"]["selector"] = json!({"matchLabels": {"batch.kubernetes.io/controller-uid": uid}});
}

/// The annotation that counts the changes of a DaemonSet's template.
pub(crate) const TEMPLATE_GENERATION: &str = "deprecated.daemonset.template.generation";

fn template_generation(object: &mut Value, generation: i64) {
    if object["metadata"]["annotations"].is_null() {
        object["metadata"]["annotations"] = json!({});
    }
    object["metadata"]["annotations"][TEMPLATE_GENERATION] = json!(generation.to_string());
}

fn keep_template_generation(live: &Value, object: &mut Value) {
    let before = live["metadata"]["annotations"][TEMPLATE_GENERATION].as_str();
    let before: i64 = before.and_then(|text| text.parse().ok()).unwrap_or(1);
    let changed = live["spec"]["template"] != object["spec"]["template"];
    template_generation(object, before + i64::from(changed));
}

fn definition_status(object: &mut Value) {
    let versions = object["spec"]["versions"].as_array().into_iter().flatten();
    let stored =
        versions.filter(|version| version["storage"] == json!(true)).map(|version| version["name"].clone());
    object["status"] = json!({
        "conditions": null,
        "acceptedNames": {"plural": "", "kind": ""},
        "storedVersions": stored.collect::<Vec<_>>(),
    });
}
