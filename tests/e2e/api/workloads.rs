//! Workloads become ready, or not, and say so.

use serde_json::{Value, json};

use super::backend::{Backend, condition, workload};
use super::stories;

stories![
    a_deployment_becomes_available_and_rolls_out,
    a_failing_image_never_becomes_ready,
    stateful_sets_and_daemon_sets_become_ready,
    jobs_complete_or_fail,
];

fn observed(object: &Value) -> bool {
    object["status"]["observedGeneration"] == object["metadata"]["generation"]
}

fn is_rolled_out(object: &Value) -> bool {
    let (status, wanted) = (&object["status"], &object["spec"]["replicas"]);
    let all = ["replicas", "updatedReplicas", "readyReplicas", "availableReplicas"];
    observed(object)
        && all.iter().all(|field| status[*field] == *wanted)
        && condition(object, "Available")["status"] == "True"
        && condition(object, "Progressing")["reason"] == "NewReplicaSetAvailable"
}

async fn pods(api: &Backend, app: &str) -> Vec<Value> {
    let list = api.get(&format!("{}?labelSelector=app%3D{app}", api.core("pods"))).await.expect(200);
    list["items"].as_array().unwrap().clone()
}

async fn a_deployment_becomes_available_and_rolls_out(api: Backend) {
    let path = api.apps("deployments/web");
    let mut web = workload("Deployment", "web", "nginx:1.24");
    web["spec"]["replicas"] = json!(2);
    api.post(&api.apps("deployments"), &web).await.expect(201);
    let ready = api.until("the rollout", &path, is_rolled_out).await;
    assert_eq!(condition(&ready, "Available")["reason"], "MinimumReplicasAvailable");
    assert_eq!(ready["metadata"]["annotations"]["deployment.kubernetes.io/revision"], "1");
    assert!(ready["status"].get("unavailableReplicas").is_none(), "zeroes are left out");
    let running = pods(&api, "web").await;
    assert!(
        running
            .iter()
            .all(|pod| pod["status"]["phase"] == "Running" && condition(pod, "Ready")["status"] == "True")
    );
    assert_eq!(running[0]["metadata"]["ownerReferences"][0]["kind"], "ReplicaSet");

    api.merge(&format!("{path}/scale"), &json!({"spec": {"replicas": 3}})).await.expect(200);
    api.until("more replicas", &path, |web| is_rolled_out(web) && web["spec"]["replicas"] == 3).await;
    let image =
        json!([{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "nginx:1.25"}]);
    api.send("PATCH", &path, "application/json-patch+json", &image).await.expect(200);
    let revised = api.until("the new image", &path, is_rolled_out).await;
    assert_eq!(revised["metadata"]["annotations"]["deployment.kubernetes.io/revision"], "2");
    let sets = api.get(&format!("{}?labelSelector=app%3Dweb", api.apps("replicasets"))).await.expect(200);
    let counts =
        sets["items"].as_array().unwrap().iter().map(|set| set["spec"]["replicas"].as_i64().unwrap());
    let mut counts: Vec<i64> = counts.collect();
    counts.sort_unstable();
    assert_eq!(counts, [0, 3]);

    let body = json!({"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"});
    api.send("DELETE", &path, "application/json", &body).await.expect(200);
    muster_tests::wait::until("the pods to go", super::backend::SOON, async || {
        pods(&api, "web").await.is_empty()
    })
    .await;
}

async fn a_failing_image_never_becomes_ready(api: Backend) {
    for (image, reason) in
        [("registry/fail:1", "CrashLoopBackOff"), ("registry/missing:1", "ImagePullBackOff")]
    {
        let name = reason.to_lowercase();
        let path = api.apps(&format!("deployments/{name}"));
        let mut broken = workload("Deployment", &name, image);
        broken["spec"]["progressDeadlineSeconds"] = json!(2);
        api.post(&api.apps("deployments"), &broken).await.expect(201);
        muster_tests::wait::until(reason, super::backend::SOON, async || {
            let pods = pods(&api, &name).await;
            let waiting =
                pods.first().map(|pod| &pod["status"]["containerStatuses"][0]["state"]["waiting"]["reason"]);
            if waiting == Some(&json!(reason)) { Ok(()) } else { Err(format!("{pods:?}")) }
        })
        .await;
        let stalled =
            |object: &Value| condition(object, "Progressing")["reason"] == "ProgressDeadlineExceeded";
        let stalled = api.until("the deadline", &path, stalled).await;
        assert_eq!(condition(&stalled, "Progressing")["status"], "False");
        assert_eq!(condition(&stalled, "Available")["reason"], "MinimumReplicasUnavailable");
        assert_eq!(stalled["status"]["unavailableReplicas"], 1);
    }
}

async fn stateful_sets_and_daemon_sets_become_ready(api: Backend) {
    let mut set = workload("StatefulSet", "db", "db:1");
    set["spec"]["serviceName"] = json!("db");
    set["spec"]["replicas"] = json!(2);
    api.post(&api.apps("statefulsets"), &set).await.expect(201);
    let ready = |object: &Value| observed(object) && object["status"]["readyReplicas"] == 2;
    let set = api.until("the StatefulSet", &api.apps("statefulsets/db"), ready).await;
    let status = &set["status"];
    assert_eq!((&status["replicas"], &status["updatedReplicas"]), (&json!(2), &json!(2)));
    assert_eq!(status["currentRevision"], status["updateRevision"]);
    api.get(&api.core("pods/db-1")).await.expect(200);

    api.post(&api.apps("daemonsets"), &workload("DaemonSet", "log", "log:1")).await.expect(201);
    let ready = |object: &Value| {
        let status = &object["status"];
        let wanted = &status["desiredNumberScheduled"];
        observed(object)
            && wanted.as_i64() > Some(0)
            && status["numberReady"] == *wanted
            && status["numberAvailable"] == *wanted
    };
    let set = api.until("the DaemonSet", &api.apps("daemonsets/log"), ready).await;
    assert_eq!(set["status"]["updatedNumberScheduled"], set["status"]["desiredNumberScheduled"]);
}

async fn jobs_complete_or_fail(api: Backend) {
    let jobs = format!("/apis/batch/v1/namespaces/{}/jobs", api.namespace);
    let job = |name: &str, image: &str| {
        json!({
            "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name},
            "spec": {"backoffLimit": 0, "template": {"spec": {
                "restartPolicy": "Never", "containers": [{"name": "main", "image": image}],
            }}},
        })
    };
    api.post(&jobs, &job("good", "task:1")).await.expect(201);
    let done = |object: &Value| condition(object, "Complete")["status"] == "True";
    let good = api.until("the Job to complete", &format!("{jobs}/good"), done).await;
    assert_eq!(good["status"]["succeeded"], 1);
    assert!(good["status"]["completionTime"].is_string());
    api.post(&jobs, &job("bad", "task-fail:1")).await.expect(201);
    let failed = |object: &Value| condition(object, "Failed")["status"] == "True";
    let bad = api.until("the Job to fail", &format!("{jobs}/bad"), failed).await;
    assert_eq!(condition(&bad, "Failed")["reason"], "BackoffLimitExceeded");
}
