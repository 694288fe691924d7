use serde_json::json;

use super::*;

fn yaml(text: &str) -> Value {
    serde_yaml::from_str(text).unwrap()
}

fn list(text: &str) -> Vec<Value> {
    serde_yaml::from_str(text).unwrap()
}

const DEPLOYMENT: (&str, &str) = ("apps", "Deployment");

/// A workload of a kind, its Pods, their Events, its own Events, and what is made of them.
type Case =
    ((&'static str, &'static str), &'static str, &'static str, &'static str, Option<(Outlook, &'static str)>);

const CASES: &[Case] = &[
    (
        DEPLOYMENT,
        "[{metadata: {name: web-1}, status: {phase: Running, conditions: [{type: Ready, status: 'True'}]}},
          {metadata: {name: web-2}, status: {phase: Running, containerStatuses: [{name: web, restartCount: 3,
            state: {waiting: {reason: CrashLoopBackOff}}, lastState: {terminated: {exitCode: 1, reason: Error}}}]}}]",
        "[]",
        "[]",
        Some((
            Outlook::Failing,
            "Pod web-2: container web: CrashLoopBackOff, it ended with exit code 1, 3 restarts",
        )),
    ),
    (
        DEPLOYMENT,
        "[{metadata: {name: web-1}, spec: {containers: [{name: web, image: 'web:2'}]}, status: {phase: Pending,
            containerStatuses: [{name: web, state: {waiting: {reason: ErrImagePull, message: not found}}}]}}]",
        "[]",
        "[]",
        Some((Outlook::Failing, "Pod web-1: container web: ErrImagePull of web:2: not found")),
    ),
    // A Pod that is going says nothing, nor does one that is done.
    (
        DEPLOYMENT,
        "[{metadata: {name: web-1, deletionTimestamp: now}, status: {phase: Failed}},
          {metadata: {name: web-2}, status: {phase: Succeeded}}]",
        "[]",
        "[]",
        None,
    ),
    (
        DEPLOYMENT,
        "[{metadata: {name: web-1}, status: {phase: Pending,
            conditions: [{type: PodScheduled, status: 'False', reason: Unschedulable, message: no cpu}]}}]",
        "[]",
        "[]",
        Some((Outlook::Slow, "Pod web-1: Unschedulable: no cpu")),
    ),
    // The newest Event that tells counts, whichever field has its time.
    (
        DEPLOYMENT,
        "[{metadata: {name: web-1}, status: {phase: Pending}}]",
        "[{reason: FailedMount, message: 'old', lastTimestamp: '2026-01-01T00:00:00Z'},
          {reason: BackOff, message: 'says nothing', lastTimestamp: '2026-01-01T00:00:09Z'},
          {reason: FailedMount, message: 'secret \"tls\" not found.', eventTime: '2026-01-01T00:00:01.123456Z'}]",
        "[]",
        Some((Outlook::Failing, "Pod web-1: a volume cannot be mounted: secret \"tls\" not found")),
    ),
    (
        DEPLOYMENT,
        "[{metadata: {name: web-1}, status: {phase: Running, conditions: [{type: Ready, status: 'False'}]}}]",
        "[{reason: Unhealthy, message: 'Readiness probe failed: HTTP 503', lastTimestamp: '2026-01-01T00:00:00Z'}]",
        "[]",
        Some((Outlook::Slow, "Pod web-1: its probe fails: Readiness probe failed: HTTP 503")),
    ),
    (
        ("apps", "StatefulSet"),
        "[]",
        "[]",
        "[{reason: FailedCreate, message: 'pods \"db-0\" is forbidden: exceeded quota: small',
           lastTimestamp: '2026-01-01T00:00:00Z'}]",
        Some((Outlook::Failing, "Pods cannot be created: pods \"db-0\" is forbidden: exceeded quota: small")),
    ),
    // That Pods are refused weighs more than that one is slow.
    (
        ("apps", "DaemonSet"),
        "[{metadata: {name: log-1}, status: {phase: Pending}}]",
        "[{reason: FailedScheduling, message: no node, lastTimestamp: '2026-01-01T00:00:00Z'}]",
        "[{reason: FailedCreate, message: 'violates PodSecurity \"restricted:latest\"'}]",
        Some((Outlook::Failing, "Pods cannot be created: violates PodSecurity \"restricted:latest\"")),
    ),
    // A Job tries again, so a failed Pod of it is no end yet; an image that is not there is.
    (
        ("batch", "Job"),
        "[{metadata: {name: a}, status: {phase: Failed, containerStatuses: [{name: c, state: {terminated: {exitCode: 2}}}]}}]",
        "[]",
        "[]",
        Some((Outlook::Slow, "Pod a: container c ended with exit code 2")),
    ),
    (
        ("batch", "Job"),
        "[{metadata: {name: a}, status: {phase: Pending, containerStatuses: [{name: c, image: x, state: {waiting: {reason: InvalidImageName}}}]}}]",
        "[]",
        "[]",
        Some((Outlook::Failing, "Pod a: container c: InvalidImageName of x")),
    ),
    (
        ("", "Pod"),
        "[{metadata: {name: a}, status: {phase: Pending, containerStatuses: [{name: c, state: {waiting: {reason: CreateContainerConfigError, message: 'secret \"a\" not found'}}}]}}]",
        "[]",
        "[]",
        Some((Outlook::Failing, "container c: CreateContainerConfigError: secret \"a\" not found")),
    ),
];

