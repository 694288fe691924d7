//! Defaults of pods and pod templates.

use super::{default, default_text, each};
use serde_json::{Value, json};

pub(super) fn pod(object: &mut Value) {
    let spec = &mut object["spec"];
    pod_spec(spec);
    default(spec, "enableServiceLinks", json!(true));
    let host_network = spec["hostNetwork"] == json!(true);
    for list in ["containers", "initContainers"] {
        for container in each(spec, list) {
            requests_from_limits(&mut container["resources"]);
            for port in each(container, "ports").filter(|_| host_network) {
                let number = port["containerPort"].clone();
                default(port, "hostPort", number);
            }
        }
    }
}

/// What is limited is requested, unless it says otherwise (only in pods themselves).
fn requests_from_limits(resources: &mut Value) {
    let limits = resources.get("limits").and_then(Value::as_object).cloned().unwrap_or_default();
    for (name, amount) in limits {
        default(resources, "requests", json!({}));
        default(&mut resources["requests"], &name, amount);
    }
}

pub(super) fn template(template: &mut Value) {
    if template["spec"].is_object() {
        pod_spec(&mut template["spec"]);
    }
}

pub(super) fn pod_spec(spec: &mut Value) {
    default_text(spec, "dnsPolicy", "ClusterFirst");
    default_text(spec, "restartPolicy", "Always");
    default_text(spec, "schedulerName", "default-scheduler");
    default(spec, "securityContext", json!({}));
    default(spec, "terminationGracePeriodSeconds", json!(30));
    // The old name of the field always says the same as the new one.
    if let Some(account) = spec.get("serviceAccountName").cloned() {
        spec["serviceAccount"] = account;
    } else if let Some(account) = spec.get("serviceAccount").cloned() {
        spec["serviceAccountName"] = account;
    }
    for list in ["containers", "initContainers", "ephemeralContainers"] {
        for one in each(spec, list) {
            container(one);
        }
    }
    for one in each(spec, "volumes") {
        volume(one);
    }
}

fn container(container: &mut Value) {
    let image = container["image"].as_str().unwrap_or_default();
    let policy = if is_latest(image) { "Always" } else { "IfNotPresent" };
    default_text(container, "imagePullPolicy", policy);
    default_text(container, "terminationMessagePath", "/dev/termination-log");
    default_text(container, "terminationMessagePolicy", "File");
    for port in each(container, "ports") {
        default_text(port, "protocol", "TCP");
    }
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if container.get(name).is_some_and(Value::is_object) {
            probe(&mut container[name]);
        }
    }
    for name in ["postStart", "preStop"] {
        if let Some(handler) = container.get_mut("lifecycle").and_then(|lifecycle| lifecycle.get_mut(name)) {
            http_get(handler);
        }
    }
    for variable in each(container, "env") {
        if let Some(field) = variable.get_mut("valueFrom").and_then(|from| from.get_mut("fieldRef")) {
            default_text(field, "apiVersion", "v1");
        }
    }
}

/// Whether the image has no tag, or `latest`, and no digest.
fn is_latest(image: &str) -> bool {
    if image.contains('@') {
        return false;
    }
    let name = image.rsplit('/').next().unwrap_or_default();
    name.split_once(':').is_none_or(|(_, tag)| tag == "latest")
}

fn probe(probe: &mut Value) {
    for (field, number) in
        [("timeoutSeconds", 1), ("periodSeconds", 10), ("successThreshold", 1), ("failureThreshold", 3)]
    {
        default(probe, field, json!(number));
    }
    http_get(probe);
    if probe.get("grpc").is_some_and(Value::is_object) {
        default(&mut probe["grpc"], "service", json!(""));
    }
}

fn http_get(handler: &mut Value) {
    if let Some(get) = handler.get_mut("httpGet").filter(|get| get.is_object()) {
        default_text(get, "path", "/");
        default_text(get, "scheme", "HTTP");
    }
}

fn volume(volume: &mut Value) {
    if volume.as_object().is_some_and(|fields| fields.keys().all(|field| field == "name")) {
        volume["emptyDir"] = json!({});
    }
    for name in ["secret", "configMap", "downwardAPI", "projected"] {
        if volume.get(name).is_some_and(Value::is_object) {
            default(&mut volume[name], "defaultMode", json!(420));
        }
    }
    if let Some(projected) = volume.get_mut("projected") {
        for source in each(projected, "sources") {
            if source.get("serviceAccountToken").is_some_and(Value::is_object) {
                default(&mut source["serviceAccountToken"], "expirationSeconds", json!(3600));
            }
            if let Some(downward) = source.get_mut("downwardAPI") {
                downward_items(downward);
            }
        }
    }
    if let Some(downward) = volume.get_mut("downwardAPI") {
        downward_items(downward);
    }
    if let Some(path) = volume.get_mut("hostPath").filter(|path| path.is_object()) {
        default(path, "type", json!(""));
    }
    if let Some(claim) =
        volume.get_mut("ephemeral").and_then(|ephemeral| ephemeral.get_mut("volumeClaimTemplate"))
    {
        default(&mut claim["spec"], "volumeMode", json!("Filesystem"));
    }
}

fn downward_items(source: &mut Value) {
    for item in each(source, "items") {
        if let Some(field) = item.get_mut("fieldRef").filter(|field| field.is_object()) {
            default_text(field, "apiVersion", "v1");
        }
    }
}
