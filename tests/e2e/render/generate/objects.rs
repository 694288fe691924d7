//! Objects of a generated repository.

use std::fmt::Write as _;

use super::{Layer, NAMES};

/// What is written, some kinds more often than others.
pub(super) const KINDS: [&str; 27] = [
    "Deployment",
    "Deployment",
    "Deployment",
    "StatefulSet",
    "DaemonSet",
    "CronJob",
    "Job",
    "Service",
    "Service",
    "ConfigMap",
    "ConfigMap",
    "Secret",
    "ServiceAccount",
    "Ingress",
    "HorizontalPodAutoscaler",
    "NetworkPolicy",
    "PodDisruptionBudget",
    "PersistentVolumeClaim",
    "Role",
    "ClusterRole",
    "RoleBinding",
    "ClusterRoleBinding",
    "ValidatingWebhookConfiguration",
    "StorageClass",
    "Thing",
    "Thing",
    "Certificate",
];

const CLUSTER_KINDS: [&str; 4] =
    ["ClusterRole", "ClusterRoleBinding", "ValidatingWebhookConfiguration", "StorageClass"];

/// Values of a field of free form, as somebody may write them.
const VALUES: [&str; 34] = [
    "x",
    "\"5\"",
    "5",
    "0644",
    "1.0",
    "1e3",
    "1_000",
    "0x1F",
    "yes",
    "'on'",
    "true",
    "True",
    "null",
    "~",
    "\"\"",
    "2020-01-01",
    "2020-01-01T10:00:00Z",
    "1:30",
    "'it''s'",
    "\"a\\tb\\u00e9\"",
    "é ü",
    "a: b",
    "|\n    a\n     b\n\n    c",
    "|-\n    #no comment\n    x: 1",
    ">\n    folded\n    text\n\n    end",
    ">-\n    a\n      b",
    "|+\n    keep\n\n",
    "plain text\n    on two lines",
    "\"quoted\n    on two lines\"",
    "@at",
    "'*'",
    "12345678901234567890",
    ".5",
    "!!str 7",
];

pub(super) fn api_version(kind: &str) -> &'static str {
    match kind {
        "Deployment" | "StatefulSet" | "DaemonSet" => "apps/v1",
        "CronJob" | "Job" => "batch/v1",
        "Ingress" | "NetworkPolicy" => "networking.k8s.io/v1",
        "HorizontalPodAutoscaler" => "autoscaling/v2",
        "PodDisruptionBudget" => "policy/v1",
        "StorageClass" => "storage.k8s.io/v1",
        "ValidatingWebhookConfiguration" => "admissionregistration.k8s.io/v1",
        "Role" | "ClusterRole" | "RoleBinding" | "ClusterRoleBinding" => "rbac.authorization.k8s.io/v1",
        "Thing" => "example.org/v1",
        "Certificate" => "cert-manager.io/v1",
        _ => "v1",
    }
}

/// Whether an object of this kind has a template of pods at `spec.template`.
pub(super) fn is_workload(kind: &str) -> bool {
    matches!(kind, "Deployment" | "StatefulSet" | "DaemonSet")
}

