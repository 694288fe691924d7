//! Patches and replacements of a generated repository.

use super::{
    Layer,
    objects::{api_version, is_workload},
};

/// Merge patches of workloads, below the name.
const WORKLOAD: [&str; 26] = [
    "spec: {replicas: 7}",
    "spec: {template: {spec: {containers: [{name: main, image: redis}, {name: new, image: nginx}]}}}",
    "spec: {template: {spec: {containers: [{name: main, env: [{name: A, value: \"9\"}, {name: Z, value: z}], ports: [{containerPort: 80, name: p}]}]}}}",
    "spec: {template: {spec: {containers: [{name: main, $patch: delete}]}}}",
    "spec: {template: {spec: {containers: [{name: second, $patch: delete}, {name: third, image: c}]}}}",
    "spec: {template: {spec: {containers: [{$patch: replace}, {name: only, image: o}]}}}",
    "spec: {template: {spec: {volumes: [{name: v, emptyDir: {}, configMap: null}]}}}",
    "spec: {template: {spec: {volumes: [{$patch: delete, name: v}]}}}",
    "spec: {template: {metadata: {annotations: {a: b}}, spec: {nodeSelector: null}}}",
    "metadata: {labels: {l: m}, finalizers: [f]}",
    "metadata: {annotations: {a: null, m: \"1\"}, labels: {app: null}}",
    "spec: {template: {metadata: {labels: {app: patched}}}}",
    "spec: {template: {spec: {containers: [{name: main, image: null, env: [{name: B, value: b, valueFrom: null}]}], initContainers: [{name: i, image: nginx}]}}}",
    "spec: {template: {spec: {volumes: [{name: v, secret: {secretName: sec}, configMap: null}, {name: new, emptyDir: {}}]}}}",
    "spec: {selector: {$patch: replace, matchLabels: {p: q}}}",
    "spec: {template: {spec: {tolerations: [{key: b, operator: Exists}], imagePullSecrets: [{name: other}]}}}",
    "spec: {template: {spec: {containers: [{name: main, ports: [{containerPort: 53, protocol: UDP, name: dns}, {containerPort: 9}]}]}}}",
    "spec: {template: {spec: {containers: [{name: main, ports: [{containerPort: 80, $patch: delete}]}]}}}",
    "spec: {template: {spec: {containers: [{name: main, args: [x, y], command: null}]}}}",
    "spec: {template: {spec: {containers: [{name: main, resources: {limits: {cpu: 1}}, volumeMounts: [{mountPath: /v, name: w}]}]}}}",
    "spec: {template: {spec: {containers: [{name: main, envFrom: [{configMapRef: {name: extra}}]}]}}}",
    "spec: {template: {spec: {$setElementOrder/containers: [{name: new}, {name: main}], containers: [{name: new, image: n}]}}}",
    "spec: {template: {spec: null}}",
    "spec: {strategy: {$retainKeys: [type], type: Recreate}}",
    "spec: {template: {spec: {containers: [{image: nokey}]}}}",
    "$patch: delete",
];

const THING: [&str; 10] = [
    "metadata: {annotations: {patched: \"1\"}}",
    "spec: {list: [3], map: {b: null, c: 4}}",
    "spec: {first: null, second: 7, deep: {last: \"0\"}}",
    "spec: {first: new, second: 'q', deep: null}",
    "spec: {deep: {last: yes, more: {x: , y: ~}}}",
    "spec: {list: [{name: b, value: 3}, {name: c}]}",
    "spec: {map: {$patch: replace, z: 1}}",
    "spec: {map: {$patch: delete}}",
    "spec:\n      first: |\n        text\n      empty: {}",
    "status: {x: []}",
];

