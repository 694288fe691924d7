//! Defaults of the kinds that run nothing.

use super::{default, default_text, each};
use crate::kinds::Kind;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

pub(super) fn fill(kind: &Kind, object: &mut Value) {
    match (kind.group.as_str(), kind.kind.as_str()) {
        ("", "Secret") => {
            default_text(object, "type", "Opaque");
            encode_strings(object);
        }
        ("", "PersistentVolumeClaim") => {
            default(&mut object["spec"], "volumeMode", json!("Filesystem"));
            default_text(&mut object["status"], "phase", "Pending");
        }
        ("", "PersistentVolume") => {
            if let Some(path) = object["spec"].get_mut("hostPath") {
                default(path, "type", json!(""));
            }
            default_text(&mut object["spec"], "persistentVolumeReclaimPolicy", "Retain");
            default(&mut object["spec"], "volumeMode", json!("Filesystem"));
            default_text(&mut object["status"], "phase", "Pending");
        }
        ("", "Namespace") => namespace(object),
        ("", "Endpoints") => {
            for subset in each(object, "subsets") {
                protocols(subset);
            }
        }
        ("discovery.k8s.io", "EndpointSlice") => {
            protocols(object);
            for port in each(object, "ports") {
                default(port, "name", json!(""));
            }
        }
        ("networking.k8s.io", "NetworkPolicy") => network_policy(&mut object["spec"]),
        ("rbac.authorization.k8s.io", "RoleBinding" | "ClusterRoleBinding") => binding(object),
        ("storage.k8s.io", "StorageClass") => {
            default(object, "reclaimPolicy", json!("Delete"));
            default(object, "volumeBindingMode", json!("Immediate"));
        }
        ("storage.k8s.io", "CSIDriver") => csi_driver(&mut object["spec"]),
        ("scheduling.k8s.io", "PriorityClass") => {
            default(object, "preemptionPolicy", json!("PreemptLowerPriority"));
        }
        (
            "admissionregistration.k8s.io",
            "MutatingWebhookConfiguration" | "ValidatingWebhookConfiguration",
        ) => {
            webhooks(object, kind.kind.starts_with("Mutating"));
        }
        ("admissionregistration.k8s.io", "ValidatingAdmissionPolicy") => {
            default(&mut object["spec"], "failurePolicy", json!("Fail"));
            if object["spec"].get("matchConstraints").is_some_and(Value::is_object) {
                match_resources(&mut object["spec"]["matchConstraints"]);
            }
        }
        ("apiextensions.k8s.io", "CustomResourceDefinition") => definition(&mut object["spec"]),
        _ => {}
    }
}

/// `stringData` is only ever written: it becomes part of `data`.
fn encode_strings(object: &mut Value) {
    let plain = object.as_object_mut().and_then(|fields| fields.remove("stringData"));
    for (key, text) in plain.as_ref().and_then(Value::as_object).into_iter().flatten() {
        default(object, "data", json!({}));
        object["data"][key] = json!(STANDARD.encode(text.as_str().unwrap_or_default()));
    }
}

fn protocols(object: &mut Value) {
    for port in each(object, "ports") {
        default(port, "protocol", json!("TCP"));
    }
}

fn namespace(object: &mut Value) {
    default_text(&mut object["status"], "phase", "Active");
    // Every namespace carries its name as a label.
    if let Some(name) = object["metadata"]["name"].as_str().filter(|name| !name.is_empty()).map(str::to_owned)
    {
        default(&mut object["metadata"], "labels", json!({}));
        object["metadata"]["labels"]["kubernetes.io/metadata.name"] = json!(name);
    }
}

pub(super) fn service(spec: &mut Value) {
    default_text(spec, "sessionAffinity", "None");
    default_text(spec, "type", "ClusterIP");
    if spec["sessionAffinity"] == "ClientIP" {
        default(spec, "sessionAffinityConfig", json!({"clientIP": {"timeoutSeconds": 10800}}));
    }
    for port in each(spec, "ports") {
        default_text(port, "protocol", "TCP");
        if matches!(&port["targetPort"], Value::Null)
            || port["targetPort"] == json!(0)
            || port["targetPort"] == json!("")
        {
            port["targetPort"] = port["port"].clone();
        }
    }
    let kind = spec["type"].as_str().unwrap_or_default().to_owned();
    if kind == "NodePort" || kind == "LoadBalancer" {
        default_text(spec, "externalTrafficPolicy", "Cluster");
    }
    if kind != "ExternalName" {
        default(spec, "internalTrafficPolicy", json!("Cluster"));
    }
    if kind == "LoadBalancer" {
        default(spec, "allocateLoadBalancerNodePorts", json!(true));
    }
}

fn network_policy(spec: &mut Value) {
    let egress = spec["egress"].as_array().is_some_and(|rules| !rules.is_empty());
    let types = if egress { json!(["Ingress", "Egress"]) } else { json!(["Ingress"]) };
    default(spec, "policyTypes", types);
    for direction in ["ingress", "egress"] {
        for rule in each(spec, direction) {
            protocols(rule);
        }
    }
}

fn binding(object: &mut Value) {
    const GROUP: &str = "rbac.authorization.k8s.io";
    default_text(&mut object["roleRef"], "apiGroup", GROUP);
    for subject in each(object, "subjects") {
        if let Some("User" | "Group") = subject["kind"].as_str() {
            default_text(subject, "apiGroup", GROUP);
        }
    }
}

fn csi_driver(spec: &mut Value) {
    default(spec, "attachRequired", json!(true));
    default(spec, "podInfoOnMount", json!(false));
    default(spec, "storageCapacity", json!(false));
    default(spec, "fsGroupPolicy", json!("ReadWriteOnceWithFSType"));
    default(spec, "volumeLifecycleModes", json!(["Persistent"]));
    default(spec, "requiresRepublish", json!(false));
    default(spec, "seLinuxMount", json!(false));
}

fn webhooks(object: &mut Value, mutating: bool) {
    for webhook in each(object, "webhooks") {
        default(webhook, "failurePolicy", json!("Fail"));
        default(webhook, "timeoutSeconds", json!(10));
        match_resources(webhook);
        for rule in each(webhook, "rules") {
            default(rule, "scope", json!("*"));
        }
        if mutating {
            default(webhook, "reinvocationPolicy", json!("Never"));
        }
        if let Some(service) =
            webhook["clientConfig"].get_mut("service").filter(|service| service.is_object())
        {
            default(service, "port", json!(443));
        }
    }
}

fn match_resources(object: &mut Value) {
    default(object, "matchPolicy", json!("Equivalent"));
    default(object, "namespaceSelector", json!({}));
    default(object, "objectSelector", json!({}));
    for list in ["resourceRules", "excludeResourceRules"] {
        for rule in each(object, list) {
            default(rule, "scope", json!("*"));
        }
    }
}

fn definition(spec: &mut Value) {
    let kind = spec["names"]["kind"].as_str().unwrap_or_default().to_owned();
    default_text(&mut spec["names"], "singular", &kind.to_lowercase());
    default_text(&mut spec["names"], "listKind", &format!("{kind}List"));
    default(spec, "conversion", json!({}));
    default_text(&mut spec["conversion"], "strategy", "None");
}
