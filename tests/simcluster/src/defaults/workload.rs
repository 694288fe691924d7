//! Defaults of the kinds that run pods.

use super::pod::template;
use super::{default, default_text, each};
use crate::strategy::TEMPLATE_GENERATION;
use serde_json::{Value, json};

pub(super) fn deployment(spec: &mut Value) {
    default(spec, "replicas", json!(1));
    let strategy = &mut spec["strategy"];
    default_text(strategy, "type", "RollingUpdate");
    if strategy["type"] == "RollingUpdate" {
        default(strategy, "rollingUpdate", json!({}));
        default(&mut strategy["rollingUpdate"], "maxUnavailable", json!("25%"));
        default(&mut strategy["rollingUpdate"], "maxSurge", json!("25%"));
    }
    default(spec, "revisionHistoryLimit", json!(10));
    default(spec, "progressDeadlineSeconds", json!(600));
    template(&mut spec["template"]);
}

pub(super) fn stateful_set(spec: &mut Value) {
    default_text(spec, "podManagementPolicy", "OrderedReady");
    let strategy = &mut spec["updateStrategy"];
    default_text(strategy, "type", "RollingUpdate");
    if strategy["type"] == "RollingUpdate" {
        default(strategy, "rollingUpdate", json!({}));
        default(&mut strategy["rollingUpdate"], "partition", json!(0));
    }
    default(spec, "persistentVolumeClaimRetentionPolicy", json!({}));
    default_text(&mut spec["persistentVolumeClaimRetentionPolicy"], "whenDeleted", "Retain");
    default_text(&mut spec["persistentVolumeClaimRetentionPolicy"], "whenScaled", "Retain");
    default(spec, "replicas", json!(1));
    default(spec, "revisionHistoryLimit", json!(10));
    for claim in each(spec, "volumeClaimTemplates") {
        default_text(claim, "apiVersion", "v1");
        default_text(claim, "kind", "PersistentVolumeClaim");
        default(&mut claim["spec"], "volumeMode", json!("Filesystem"));
        default_text(&mut claim["status"], "phase", "Pending");
    }
    template(&mut spec["template"]);
}

pub(super) fn daemon_set(object: &mut Value) {
    // Where the API server keeps a count of template changes.
    default(&mut object["metadata"], "annotations", json!({}));
    default(&mut object["metadata"]["annotations"], TEMPLATE_GENERATION, json!("0"));
    let spec = &mut object["spec"];
    let strategy = &mut spec["updateStrategy"];
    default_text(strategy, "type", "RollingUpdate");
    if strategy["type"] == "RollingUpdate" {
        default(strategy, "rollingUpdate", json!({}));
        default(&mut strategy["rollingUpdate"], "maxUnavailable", json!(1));
        default(&mut strategy["rollingUpdate"], "maxSurge", json!(0));
    }
    default(spec, "revisionHistoryLimit", json!(10));
    template(&mut spec["template"]);
}

pub(super) fn replica_set(spec: &mut Value) {
    default(spec, "replicas", json!(1));
    template(&mut spec["template"]);
}

pub(super) fn replication_controller(object: &mut Value) {
    let labels = object["spec"]["template"]["metadata"].get("labels").cloned();
    if let Some(labels) = labels {
        default(&mut object["spec"], "selector", labels.clone());
        default(&mut object["metadata"], "labels", labels);
    }
    default(&mut object["spec"], "replicas", json!(1));
    if object["spec"].get("template").is_some_and(Value::is_object) {
        template(&mut object["spec"]["template"]);
    }
}

pub(super) fn job(spec: &mut Value) {
    if spec.get("completions").is_none() && spec.get("parallelism").is_none() {
        spec["completions"] = json!(1);
    }
    default(spec, "parallelism", json!(1));
    default(spec, "backoffLimit", json!(6));
    default(spec, "completionMode", json!("NonIndexed"));
    default(spec, "suspend", json!(false));
    default(spec, "manualSelector", json!(false));
    let replacement = if spec.get("podFailurePolicy").is_some() { "Failed" } else { "TerminatingOrFailed" };
    default(spec, "podReplacementPolicy", json!(replacement));
    template(&mut spec["template"]);
}

pub(super) fn cron_job(spec: &mut Value) {
    default_text(spec, "concurrencyPolicy", "Allow");
    default(spec, "suspend", json!(false));
    default(spec, "successfulJobsHistoryLimit", json!(3));
    default(spec, "failedJobsHistoryLimit", json!(1));
    template(&mut spec["jobTemplate"]["spec"]["template"]);
}

pub(super) fn autoscaler(spec: &mut Value) {
    default(spec, "minReplicas", json!(1));
    if spec.get("metrics").is_none_or(Value::is_null) {
        spec["metrics"] = json!([{
            "type": "Resource",
            "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}},
        }]);
    }
    if spec.get("behavior").is_some_and(Value::is_object) {
        let up = json!([
            {"type": "Pods", "value": 4, "periodSeconds": 15},
            {"type": "Percent", "value": 100, "periodSeconds": 15},
        ]);
        let down = json!([{"type": "Percent", "value": 100, "periodSeconds": 15}]);
        for (direction, policies) in [("scaleUp", up), ("scaleDown", down)] {
            default(&mut spec["behavior"], direction, json!({}));
            let rules = &mut spec["behavior"][direction];
            default(rules, "policies", policies);
            default(rules, "selectPolicy", json!("Max"));
            if direction == "scaleUp" {
                default(rules, "stabilizationWindowSeconds", json!(0));
            }
        }
    }
}