#[test]
fn pods_and_events_say_why() {
    for ((group, kind), pods, pod_events, own_events, expected) in CASES {
        let evidence = Evidence {
            pods: list(pods),
            pod_events: list(pod_events),
            own_events: list(own_events),
            claim: None,
        };
        let found = of_workload(&GroupKind::new(group, kind), &evidence);
        let found = found.as_ref().map(|cause| (cause.outlook, cause.message.as_str()));
        assert_eq!(found, *expected, "{kind} with {pods}");
    }
}

#[test]
fn a_claim_says_what_a_pod_waits_for() {
    let pods = list(
        "[{metadata: {name: db-0}, spec: {volumes: [{persistentVolumeClaim: {claimName: data-db-0}}, {emptyDir: {}}]},
           status: {phase: Pending, conditions: [{type: PodScheduled, status: 'False', reason: Unschedulable,
             message: pod has unbound immediate PersistentVolumeClaims}]}}]",
    );
    let (pod, trouble) = worst_pod(&pods).unwrap();
    assert_eq!(claims_of(pod, trouble.as_ref()), ["data-db-0"]);
    assert!(claims_of(pod, None).is_empty());
    let claim = Some(Cause::failing("claim data-db-0: there is no StorageClass fast"));
    let evidence = Evidence { pods, claim, ..Evidence::default() };
    let cause = of_workload(&GroupKind::new("apps", "StatefulSet"), &evidence).unwrap();
    assert_eq!(cause.message, "Pod db-0: claim data-db-0: there is no StorageClass fast");
}

#[test]
fn claims_say_why_they_are_not_bound() {
    use claims::{Class, of_claim};
    let named = yaml("{spec: {storageClassName: fast}, status: {phase: Pending}}");
    let unnamed = yaml("{status: {phase: Pending}}");
    let later = Class::Found(yaml("{provisioner: a.io, volumeBindingMode: WaitForFirstConsumer}"));
    let now = Class::Found(yaml("{provisioner: a.io, volumeBindingMode: Immediate}"));
    let failed = list("[{reason: ProvisioningFailed, message: quota is used up}]");
    let chosen = yaml(
        "{metadata: {annotations: {volume.kubernetes.io/selected-node: n}}, spec: {storageClassName: fast}}",
    );
    let none =
        "it names no StorageClass and there is no default one, so somebody has to make a volume for it";
    let cases = [
        (&yaml("{status: {phase: Bound}}"), &Class::Missing, &vec![], None),
        (&named, &Class::Missing, &vec![], Some((Outlook::Failing, "there is no StorageClass fast"))),
        (&unnamed, &Class::Hidden, &vec![], Some((Outlook::Failing, none))),
        (
            &named,
            &later,
            &vec![],
            Some((Outlook::Idle, "it is bound when the first Pod uses it, as StorageClass fast says")),
        ),
        (&chosen, &later, &vec![], Some((Outlook::Slow, "it waits for the provisioner a.io"))),
        (&named, &now, &vec![], Some((Outlook::Slow, "it waits for the provisioner a.io"))),
        (&named, &now, &failed, Some((Outlook::Failing, "its volume cannot be made: quota is used up"))),
        (&named, &Class::Hidden, &vec![], None),
    ];
    for (claim, class, events, expected) in cases {
        let found = of_claim(claim, class, events);
        let found = found.as_ref().map(|cause| (cause.outlook, cause.message.as_str()));
        assert_eq!(found, expected, "{claim}");
    }
}

#[test]
fn what_a_program_says_of_its_end_is_not_repeated() {
    let pods = list(
        "[{metadata: {name: a}, status: {containerStatuses: [{name: c, state: {waiting: {reason: CrashLoopBackOff}},
            lastState: {terminated: {exitCode: 1, reason: Error, message: password=hunter2}}}]}}]",
    );
    let evidence = Evidence { pods, ..Evidence::default() };
    let cause = of_workload(&GroupKind::new("apps", "Deployment"), &evidence).unwrap();
    assert!(!cause.message.contains("hunter2"), "{}", cause.message);
}

#[test]
fn selectors_are_spelt_as_the_server_reads_them() {
    let cases = [
        (json!({"matchLabels": {"app": "web", "tier": "front"}}), Some("app=web,tier=front")),
        (
            json!({"matchLabels": {"app": "web"}, "matchExpressions": [
                {"key": "env", "operator": "In", "values": ["a", "b"]},
                {"key": "old", "operator": "NotIn", "values": ["c"]},
                {"key": "x", "operator": "Exists"}, {"key": "y", "operator": "DoesNotExist"}]}),
            Some("app=web,env in (a,b),old notin (c),x,!y"),
        ),
        (json!({"app": "web"}), Some("app=web")),
        (json!({"matchExpressions": [{"key": "x", "operator": "Near"}]}), None),
        (json!({}), None),
        (json!(null), None),
    ];
    for (given, expected) in cases {
        let object = json!({"spec": {"selector": given}});
        assert_eq!(selector(&object).as_deref(), expected, "{given}");
    }
}

#[test]
fn only_missing_pods_make_a_workload_ask_for_its_own_events() {
    let pods = list("[{}, {}]");
    for (object, expected) in [
        (json!({"spec": {"replicas": 3}}), true),
        (json!({"spec": {"replicas": 2}}), false),
        (json!({"status": {"desiredNumberScheduled": 3}}), true),
        (json!({"spec": {"parallelism": 1}}), false),
        (json!({}), false),
    ] {
        assert_eq!(lacks_pods(&object, &pods), expected, "{object}");
    }
}