const OPERATIONS: [&str; 19] = [
    "{op: add, path: /metadata/annotations, value: {j: p}}",
    "{op: add, path: /metadata/annotations/k~1x, value: \"1\"}",
    "{op: add, path: /spec, value: {x: 1}}",
    "{op: add, path: /spec/added, value: [1, \"2\", {a: null}]}",
    "{op: add, path: /spec/template/spec/containers/0/env, value: [{name: J, value: \"0\"}]}",
    "{op: add, path: /spec/template/spec/containers/-, value: {name: j, image: nginx}}",
    "{op: add, path: /spec/template/spec/containers/0, value: {name: j, image: nginx}}",
    "{op: replace, path: /metadata/name, value: renamed}",
    "{op: replace, path: /spec/replicas, value: 4}",
    "{op: replace, path: /spec/template/spec/containers/0/image, value: \"nginx:j\"}",
    "{op: add, path: /metadata/labels, value: {q: \"1\"}}",
    "{op: copy, from: /metadata/name, path: /metadata/annotations}",
    "{op: copy, from: /spec, path: /copied}",
    "{op: move, from: /spec, path: /moved}",
    "{op: test, path: /kind, value: Deployment}",
    "{op: remove, path: /spec}",
    "{op: remove, path: /metadata/labels}",
    "{op: add, path: /data, value: {d: \"yes\"}}",
    "{op: remove, path: /apiVersionX}",
];

