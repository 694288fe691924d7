//! Which repository belongs to a seed?
//!
//! A few bases, overlays over them, sometimes a component, each with a random choice of the
//! kustomization's fields. Names come from a small set, so that they meet: patches find targets,
//! references find what they name, and now and then something clashes.

use std::fmt::Write as _;

use fastrand::Rng;

use super::outcome::Files;

/// Names of objects.
const NAMES: [&str; 4] = ["web", "api", "db", "conf"];
/// Names of layers, below which each has its folder.
const LAYERS: [&str; 4] = ["base", "mid", "side", "overlay"];

/// The repository of a seed; its entry is `overlay`.
pub(super) fn repository(seed: u64) -> Files {
    let mut random = Rng::with_seed(seed);
    let mut files = Files::new();
    let side = random.bool();
    for layer in LAYERS {
        if layer == "side" && !side {
            continue;
        }
        Layer { name: layer, random: &mut random, files: &mut files, text: String::new(), pool: Vec::new() }
            .write(side);
    }
    files
}

struct Layer<'r> {
    name: &'static str,
    random: &'r mut Rng,
    files: &'r mut Files,
    text: String,
    /// Objects written by this layer: kind and name.
    pool: Vec<(&'static str, String)>,
}

impl Layer<'_> {
    fn one_in(&mut self, count: u32) -> bool {
        self.random.u32(..count) == 0
    }

    fn pick(&mut self, from: &[&'static str]) -> &'static str {
        from[self.random.usize(..from.len())]
    }

    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    fn file(&mut self, name: &str, text: String) {
        self.files.insert(format!("{}/{name}", self.name), text.into_bytes());
    }

    fn write(mut self, side: bool) {
        self.resources(side);
        self.names();
        self.metadata();
        self.images_and_replicas();
        self.generators();
        self.patches();
        self.replacements();
        self.transformers();
        self.configurations();
        self.vars();
        if self.one_in(6) {
            let order = self.pick(&["legacy", "fifo"]);
            self.line(&format!("sortOptions: {{order: {order}}}"));
        }
        if self.name == "overlay" && self.one_in(5) {
            self.component();
        }
        let text = std::mem::take(&mut self.text);
        self.file("kustomization.yaml", text);
    }

    fn resources(&mut self, side: bool) {
        self.line("resources:");
        match self.name {
            "mid" => self.line("- ../base"),
            "overlay" if side => self.line("- ../mid\n- ../side"),
            "overlay" => self.line("- ../mid"),
            _ => {}
        }
        let count = self.random.usize(if self.name == "base" { 2..6 } else { 1..3 });
        let mut written: Vec<(&str, &str)> = Vec::new();
        let mut text = String::new();
        for _ in 0..count {
            let kind = self.pick(&KINDS);
            let name = self.pick(&NAMES);
            if written.contains(&(kind, name)) {
                continue;
            }
            written.push((kind, name));
            let own = if self.name == "base" { name.to_owned() } else { format!("{name}-{}", self.name) };
            if !text.is_empty() {
                text.push_str("---\n");
            }
            text.push_str(&self.object(kind, &own));
            self.pool.push((kind, own));
        }
        self.file("all.yaml", text);
        self.line("- all.yaml");
    }

    fn names(&mut self) {
        if self.one_in(2) {
            let line = format!("namePrefix: {}-", self.pick(&["a", "dev", "x"]));
            self.line(&line);
        }
        if self.one_in(3) {
            let line = format!("nameSuffix: -{}", self.pick(&["z", "v1"]));
            self.line(&line);
        }
        if self.one_in(3) {
            let line = format!("namespace: {}", self.pick(&["prod", "staging", "default"]));
            self.line(&line);
        }
    }

    fn metadata(&mut self) {
        if self.one_in(3) {
            let key = self.pick(&["app", "x"]);
            let line = format!("commonLabels: {{team: {}, {key}: \"1\"}}", self.name);
            self.line(&line);
        }
        if self.one_in(3) {
            let line = format!("commonAnnotations: {{owner: {}}}", self.name);
            self.line(&line);
        }
        if self.one_in(3) {
            let (selectors, templates) = (self.random.bool(), self.random.bool());
            let pairs = self.pick(&["tier: t", "app: new", "\"n\": \"2\""]);
            self.line(&format!(
                "labels:\n- pairs: {{{pairs}}}\n  includeSelectors: {selectors}\n  includeTemplates: {templates}"
            ));
        }
        if self.one_in(8) {
            let option = self.pick(&["managedByLabel", "originAnnotations"]);
            self.line(&format!("buildMetadata: [{option}]"));
        }
    }

    fn images_and_replicas(&mut self) {
        if self.one_in(3) {
            let change = self.pick(&[
                "newTag: v9",
                "newName: example.org/nginx",
                "digest: \"sha256:ab\"",
                "newName: b, newTag: \"1\"",
            ]);
            let image = self.pick(&["nginx", "redis", "example.org/nginx"]);
            self.line(&format!("images:\n- {{name: {image}, {change}}}"));
        }
        let scalable = self.pool.iter().find(|(kind, _)| matches!(*kind, "Deployment" | "StatefulSet"));
        if let Some((_, name)) = scalable.cloned()
            && self.one_in(2)
        {
            let count = self.random.u8(..9);
            self.line(&format!("replicas:\n- {{name: {name}, count: {count}}}"));
        }
    }

    fn generators(&mut self) {
        for (field, name) in [("configMapGenerator", "gen"), ("secretGenerator", "sec")] {
            let is_base = self.name == "base";
            if !is_base && self.random.bool() {
                continue;
            }
            self.line(&format!("{field}:"));
            let literal = format!("k{}={}", self.random.u8(..3), self.pick(&["1", "true", "x y", "a=b"]));
            match self.name {
                "base" | "side" => {
                    self.line(&format!("- name: {name}{}", if is_base { "" } else { "-side" }));
                }
                _ => {
                    let behavior = self.pick(&["merge", "merge", "replace"]);
                    self.line(&format!("- name: {name}\n  behavior: {behavior}"));
                }
            }
            self.line(&format!("  literals: [\"{literal}\"]"));
            if self.one_in(3) {
                self.line("  files: [data.txt]");
                self.file("data.txt", "some text\nof two lines\n".to_owned());
            }
            if self.one_in(4) {
                let hash = self.random.bool();
                self.line(&format!("  options: {{disableNameSuffixHash: {hash}, labels: {{gen: y1}}}}"));
            }
        }
    }

    fn patches(&mut self) {
        let count = self.random.usize(..3);
        if count == 0 {
            return;
        }
        self.line("patches:");
        for _ in 0..count {
            if self.random.bool() {
                self.merge_patch();
            } else {
                self.json_patch();
            }
        }
    }

    fn merge_patch(&mut self) {
        let position = self.random.usize(..self.pool.len());
        let (kind, name) = self.pool[position].clone();
        let body = match kind {
            "Deployment" | "StatefulSet" => self.pick(&[
                "spec: {replicas: 7}",
                "spec: {template: {spec: {containers: [{name: main, image: redis}, {name: new, image: nginx}]}}}",
                "spec: {template: {spec: {containers: [{name: main, env: [{name: A, value: \"9\"}, {name: Z, value: z}], ports: [{containerPort: 80, name: p}]}]}}}",
                "spec: {template: {spec: {containers: [{name: main, $patch: delete}]}}}",
                "spec: {template: {spec: {volumes: [{name: v, emptyDir: {}, configMap: null}]}}}",
                "spec: {template: {metadata: {annotations: {a: b}}, spec: {nodeSelector: null}}}",
                "metadata: {labels: {l: m}, finalizers: [f]}",
                "spec: {template: {metadata: {labels: {app: patched}}}}",
                "spec: {template: {spec: {containers: [{name: main, image: null, env: [{name: B, value: b, valueFrom: null}]}], initContainers: [{name: i, image: nginx}]}}}",
                "spec: {template: {spec: {volumes: [{name: v, secret: {secretName: sec}, configMap: null}, {name: new, emptyDir: {}}]}}}",
                "spec: {selector: {$patch: replace, matchLabels: {p: q}}}",
            ]),
            "Service" => self.pick(&[
                "spec: {type: NodePort}",
                "spec: {ports: [{port: 443, name: tls}]}",
                "spec: {ports: [{port: 80, protocol: TCP, nodePort: 30080}]}",
                "spec: {selector: {extra: y1}}",
            ]),
            "ConfigMap" => self.pick(&["data: {a: \"5\", new: x}", "data: {a: 7}", "data: null", "data: {a: null}"]),
            _ => self.pick(&["metadata: {annotations: {patched: \"1\"}}", "spec: {list: [3], map: {b: null, c: 4}}"]),
        };
        let api_version = api_version(kind);
        let metadata = if body.starts_with("metadata") {
            body.replacen("metadata: {", &format!("metadata: {{name: {name}, "), 1)
        } else {
            format!("metadata: {{name: {name}}}\n    {body}")
        };
        let target = if self.one_in(4) { format!("\n  target: {{kind: {kind}}}") } else { String::new() };
        self.line(&format!(
            "- patch: |\n    apiVersion: {api_version}\n    kind: {kind}\n    {metadata}{target}"
        ));
    }

    fn json_patch(&mut self) {
        let kind =
            self.pick(&["Deployment", "ConfigMap", "Service", ".*Set", "Thing", "(Deployment|StatefulSet)"]);
        let name =
            self.pick(&["", "", "", ", name: \"web.*\"", ", namespace: prod", ", labelSelector: \"team\""]);
        let operation = self.pick(&[
            "{op: add, path: /metadata/annotations, value: {j: p}}",
            "{op: add, path: /spec, value: {x: 1}}",
            "{op: replace, path: /metadata/name, value: renamed}",
            "{op: add, path: /metadata/labels, value: {q: \"1\"}}",
            "{op: remove, path: /apiVersionX}",
        ]);
        if operation.contains("remove") && !self.one_in(5) {
            return self.merge_patch();
        }
        self.line(&format!("- target: {{kind: \"{kind}\"{name}}}\n  patch: |\n    - {operation}"));
    }

    fn replacements(&mut self) {
        let Some((_, source)) = self.pool.iter().find(|(kind, _)| *kind == "Service").cloned() else {
            return;
        };
        if self.one_in(2) {
            return;
        }
        let (field, options) = self
            .pick(&["metadata.name|create: true", "spec.ports.0.port|create: true"])
            .split_once('|')
            .expect("it has one");
        let target = self.pick(&["Deployment", "ConfigMap", "StatefulSet"]);
        let path = self.pick(&["metadata.annotations.from", "metadata.labels.from"]);
        self.line(&format!(
            "replacements:\n- source: {{kind: Service, name: {source}, fieldPath: {field}}}\n  targets:\n  \
             - select: {{kind: {target}}}\n    fieldPaths: [{path}]\n    options: {{{options}}}"
        ));
    }

    fn transformers(&mut self) {
        if !self.one_in(5) {
            return;
        }
        let text = self.pick(&[
            "kind: PrefixTransformer\nmetadata: {name: x}\nprefix: t-\nfieldSpecs: [{path: metadata/name}]\n",
            "kind: SuffixTransformer\nmetadata: {name: x}\nsuffix: -t\nfieldSpecs: [{path: metadata/name, kind: Service}]\n",
            "kind: LabelTransformer\nmetadata: {name: x}\nlabels: {t: l}\nfieldSpecs: [{path: metadata/labels, create: true}]\n",
            "kind: AnnotationsTransformer\nmetadata: {name: x}\nannotations: {t: a}\nfieldSpecs: [{path: metadata/annotations, create: true}, {path: spec/template/metadata/annotations, create: true, kind: Deployment}]\n",
            "kind: NamespaceTransformer\nmetadata: {name: x, namespace: tns}\nunsetOnly: true\n",
            "kind: ImageTagTransformer\nmetadata: {name: x}\nimageTag: {name: nginx, newTag: t}\n",
            "kind: PatchTransformer\nmetadata: {name: x}\ntarget: {kind: ConfigMap}\npatch: '[{\"op\": \"add\", \"path\": \"/data\", \"value\": {\"t\": \"1\"}}]'\n",
        ]);
        self.line("transformers: [transformer.yaml]");
        self.file("transformer.yaml", format!("apiVersion: builtin\n{text}"));
    }

    fn configurations(&mut self) {
        if !self.one_in(6) {
            return;
        }
        let text = self.pick(&[
            "nameReference:\n- kind: ConfigMap\n  version: v1\n  fieldSpecs: [{path: spec/ref, kind: Thing}]\n",
            "namePrefix:\n- {path: spec/ref, kind: Thing}\n",
            "commonLabels:\n- {path: spec/map, kind: Thing}\n",
            "images:\n- {path: spec/ref, kind: Thing}\n",
            "commonAnnotations:\n- {path: spec/notes, kind: Thing, create: true}\n",
        ]);
        self.line("configurations: [config.yaml]");
        self.file("config.yaml", text.to_owned());
    }

    fn vars(&mut self) {
        let Some((kind, name)) = self.pool.first().cloned() else { return };
        if !self.one_in(6) {
            return;
        }
        let (layer, api_version) = (self.name.to_uppercase(), api_version(kind));
        self.line(&format!(
            "vars:\n- name: {layer}\n  objref: {{kind: {kind}, name: {name}, apiVersion: {api_version}}}"
        ));
    }

    fn component(&mut self) {
        self.line("components: [../component]");
        let text = self.pick(&[
            "nameSuffix: -c\n",
            "commonLabels: {c: d}\n",
            "images: [{name: nginx, newTag: c}]\n",
            "namespace: comp\n",
        ]);
        let text = format!("apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\n{text}");
        self.files.insert("component/kustomization.yaml".to_owned(), text.into_bytes());
    }

    fn object(&mut self, kind: &'static str, name: &str) -> String {
        let mut text =
            format!("apiVersion: {}\nkind: {kind}\nmetadata:\n  name: {name}\n", api_version(kind));
        if !CLUSTER_KINDS.contains(&kind) && self.one_in(8) {
            text.push_str("  namespace: own\n");
        }
        if self.one_in(4) {
            text.push_str("  labels: {app: old, tier: \"2\"}\n");
        }
        let other = self.pick(&NAMES);
        match kind {
            "Deployment" | "StatefulSet" => self.workload(&mut text, other),
            "Service" => {
                let port = self.pick(&[
                    "{port: 80}",
                    "{port: 80, targetPort: web, protocol: TCP}",
                    "{port: 53, protocol: UDP, name: dns}",
                ]);
                let _ = writeln!(text, "spec:\n  selector: {{app: {other}}}\n  ports: [{port}]");
            }
            "ConfigMap" => {
                let value = self.pick(&["x", "\"5\"", "|\n    a\n    b", "'true'", "1.0"]);
                let _ = writeln!(text, "data:\n  a: {value}\n  z: end");
            }
            "Ingress" => {
                let _ = writeln!(
                    text,
                    "spec:\n  rules: [{{http: {{paths: [{{path: /, backend: {{service: {{name: {other}}}}}}}]}}}}]"
                );
            }
            "HorizontalPodAutoscaler" => {
                let _ = writeln!(
                    text,
                    "spec:\n  scaleTargetRef: {{apiVersion: apps/v1, kind: Deployment, name: {other}}}"
                );
            }
            "ClusterRoleBinding" | "RoleBinding" => {
                let role = if self.random.bool() { "Role" } else { "ClusterRole" };
                let account = self.pick(&["default", "web", "api"]);
                let _ = writeln!(
                    text,
                    "roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: {role}, name: {other}}}"
                );
                let _ =
                    writeln!(text, "subjects: [{{kind: ServiceAccount, name: {account}, namespace: prod}}]");
            }
            "Thing" => text.push_str("spec:\n  list: [1, 2]\n  map: {a: 1, b: 2}\n  ref: conf\n  empty:\n"),
            _ => {}
        }
        text
    }

    fn workload(&mut self, text: &mut String, other: &str) {
        let image = self.pick(&["nginx", "nginx:1.25", "redis:7", "example.org/nginx@sha256:cd"]);
        let _ = writeln!(text, "spec:\n  selector: {{matchLabels: {{app: {other}}}}}");
        if self.random.bool() {
            text.push_str("  replicas: 1\n");
        }
        text.push_str("  template:\n    metadata: {labels: {app: x}}\n    spec:\n");
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
            text.push_str("        args: [\"--x=$(BASE)\", $(OVERLAY), $(MID)/y]\n");
        }
        if self.one_in(3) {
            text.push_str("        ports: [{containerPort: 80}]\n");
        }
        if self.one_in(3) {
            let _ = writeln!(
                text,
                "      volumes: [{{name: v, configMap: {{name: {other}}}}}, {{name: s, secret: {{secretName: sec}}}}]"
            );
        }
    }
}

const KINDS: [&str; 13] = [
    "Deployment",
    "Deployment",
    "StatefulSet",
    "Service",
    "Service",
    "ConfigMap",
    "ServiceAccount",
    "Ingress",
    "HorizontalPodAutoscaler",
    "ClusterRole",
    "RoleBinding",
    "ClusterRoleBinding",
    "Thing",
];

const CLUSTER_KINDS: [&str; 2] = ["ClusterRole", "ClusterRoleBinding"];

fn api_version(kind: &str) -> &'static str {
    match kind {
        "Deployment" | "StatefulSet" => "apps/v1",
        "Ingress" => "networking.k8s.io/v1",
        "HorizontalPodAutoscaler" => "autoscaling/v2",
        "ClusterRole" | "RoleBinding" | "ClusterRoleBinding" => "rbac.authorization.k8s.io/v1",
        "Thing" => "example.org/v1",
        _ => "v1",
    }
}
