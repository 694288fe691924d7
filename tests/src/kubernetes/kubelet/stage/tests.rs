use super::*;

const IMMEDIATE: Stages = Stages { ready_after: Duration::ZERO, gone_after: Duration::ZERO };
const SLOW: Stages = Stages { ready_after: Duration::from_secs(5), gone_after: Duration::from_secs(4) };

fn pod(image: &str, policy: &str, node: Option<&str>) -> Pod {
    serde_json::from_value(json!({
        "metadata": { "name": "web", "uid": "u1" },
        "spec": {
            "nodeName": node, "restartPolicy": policy, "containers": [{ "name": "main", "image": image }],
        },
    }))
    .unwrap()
}

fn step(pod: &Pod, stages: &Stages, age: u64) -> Step {
    let age = Duration::from_secs(age);
    next(pod, age, age, stages, true, Timestamp::UNIX_EPOCH)
}

/// The Pod as it is after this status was written.
fn with(pod: &Pod, status: &Value) -> Pod {
    let mut pod = pod.clone();
    pod.status = Some(serde_json::from_value(status.clone()).unwrap());
    pod
}

#[test]
fn images_and_restart_policies_decide_where_a_pod_ends_up() {
    let cases = [
        ("nginx:1.25", "Always", "Running", "", true),
        ("nginx:1.25", "Never", "Succeeded", "", false),
        ("nginx:1.25", "OnFailure", "Succeeded", "", false),
        ("nginx:fail", "Always", "Running", "CrashLoopBackOff", false),
        ("nginx:fail", "OnFailure", "Running", "CrashLoopBackOff", false),
        ("nginx:fail", "Never", "Failed", "", false),
        ("nginx:missing", "Always", "Pending", "ImagePullBackOff", false),
    ];
    for (image, policy, phase, waiting, ready) in cases {
        let pod = pod(image, policy, Some(NODE));
        let Step::Status(status) = step(&pod, &IMMEDIATE, 0) else { panic!("{image} {policy}: no status") };
        let container = &status["containerStatuses"][0];
        assert_eq!(status["phase"], phase, "{image} {policy}");
        assert_eq!(
            container["state"]["waiting"]["reason"].as_str().unwrap_or(""),
            waiting,
            "{image} {policy}"
        );
        assert_eq!(container["ready"], ready, "{image} {policy}");
        assert_eq!(step(&with(&pod, &status), &IMMEDIATE, 0), Step::Rest, "{image} {policy}: settles");
    }
}

#[test]
fn a_pod_is_created_before_it_is_ready() {
    let pod = pod("nginx", "Always", Some(NODE));
    let Step::Status(creating) = step(&pod, &SLOW, 1) else { panic!("no status") };
    assert_eq!(creating["containerStatuses"][0]["state"]["waiting"]["reason"], "ContainerCreating");
    let pod = with(&pod, &creating);
    assert_eq!(step(&pod, &SLOW, 1), Step::Wait(Duration::from_secs(4)));
    let Step::Status(running) = step(&pod, &SLOW, 5) else { panic!("no status") };
    assert_eq!(running["phase"], "Running");
}

#[test]
fn a_new_image_in_place_is_shown() {
    let mut pod = pod("nginx:1.24", "Always", Some(NODE));
    let Step::Status(status) = step(&pod, &IMMEDIATE, 0) else { panic!("no status") };
    pod = with(&pod, &status);
    pod.spec.as_mut().unwrap().containers[0].image = Some("nginx:1.25".to_owned());
    let Step::Status(status) = step(&pod, &IMMEDIATE, 0) else { panic!("no status") };
    assert_eq!(status["containerStatuses"][0]["image"], "nginx:1.25");
}

#[test]
fn only_unbound_pods_without_gates_are_bound_and_only_without_a_scheduler() {
    let mut pod = pod("nginx", "Always", None);
    assert_eq!(step(&pod, &IMMEDIATE, 0), Step::Bind);
    assert_eq!(
        next(&pod, Duration::ZERO, Duration::ZERO, &IMMEDIATE, false, Timestamp::UNIX_EPOCH),
        Step::Rest
    );
    pod.spec.as_mut().unwrap().scheduling_gates = Some(Vec::new());
    assert_eq!(step(&pod, &IMMEDIATE, 0), Step::Rest);
    assert_eq!(step(&super::tests::pod("nginx", "Always", Some("other")), &IMMEDIATE, 0), Step::Rest);
}

#[test]
fn a_deleted_pod_goes_after_its_time_but_within_its_grace_period() {
    let mut pod = pod("nginx", "Always", Some(NODE));
    pod.metadata.deletion_timestamp = Some(Timestamp::UNIX_EPOCH.into());
    for (grace, age, expected) in [
        (30, 0, Step::Wait(Duration::from_secs(4))),
        (30, 4, Step::Remove),
        (2, 1, Step::Wait(Duration::from_secs(1))),
        (2, 2, Step::Remove),
        (0, 0, Step::Rest),
    ] {
        pod.metadata.deletion_grace_period_seconds = Some(grace);
        assert_eq!(step(&pod, &SLOW, age), expected, "grace {grace}, age {age}");
    }
}
