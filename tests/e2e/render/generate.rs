//! Which repository belongs to a seed?
//!
//! A few bases, overlays over them, sometimes a component and sometimes a diamond, each with a random
//! choice of the kustomization's fields. Names come from a small set, so that they meet: patches find
//! targets, references find what they name, and now and then something clashes.

mod objects;
mod patches;

use fastrand::Rng;

use objects::{KINDS, api_version};

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
    let diamond = side && random.u8(..3) == 0;
    for layer in LAYERS {
        if layer == "side" && !side {
            continue;
        }
        Layer { name: layer, random: &mut random, files: &mut files, text: String::new(), pool: Vec::new() }
            .write(side, diamond);
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

    fn write(mut self, side: bool, diamond: bool) {
        self.resources(side, diamond);
        self.names(diamond);
        self.metadata();
        self.images_and_replicas();
        self.generators(diamond);
        self.patches();
        self.replacements();
        self.transformers();
        self.configurations();
        self.vars(diamond);
        if self.one_in(6) {
            let order = self.pick(&[
                "legacy",
                "fifo",
                "legacy, legacySortOptions: {orderFirst: [Service, Thing], orderLast: [ConfigMap]}",
            ]);
            self.line(&format!("sortOptions: {{order: {order}}}"));
        }
        if self.name == "overlay" && self.one_in(3) {
            self.component();
        }
        let text = std::mem::take(&mut self.text);
        self.file("kustomization.yaml", text);
    }

    fn resources(&mut self, side: bool, diamond: bool) {
        self.line("resources:");
        match self.name {
            "mid" => self.line("- ../base"),
            "side" if diamond => self.line("- ../base"),
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
        let text = match self.random.u8(..12) {
            0 => text.replace('\n', "\r\n"),
            1 => format!("# a comment\n---\n{text}---\n# nothing\n---\n"),
            2 => format!("\u{FEFF}{text}"),
            3 => in_list(&text),
            _ => text,
        };
        self.file("all.yaml", text);
        self.line("- all.yaml");
    }

    fn names(&mut self, diamond: bool) {
        if diamond && self.name == "side" {
            return self.line("namePrefix: side-\nnameSuffix: -s");
        }
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
            let more = self.pick(&["", ", num: \"7\"", ", a: \"true\"", ", long: \"two\\nlines\""]);
            let line = format!("commonAnnotations: {{owner: {}{more}}}", self.name);
            self.line(&line);
        }
        if self.one_in(3) {
            let (selectors, templates) = (self.random.bool(), self.random.bool());
            let pairs = self.pick(&["tier: t", "app: new", "num: \"2\""]);
            self.line(&format!(
                "labels:\n- pairs: {{{pairs}}}\n  includeSelectors: {selectors}\n  includeTemplates: {templates}"
            ));
            if self.one_in(3) {
                let field = self.pick(&[
                    "{path: spec/template/metadata/labels, create: true, kind: Deployment}",
                    "{path: spec/map, create: false, kind: Thing}",
                    "{path: spec/jobTemplate/spec/template/metadata/labels, create: true, kind: CronJob}",
                ]);
                self.line(&format!("- pairs: {{more: m}}\n  fields: [{field}]"));
            }
        }
        if self.one_in(8) {
            let option = self.pick(&[
                "managedByLabel",
                "originAnnotations",
                "transformerAnnotations",
                "managedByLabel, originAnnotations, transformerAnnotations",
            ]);
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
                "tagSuffix: -x",
                "newTag: v1, digest: \"sha256:cd\"",
                "newName: \"\"",
            ]);
            let image =
                self.pick(&["nginx", "redis", "example.org/nginx", "example.org:5000/a/nginx", "n.inx"]);
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

    fn generators(&mut self, diamond: bool) {
        for (field, name) in [("configMapGenerator", "gen"), ("secretGenerator", "sec")] {
            let is_base = self.name == "base";
            if !is_base && self.random.bool() {
                continue;
            }
            self.line(&format!("{field}:"));
            let literal = format!("k{}={}", self.random.u8(..3), self.pick(&["1", "true", "x y", "a=b"]));
            match self.name {
                "base" => self.line(&format!("- name: {name}")),
                // In a diamond there are two of the base's.
                layer if diamond || layer == "side" => self.line(&format!("- name: {name}-{layer}")),
                _ => {
                    let behavior = self.pick(&["merge", "merge", "replace"]);
                    self.line(&format!("- name: {name}\n  behavior: {behavior}"));
                }
            }
            self.line(&format!("  literals: [\"{literal}\"]"));
            if self.one_in(3) {
                self.line("  files: [data.txt]");
                let text = self.pick(&[
                    "some text\nof two lines\n",
                    "no end",
                    "  led by spaces\n",
                    "a: b # c\n",
                    "\u{e9}\n",
                ]);
                self.file("data.txt", text.to_owned());
            }
            if self.one_in(5) {
                let source = self.pick(&["files: [other=bin.dat]", "envs: [some.env]", "env: some.env"]);
                let source =
                    if self.text.ends_with("files: [data.txt]\n") { "envs: [some.env]" } else { source };
                self.line(&format!("  {source}"));
                self.file("some.env", "# comment\nE=1\n\nF=a b=c\r\nG=\n".to_owned());
                self.files.insert(format!("{}/bin.dat", self.name), vec![0xFF, 0, 7, 0xC3]);
            }
            if self.one_in(4) {
                let hash = self.random.bool();
                let more = self.pick(&["", ", immutable: true", ", annotations: {g: \"1\"}"]);
                self.line(&format!(
                    "  options: {{disableNameSuffixHash: {hash}, labels: {{gen: y1}}{more}}}"
                ));
            }
            if name == "sec" && self.one_in(4) {
                self.line("  type: kubernetes.io/tls");
            }
            if self.one_in(80) {
                self.line("  namespace: own");
            }
        }
        if self.one_in(8) {
            let options = self.pick(&[
                "disableNameSuffixHash: true",
                "labels: {all: a}",
                "annotations: {x: \"2\"}, immutable: true",
            ]);
            self.line(&format!("generatorOptions: {{{options}}}"));
        }
    }

    fn transformers(&mut self) {
        if self.one_in(4) {
            let text = self.pick(&TRANSFORMERS);
            match self.random.u8(..3) {
                0 => {
                    let text = format!("apiVersion: builtin\n{text}");
                    let text = text.lines().fold(String::new(), |text, line| text + "\n  " + line);
                    self.line(&format!("transformers:\n- |-{text}"));
                }
                1 => {
                    self.line("transformers: [transformers]");
                    self.file("transformers/kustomization.yaml", "resources: [t.yaml]\n".to_owned());
                    self.file("transformers/t.yaml", format!("apiVersion: builtin\n{text}"));
                }
                _ => {
                    self.line("transformers: [transformer.yaml]");
                    self.file("transformer.yaml", format!("apiVersion: builtin\n{text}"));
                }
            }
        }
        if self.one_in(12) {
            let kind = self.pick(&["ConfigMap", "Secret"]);
            let name = format!("plugin-{}", self.name);
            self.line("generators: [generator.yaml]");
            self.file(
                "generator.yaml",
                format!(
                    "apiVersion: builtin\nkind: {kind}Generator\nmetadata: {{name: {name}}}\nliterals: [a=b, c=1]\n"
                ),
            );
        }
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
            "nameSuffix:\n- {path: spec/map/a, kind: Thing}\n",
            "namespace:\n- {path: spec/ns, kind: Thing, create: true}\n",
            "replicas:\n- {path: spec/size, kind: Thing, create: true}\n",
            "varReference:\n- {path: spec/deep, kind: Thing}\n- {path: data, kind: ConfigMap}\n",
            "nameReference:\n- kind: Thing\n  fieldSpecs: [{path: data/a, kind: ConfigMap}, {path: spec/issuerRef/name, kind: Certificate}]\n",
        ]);
        self.line("configurations: [config.yaml]");
        self.file("config.yaml", text.to_owned());
    }

    fn vars(&mut self, diamond: bool) {
        if diamond {
            return;
        }
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
            "resources: [thing.yaml]\nnamePrefix: k-\n",
            "configMapGenerator:\n- {name: of-component, literals: [x=y]}\n",
            "patches:\n- target: {kind: Deployment}\n  patch: '[{\"op\": \"add\", \"path\": \"/metadata/labels\", \"value\": {\"k\": \"c\"}}]'\n",
            "labels:\n- {pairs: {kc: d}, includeTemplates: true}\n",
            "replacements:\n- source: {kind: Thing, name: of-component, fieldPath: spec.v}\n  targets:\n  - {select: {kind: Deployment}, fieldPaths: [metadata.annotations.v], options: {create: true}}\nresources: [thing.yaml]\n",
            "nameSuffix: -c\n",
            "commonLabels: {c: d}\n",
            "images: [{name: nginx, newTag: c}]\n",
            "namespace: comp\n",
        ]);
        let text = format!("apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\n{text}");
        self.files.insert("component/kustomization.yaml".to_owned(), text.into_bytes());
        let thing = "apiVersion: example.org/v1\nkind: Thing\nmetadata: {name: of-component}\nspec: {v: 1}\n";
        self.files.insert("component/thing.yaml".to_owned(), thing.into());
    }
}