impl Layer<'_> {
    /// A value of free form; one that is no YAML where it stands is left to kubectl to refuse.
    fn value(&mut self) -> &'static str {
        loop {
            let value = self.pick(&VALUES);
            if !matches!(value, "@at" | "a: b" | "1e3" | "12345678901234567890") || self.one_in(60) {
                return value;
            }
        }
    }

    pub(super) fn object(&mut self, kind: &'static str, name: &str) -> String {
        let mut text =
            format!("apiVersion: {}\nkind: {kind}\nmetadata:\n  name: {name}\n", api_version(kind));
        if !CLUSTER_KINDS.contains(&kind) && self.one_in(10) {
            let namespace = self.pick(&["own", "own", "prod", "default"]);
            let _ = writeln!(text, "  namespace: {namespace}");
        }
        if self.one_in(4) {
            let labels =
                self.pick(&["{app: old, tier: \"2\"}", "{app: web}", "{\"n\": \"1\", x.y/z: w}", "{}"]);
            let _ = writeln!(text, "  labels: {labels}");
        }
        if self.one_in(5) {
            let notes = self.pick(&[
                "{a: b}",
                "{a: \"true\", b: \"1\"}",
                "\n    long: |\n      two\n      lines",
                "{config.kubernetes.io/local-config: \"false\"}",
                "{}",
            ]);
            let _ = writeln!(text, "  annotations: {notes}");
        }
        let other = self.pick(&NAMES);
        match kind {
            "Deployment" | "StatefulSet" | "DaemonSet" => {
                let _ = writeln!(text, "spec:\n  selector: {{matchLabels: {{app: {other}}}}}");
                if kind != "DaemonSet" && self.random.bool() {
                    text.push_str("  replicas: 1\n");
                }
                text.push_str(&self.template(other));
            }
            "Job" => {
                text.push_str("spec:\n");
                text.push_str(&self.template(other));
            }
            "CronJob" => {
                text.push_str("spec:\n  schedule: \"*/5 * * * *\"\n  jobTemplate:\n    spec:\n");
                for line in self.template(other).lines() {
                    let _ = writeln!(text, "    {line}");
                }
            }
            "Thing" => self.thing(&mut text),
            _ => self.small(kind, other, &mut text),
        }
        text
    }

    fn thing(&mut self, text: &mut String) {
        let mut value = || self.value();
        let (a, b, c) = (value(), value(), value());
        let anchors = self.pick(&["", "", "&x "]);
        let _ = writeln!(text, "spec:\n  ref: conf\n  first: {anchors}{a}\n  second: {b}");
        if !anchors.is_empty() {
            text.push_str("  again: *x\n  base: &b {k: 1, l: {m: n}}\n  merged: {<<: *b, k: 2}\n");
        }
        let lists = self.pick(&[
            "list: [1, 2]",
            "list: []",
            "list:\n  - name: a\n    value: 1\n  -   name: b\n      value: 2",
            "list:\n  - - 1\n    - 2\n  - []",
            "list: [{name: a}, {name: b, value: }]",
        ]);
        let _ = writeln!(text, "  {lists}\n  map: {{a: 1, b: 2}}\n  empty:");
        let _ = writeln!(text, "  deep:\n    # a comment\n    last: {}", c.replace("\n    ", "\n      "));
    }

    fn small(&mut self, kind: &str, other: &str, text: &mut String) {
        let role = if self.random.bool() && kind == "RoleBinding" { "Role" } else { "ClusterRole" };
        let account = self.pick(&["default", "web", "api"]);
        let (one, two) = (self.value(), self.value());
        let port = self.pick(&[
            "{port: 80}",
            "{port: 80, targetPort: web, protocol: TCP}",
            "{port: 53, protocol: UDP, name: dns}",
        ]);
        let _ = match kind {
            "Service" => {
                writeln!(text, "spec:\n  selector: {{app: {other}}}\n  ports: [{port}]")
            }
            "ConfigMap" => {
                let two = two.replace("\n    ", "\n      ");
                writeln!(text, "data:\n  a: {}\n  b: {two}\n  z: end", one.replace("\n    ", "\n      "))
            }
            "Secret" => writeln!(text, "type: Opaque\ndata: {{k: aGk=}}\nstringData: {{s: t}}"),
            "ServiceAccount" => {
                writeln!(text, "imagePullSecrets: [{{name: sec}}]\nsecrets:\n- name: {other}")
            }
            "Ingress" => writeln!(
                text,
                "spec:\n  tls: [{{hosts: [a.example.org], secretName: sec}}]\n  rules: [{{http: {{paths: [{{path: /, backend: {{service: {{name: {other}}}}}}}]}}}}]"
            ),
            "HorizontalPodAutoscaler" => {
                writeln!(
                    text,
                    "spec:\n  scaleTargetRef: {{apiVersion: apps/v1, kind: Deployment, name: {other}}}"
                )
            }
            "NetworkPolicy" => writeln!(
                text,
                "spec:\n  podSelector: {{matchLabels: {{app: {other}}}}}\n  ingress: [{{from: [{{podSelector: {{matchLabels: {{app: x}}}}}}]}}]"
            ),
            "PodDisruptionBudget" => {
                writeln!(text, "spec: {{minAvailable: 1, selector: {{matchLabels: {{app: {other}}}}}}}")
            }
            "PersistentVolumeClaim" => {
                writeln!(
                    text,
                    "spec: {{storageClassName: {other}, accessModes: [ReadWriteOnce], volumeName: {other}}}"
                )
            }
            "Role" | "ClusterRole" => {
                writeln!(
                    text,
                    "rules:\n- {{apiGroups: [\"\"], resources: [secrets], resourceNames: [sec, {other}], verbs: [get]}}"
                )
            }
            "ClusterRoleBinding" | "RoleBinding" => writeln!(
                text,
                "roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: {role}, name: {other}}}\nsubjects:\n- {{kind: ServiceAccount, name: {account}, namespace: prod}}\n- {{kind: User, name: u}}"
            ),
            "ValidatingWebhookConfiguration" => writeln!(
                text,
                "webhooks:\n- name: w.example.org\n  clientConfig: {{service: {{name: {other}, namespace: prod}}}}"
            ),
            "StorageClass" => writeln!(text, "provisioner: example.org/p"),
            "Certificate" => writeln!(
                text,
                "spec:\n  secretName: sec\n  dnsNames: [a.b.svc, \"{other}.ns.svc.local\"]\n  issuerRef: {{name: {other}, kind: Issuer}}"
            ),
            _ => Ok(()),
        };
    }

    /// `template:` with pods, two spaces in.
    fn template(&mut self, other: &str) -> String {
        let mut text = "  template:\n    metadata: {labels: {app: x}}\n    spec:\n".to_owned();
        let image = self.pick(&[
            "nginx",
            "nginx:1.25",
            "redis:7",
            "example.org/nginx@sha256:cd",
            "example.org:5000/a/nginx:v1",
        ]);
        if self.one_in(3) {
            let _ = writeln!(text, "      serviceAccountName: {other}");
        }
        let _ = writeln!(text, "      containers:\n      - name: main\n        image: {image}");
        if self.random.bool() {
            text.push_str("        env: [{name: A, value: \"1\"}, {name: B, valueFrom: {configMapKeyRef: {name: conf, key: a}}}]\n");
        }
        if self.random.bool() {
            text.push_str("        envFrom: [{configMapRef: {name: gen}}, {secretRef: {name: sec}}]\n");
        }
        if self.one_in(4) {
            text.push_str("        args: [\"--x=$(BASE)\", $(OVERLAY), $(MID)/y, $$(BASE)]\n");
        }
        if self.one_in(3) {
            let ports = self.pick(&[
                "[{containerPort: 80}]",
                "[{containerPort: 80, name: http, protocol: TCP}, {containerPort: 53, protocol: UDP}, {containerPort: 53, protocol: TCP}]",
            ]);
            let _ = writeln!(text, "        ports: {ports}");
        }
        if self.one_in(4) {
            text.push_str("        resources: {limits: {cpu: 500m, memory: 1Gi}, requests: {cpu: 0.1}}\n        volumeMounts: [{name: v, mountPath: /v}]\n");
        }
        if self.one_in(3) {
            text.push_str("      - name: second\n        image: redis\n");
        }
        if self.one_in(4) {
            text.push_str("      initContainers:\n      - {name: init, image: nginx, command: [sh, -c, 'echo \"$X\"']}\n");
        }
        if self.one_in(4) {
            text.push_str(
                "      tolerations: [{key: a, operator: Exists}]\n      imagePullSecrets: [{name: sec}]\n",
            );
        }
        if self.one_in(3) {
            let _ = writeln!(
                text,
                "      volumes: [{{name: v, configMap: {{name: {other}}}}}, {{name: s, secret: {{secretName: sec}}}}, {{name: p, projected: {{sources: [{{configMap: {{name: gen}}}}]}}}}]"
            );
        }
        text
    }
}
