//! What cannot be changed in place is said, and deleted and created anew only where that is allowed.

use super::kubectl::Kubectl;
use super::*;

/// One object: resource and name for kubectl, its manifest, and what is changed in it to what.
struct Case {
    object: &'static str,
    manifest: &'static str,
    change: (&'static str, &'static str),
    /// The field that the refusal names.
    field: &'static str,
}

const CASES: &[Case] = &[
    Case {
        object: "deployment/web",
        manifest: "apiVersion: apps/v1
kind: Deployment
metadata: {name: web, annotations: {}}
spec:
  replicas: 0
  selector: {matchLabels: {app: web}}
  template: {metadata: {labels: {app: web, app2: two}}, spec: {containers: [{name: web, image: nginx}]}}
",
        change: ("selector: {matchLabels: {app: web}}", "selector: {matchLabels: {app2: two}}"),
        field: "spec.selector",
    },
    Case {
        object: "service/web",
        manifest: "apiVersion: v1
kind: Service
metadata: {name: web, annotations: {}}
spec: {selector: {app: web}, ports: [{port: 80}]}
",
        change: ("spec: {", "spec: {clusterIP: None, "),
        field: "spec.clusterIPs[0]",
    },
    Case {
        object: "job/work",
        manifest: "apiVersion: batch/v1
kind: Job
metadata: {name: work, annotations: {}}
spec: {template: {spec: {restartPolicy: Never, containers: [{name: work, image: busybox}]}}}
",
        change: ("image: busybox", "image: alpine"),
        field: "spec.template",
    },
    Case {
        object: "statefulset/set",
        manifest: "apiVersion: apps/v1
kind: StatefulSet
metadata: {name: set, annotations: {}}
spec:
  replicas: 0
  serviceName: one
  selector: {matchLabels: {app: set}}
  template: {metadata: {labels: {app: set}}, spec: {containers: [{name: web, image: nginx}]}}
  volumeClaimTemplates:
  - {metadata: {name: data}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}
",
        change: ("storage: 1Gi", "storage: 2Gi"),
        field: "spec",
    },
    Case {
        object: "configmap/fixed",
        manifest: "apiVersion: v1
kind: ConfigMap
metadata: {name: fixed, annotations: {}}
immutable: true
data: {key: one}
",
        change: ("key: one", "key: two"),
        field: "data",
    },
    Case {
        object: "secret/fixed",
        manifest: "apiVersion: v1
kind: Secret
metadata: {name: fixed, annotations: {}}
immutable: true
stringData: {key: the-first-secret}
",
        change: ("the-first-secret", "the-second-secret"),
        field: "data",
    },
    Case {
        object: "rolebinding/binding",
        manifest: "apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: binding, annotations: {}}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}
",
        change: ("name: view", "name: edit"),
        field: "roleRef",
    },
    Case {
        object: "frozen.replacing.example.org/frozen",
        manifest: "apiVersion: replacing.example.org/v1
kind: Frozen
metadata: {name: frozen, annotations: {}}
spec: {size: 1}
",
        change: ("size: 1", "size: 2"),
        field: "spec.size",
    },
    CLAIM,
];

const CLAIM: Case = Case {
    object: "persistentvolumeclaim/claim",
    manifest: "apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: claim, annotations: {}}
spec: {accessModes: [ReadWriteOnce], storageClassName: one, resources: {requests: {storage: 1Gi}}}
",
    change: ("storageClassName: one", "storageClassName: two"),
    field: "spec",
};

/// A rule whose words say nothing of what is wrong.
const DEFINITION: &str = "apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: frozen.replacing.example.org}
spec:
  group: replacing.example.org
  scope: Namespaced
  names: {kind: Frozen, plural: frozen}
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            properties:
              size: {type: integer, x-kubernetes-validations: [{rule: self == oldSelf, message: not today}]}
";

fn manifests(edit: impl Fn(&Case) -> String) -> String {
    CASES.iter().map(|case| format!("---\n{}", edit(case))).collect()
}

fn changed(case: &Case) -> String {
    assert!(case.manifest.contains(case.change.0));
    case.manifest.replace(case.change.0, case.change.1)
}

#[tokio::test]
async fn what_cannot_change_in_place_is_refused_or_replaced() {
    let Some(cluster) = muster_tests::kubernetes::Cluster::shared().await else { return };
    let target = Target::existing("dev", cluster.kubeconfig()).await.unwrap();
    let Some(kubectl) = Kubectl::new(&target) else { return };
    let namespace = "replacing";
    let uid = async |object: &str| {
        let path = ["-n", namespace, "get", object, "-o", "jsonpath={.metadata.uid}", "--ignore-not-found"];
        kubectl.run(&path).await.trim().to_owned()
    };
    let quick = "  sync: {retry: {backoff: {duration: 1s, maxDuration: 2s}}}\n";
    let first = manifests(|case| case.manifest.to_owned());
    let files = [
        ("fleet.yaml", FLEET),
        ("app.yaml", &app(namespace, quick)),
        ("apps/replacing/definition.yaml", DEFINITION),
        ("apps/replacing/all.yaml", &first),
        ("apps/replacing/good.yaml", &config_map("good", "one")),
    ];
    let mut bench = Bench::start_in(target, "home-replacing", &files).await;
    bench.until_logged("The app is synced.").await;
    let mut before = Vec::new();
    for case in CASES {
        before.push(uid(case.object).await);
    }
    bench.commit(&[
        ("apps/replacing/all.yaml", &manifests(changed)),
        ("apps/replacing/good.yaml", &config_map("good", "two")),
    ]);
    bench.until_config(namespace, "good", Some("two")).await;
    for (case, before) in CASES.iter().zip(&before) {
        bench.until_logged(&format!("{} cannot be changed in place. Annotate it with", case.field)).await;
        assert_eq!(&uid(case.object).await, before, "{}", case.object);
    }
    // By another tool's word, but not what holds data.
    let flux = r#"annotations: {kustomize.toolkit.fluxcd.io/force: enabled}"#;
    let argo = r#"annotations: {argocd.argoproj.io/sync-options: "Replace=true,Force=true"}"#;
    let by_others = |case: &Case| {
        changed(case).replace("annotations: {}", if case.field == "spec" { flux } else { argo })
    };
    bench.commit(&[("apps/replacing/all.yaml", &manifests(by_others))]);
    for (case, before) in CASES.iter().zip(&before).filter(|(case, _)| case.object != CLAIM.object) {
        wait::until(&format!("another {}", case.object), DEADLINE, async || {
            let now = uid(case.object).await;
            (!now.is_empty() && now != *before).then_some(())
        })
        .await;
    }
    bench.until_logged("deleting this may delete data").await;
    assert_eq!(&uid(CLAIM.object).await, before.last().unwrap());
    // By Muster's own, that too.
    let ours = |case: &Case| {
        changed(case).replace("annotations: {}", r#"annotations: {muster.dev/replace: "true"}"#)
    };
    bench.commit(&[("apps/replacing/all.yaml", &manifests(ours))]);
    wait::until("another claim", DEADLINE, async || {
        let class = ["-n", namespace, "get", CLAIM.object, "-o", "jsonpath={.spec.storageClassName}"];
        let found = kubectl.run(&[&class[..], &["--ignore-not-found"]].concat()).await;
        (found.trim() == "two").then_some(())
    })
    .await;
    let log = bench.agent.program.log();
    assert!(log.contains("Deleted and created anew, since roleRef cannot be changed in place."), "{log}");
    assert!(!log.contains("-secret"), "no value of a Secret is ever logged");
}