/// Objects that are transformers, without their `apiVersion`.
const TRANSFORMERS: [&str; 16] = [
    "kind: PrefixTransformer\nmetadata: {name: x}\nprefix: t-\nfieldSpecs: [{path: metadata/name}]\n",
    "kind: SuffixTransformer\nmetadata: {name: x}\nsuffix: -t\nfieldSpecs: [{path: metadata/name, kind: Service}]\n",
    "kind: LabelTransformer\nmetadata: {name: x}\nlabels: {t: l}\nfieldSpecs: [{path: metadata/labels, create: true}]\n",
    "kind: LabelTransformer\nmetadata: {name: x}\nlabels: {t: 1, u: true}\nfieldSpecs: [{path: spec/map, kind: Thing}]\n",
    "kind: AnnotationsTransformer\nmetadata: {name: x}\nannotations: {t: a}\nfieldSpecs: [{path: metadata/annotations, create: true}, {path: spec/template/metadata/annotations, create: true, kind: Deployment}]\n",
    "kind: NamespaceTransformer\nmetadata: {name: x, namespace: tns}\nunsetOnly: true\n",
    "kind: NamespaceTransformer\nmetadata: {name: x, namespace: tns}\nsetRoleBindingSubjects: allServiceAccounts\nfieldSpecs: [{path: metadata/namespace, create: true}]\n",
    "kind: NamespaceTransformer\nmetadata: {name: x, namespace: tns}\nsetRoleBindingSubjects: none\n",
    "kind: ImageTagTransformer\nmetadata: {name: x}\nimageTag: {name: nginx, newTag: t}\n",
    "kind: ImageTagTransformer\nmetadata: {name: x}\nimageTag: {name: conf, newTag: t}\nfieldSpecs: [{path: spec/ref, kind: Thing}]\n",
    "kind: ReplicaCountTransformer\nmetadata: {name: x}\nreplica: {name: gen, count: 9}\nfieldSpecs: [{path: data/size, create: true, kind: ConfigMap}]\n",
    "kind: PatchTransformer\nmetadata: {name: x}\ntarget: {kind: ConfigMap}\npatch: '[{\"op\": \"add\", \"path\": \"/data\", \"value\": {\"t\": \"1\"}}]'\n",
    "kind: PatchTransformer\nmetadata: {name: x}\ntarget: {kind: Thing}\npatch: |-\n  kind: Thing\n  metadata: {name: any}\n  spec: {map: {b: null, q: 1}}\n",
    "kind: HashTransformer\nmetadata: {name: x}\n",
    "kind: ValueAddTransformer\nmetadata: {name: x}\nvalue: added\ntargets:\n- {fieldPath: metadata/annotations/added, selector: {kind: Service}}\n",
    "kind: ReplacementTransformer\nmetadata: {name: x}\nreplacements:\n- source: {kind: ConfigMap, name: gen, fieldPath: metadata.name}\n  targets: [{select: {kind: Thing}, fieldPaths: [spec.ref]}]\n",
];

/// The objects of a text as one object of kind List.
fn in_list(text: &str) -> String {
    let mut list = "apiVersion: v1\nkind: List\nitems:\n".to_owned();
    for document in text.split("---\n") {
        for (number, line) in document.lines().enumerate() {
            list.push_str(if number == 0 { "- " } else { "  " });
            list.push_str(line);
            list.push('\n');
        }
    }
    list
}