impl Layer<'_> {
    pub(super) fn patches(&mut self) {
        let count = self.random.usize(..4);
        if count > 0 {
            self.line("patches:");
            for _ in 0..count {
                if self.random.bool() {
                    self.merge_patch();
                } else {
                    self.json_patch();
                }
            }
        }
        if self.one_in(10) {
            let patch = self.merge_text();
            self.file("strategic.yaml", patch);
            self.line("patchesStrategicMerge: [strategic.yaml]");
        }
        if self.one_in(12) {
            let (kind, name) = self.some_object();
            let version = api_version(kind);
            let (group, version) = version.split_once('/').unwrap_or(("", version));
            self.line(&format!(
                "patchesJson6902:\n- target: {{group: \"{group}\", version: {version}, kind: {kind}, name: {name}}}\n  patch: '[{{\"op\": \"add\", \"path\": \"/metadata/annotations\", \"value\": {{\"six\": \"2\"}}}}]'"
            ));
        }
    }

    /// An object of this layer, or now and then of another.
    fn some_object(&mut self) -> (&'static str, String) {
        let position = self.random.usize(..self.pool.len());
        self.pool[position].clone()
    }

    /// A strategic merge patch.
    fn merge_text(&mut self) -> String {
        let (kind, name) = self.some_object();
        let body = match kind {
            kind if is_workload(kind) => loop {
                let body = self.pick(&WORKLOAD);
                if !(body.contains("template: {spec: null}")
                    || body.contains("nokey")
                    || body.contains("retain"))
                    || self.one_in(6)
                {
                    break body;
                }
            },
            "Service" => self.pick(&[
                "spec: {type: NodePort}",
                "spec: {ports: [{port: 443, name: tls}]}",
                "spec: {ports: [{port: 80, protocol: TCP, nodePort: 30080}]}",
                "spec: {ports: [{port: 80, $patch: delete}, {port: 81}]}",
                "spec: {selector: {extra: y1}}",
                "spec: {selector: null, externalName: x}",
            ]),
            "ConfigMap" => self.pick(&[
                "data: {a: \"5\", new: x}",
                "data: {a: 7}",
                "data: null",
                "data: {a: null, b: \"\"}",
                "data:\n      b: |-\n        two\n        lines\n      c: d",
                "$patch: delete",
            ]),
            _ => self.pick(&THING),
        };
        let api_version = api_version(kind);
        if body.starts_with("metadata") {
            let body = body.replacen("metadata: {", &format!("metadata: {{name: {name}, "), 1);
            return format!("apiVersion: {api_version}\nkind: {kind}\n{body}\n");
        }
        let body = body.replace("\n    ", "\n");
        format!("apiVersion: {api_version}\nkind: {kind}\nmetadata: {{name: {name}}}\n{body}\n")
    }

    fn merge_patch(&mut self) {
        let text = self.merge_text();
        let kind = text.lines().find_map(|line| line.strip_prefix("kind: ")).unwrap_or_default().to_owned();
        let target = match self.random.u8(..8) {
            0 => format!("\n  target: {{kind: {kind}}}"),
            1 => format!("\n  target: {{kind: {kind}, annotationSelector: \"a=b\"}}"),
            2 => "\n  target: {labelSelector: \"app in (old, web),tier!=3\"}".to_owned(),
            _ => String::new(),
        };
        let options =
            if self.one_in(10) { "\n  options: {allowNameChange: true, allowKindChange: true}" } else { "" };
        if self.one_in(4) {
            let number = self.files.len();
            self.file(&format!("patch-{number}.yaml"), text);
            self.line(&format!("- path: patch-{number}.yaml{target}{options}"));
        } else {
            let text = text.lines().fold(String::new(), |text, line| text + "\n    " + line);
            self.line(&format!("- patch: |{text}{target}{options}"));
        }
    }

    fn json_patch(&mut self) {
        let kind = self.pick(&[
            "Deployment",
            "ConfigMap",
            "Service",
            ".*Set",
            "Thing",
            "(Deployment|StatefulSet)",
            "Role|ClusterRole",
            "",
        ]);
        let name = self.pick(&[
            "",
            "",
            "",
            ", name: \"web.*\"",
            ", name: a.i",
            ", namespace: prod",
            ", labelSelector: \"team\"",
            ", version: v1",
            ", group: apps",
        ]);
        let mut operation = self.pick(&OPERATIONS);
        let needs = |operation: &str| {
            if operation.contains("containers") || operation.contains("replicas") {
                &["Deployment", "(Deployment|StatefulSet)"][..]
            } else {
                &[][..]
            }
        };
        let wanted = needs(operation);
        if !wanted.is_empty() && !wanted.contains(&kind)
            || !operation.starts_with("{op: add") && !self.one_in(4)
        {
            operation = "{op: add, path: /metadata/annotations, value: {j: \"true\"}}";
        }
        self.line(&format!("- target: {{kind: \"{kind}\"{name}}}\n  patch: |\n    - {operation}"));
    }

    pub(super) fn replacements(&mut self) {
        if self.one_in(2) {
            return;
        }
        let (kind, source) = self.some_object();
        let field = match kind {
            "Service" => self.pick(&[
                "metadata.name",
                "spec.ports.0.port",
                "spec.ports.[port=80].port",
                "spec.selector",
            ]),
            "ConfigMap" => self.pick(&["data.a", "data.z", "data", ".metadata.name"]),
            "Thing" => self.pick(&["spec.first", "spec.second", "spec.map", "spec.map.a", "spec.ref"]),
            kind if is_workload(kind) => self.pick(&[
                "spec.template.spec.containers.[name=main].image",
                "metadata.name",
                "spec.selector.matchLabels.app",
            ]),
            _ => "metadata.name",
        };
        let from = match self.random.u8(..6) {
            0 => ", options: {delimiter: \":\", index: 0}",
            1 => ", options: {delimiter: \"/\", index: 0}",
            _ => "",
        };
        let target = self.pick(&["Deployment", "ConfigMap", "StatefulSet", "Thing", "Certificate"]);
        let path = match target {
            "Deployment" | "StatefulSet" => self.pick(&[
                "metadata.annotations.from",
                "metadata.labels.from",
                "spec.template.spec.containers.[name=main].image",
                "spec.template.spec.containers.*.env.[name=R].value",
                "spec.template.spec.containers.0.args.0",
                "spec.template.metadata.annotations.[a.b/c]",
                "spec.replicas",
            ]),
            "Thing" => self.pick(&["spec.first", "spec.map.a", "spec.list", "spec.new.deep", "spec.list.0"]),
            "Certificate" => self.pick(&["spec.dnsNames.0", "spec.dnsNames.*", "spec.secretName"]),
            _ => self.pick(&["data.a", "data.new", "metadata.annotations.from"]),
        };
        let options = self.pick(&[
            "{create: true}",
            "{create: true}",
            "{create: true, delimiter: \".\", index: 1}",
            "{create: true, delimiter: \"/\", index: -1}",
            "{delimiter: \".\", index: 9, create: true}",
        ]);
        let reject = self.pick(&[
            "",
            "",
            "\n    reject: [{name: web}]",
            "\n    reject: [{labelSelector: \"app=old\"}]",
        ]);
        let text = format!(
            "- source: {{kind: {kind}, name: {source}, fieldPath: \"{field}\"{from}}}\n  targets:\n  - select: {{kind: {target}}}{reject}\n    fieldPaths: [\"{path}\"]\n    options: {options}"
        );
        if self.one_in(4) {
            self.file("replacement.yaml", text + "\n");
            self.line("replacements:\n- path: replacement.yaml");
        } else {
            self.line(&format!("replacements:\n{text}"));
        }
    }
}
