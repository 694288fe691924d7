//! Which kinds does a cluster serve, under which paths?

use crate::schema::{Builtins, Schema, custom};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// One row per built-in kind: group/version, resource, kind, scope, short names, subresources, marks.
/// Marks: `g` has a generation that counts changes of the specification; `1` has a generation that stays 1; `u` may
/// only be updated with a resourceVersion; `r` a delete answers with the deleted object; `c` a PUT may create.
const TABLE: &str = "
v1 configmaps ConfigMap namespaced cm - -
v1 endpoints Endpoints namespaced ep - c
v1 events Event namespaced ev - c
v1 limitranges LimitRange namespaced limits - c
v1 namespaces Namespace cluster ns status,finalize -
v1 nodes Node cluster no status -
v1 persistentvolumeclaims PersistentVolumeClaim namespaced pvc status r
v1 persistentvolumes PersistentVolume cluster pv status r
v1 pods Pod namespaced po status gr
v1 podtemplates PodTemplate namespaced - - gr
v1 replicationcontrollers ReplicationController namespaced rc status,scale g
v1 resourcequotas ResourceQuota namespaced quota status r
v1 secrets Secret namespaced - - -
v1 serviceaccounts ServiceAccount namespaced sa - r
v1 services Service namespaced svc status r
admissionregistration.k8s.io/v1 mutatingwebhookconfigurations MutatingWebhookConfiguration cluster - - gu
admissionregistration.k8s.io/v1 validatingwebhookconfigurations ValidatingWebhookConfiguration cluster - - gu
admissionregistration.k8s.io/v1 validatingadmissionpolicies ValidatingAdmissionPolicy cluster - status gu
admissionregistration.k8s.io/v1 validatingadmissionpolicybindings ValidatingAdmissionPolicyBinding cluster - - gu
apiextensions.k8s.io/v1 customresourcedefinitions CustomResourceDefinition cluster crd,crds status gu
apiregistration.k8s.io/v1 apiservices APIService cluster - status u
apps/v1 controllerrevisions ControllerRevision namespaced - - -
apps/v1 daemonsets DaemonSet namespaced ds status g
apps/v1 deployments Deployment namespaced deploy status,scale g
apps/v1 replicasets ReplicaSet namespaced rs status,scale g
apps/v1 statefulsets StatefulSet namespaced sts status,scale g
authentication.k8s.io/v1 selfsubjectreviews SelfSubjectReview cluster - - -
authorization.k8s.io/v1 selfsubjectaccessreviews SelfSubjectAccessReview cluster - - -
autoscaling/v2 horizontalpodautoscalers HorizontalPodAutoscaler namespaced hpa status -
batch/v1 cronjobs CronJob namespaced cj status g
batch/v1 jobs Job namespaced - status g
certificates.k8s.io/v1 certificatesigningrequests CertificateSigningRequest cluster csr status,approval -
coordination.k8s.io/v1 leases Lease namespaced - - uc
discovery.k8s.io/v1 endpointslices EndpointSlice namespaced - - g
networking.k8s.io/v1 ingressclasses IngressClass cluster - - g
networking.k8s.io/v1 ingresses Ingress namespaced ing status g
networking.k8s.io/v1 networkpolicies NetworkPolicy namespaced netpol - g
node.k8s.io/v1 runtimeclasses RuntimeClass cluster - - -
policy/v1 poddisruptionbudgets PodDisruptionBudget namespaced pdb status gu
rbac.authorization.k8s.io/v1 clusterrolebindings ClusterRoleBinding cluster - - -
rbac.authorization.k8s.io/v1 clusterroles ClusterRole cluster - - -
rbac.authorization.k8s.io/v1 rolebindings RoleBinding namespaced - - -
rbac.authorization.k8s.io/v1 roles Role namespaced - - -
scheduling.k8s.io/v1 priorityclasses PriorityClass cluster pc - 1
storage.k8s.io/v1 csidrivers CSIDriver cluster - - r
storage.k8s.io/v1 csinodes CSINode cluster - - r
storage.k8s.io/v1 csistoragecapacities CSIStorageCapacity namespaced - - -
storage.k8s.io/v1 storageclasses StorageClass cluster sc - r
storage.k8s.io/v1 volumeattachments VolumeAttachment cluster - status -
";

/// How `metadata.generation` of a kind counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Generation {
    None,
    /// Set to 1 and left there.
    Fixed,
    /// Counts changes outside metadata and status.
    Counted,
}

/// A kind in one version, and what the API does with it.
#[derive(Clone, Debug)]
pub(crate) struct Kind {
    pub(crate) group: String,
    pub(crate) version: String,
    /// Plural, as in paths.
    pub(crate) resource: String,
    pub(crate) kind: String,
    pub(crate) list_kind: String,
    pub(crate) singular: String,
    pub(crate) namespaced: bool,
    pub(crate) short_names: Vec<String>,
    pub(crate) categories: Vec<String>,
    pub(crate) subresources: Vec<String>,
    pub(crate) generation: Generation,
    /// A PUT without resourceVersion overwrites whatever is there.
    pub(crate) unconditional_update: bool,
    pub(crate) create_on_update: bool,
    pub(crate) returns_deleted: bool,
    pub(crate) schema: Arc<Schema>,
    /// Extra columns of a custom kind: name, JSON path, type.
    pub(crate) columns: Vec<(String, String, String)>,
    /// Paths of `spec.replicas`, `status.replicas` and the label selector of a custom kind's /scale.
    pub(crate) scale: Option<ScalePaths>,
    /// Where this version and the others of its kind are kept: `deployments.apps`.
    pub(crate) storage: Arc<str>,
}

/// Where a custom kind keeps what /scale shows, as JSON paths such as `.spec.replicas`.
#[derive(Clone, Debug)]
pub(crate) struct ScalePaths {
    pub(crate) spec: String,
    pub(crate) status: String,
    pub(crate) selector: Option<String>,
}

impl Kind {
    /// `v1` or `apps/v1`.
    pub(crate) fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }

    pub(crate) fn has(&self, subresource: &str) -> bool {
        self.subresources.iter().any(|name| name == subresource)
    }

    /// Kinds that are questions, not objects.
    pub(crate) fn is_review(&self) -> bool {
        self.kind.ends_with("Review")
    }

    /// Whether status is written apart from the rest.
    pub(crate) fn status_apart(&self) -> bool {
        self.has("status")
    }
}

/// The kinds of one version of a group, by resource.
pub(crate) type Served = BTreeMap<String, Arc<Kind>>;
/// The versions of a group in the order of preference.
pub(crate) type Versions = Vec<(String, Served)>;

/// The kinds that a cluster serves now.
#[derive(Clone, Debug)]
pub(crate) struct Kinds {
    builtins: Arc<Builtins>,
    groups: BTreeMap<String, Versions>,
}

impl Kinds {
    /// The built-in kinds.
    pub(crate) fn new(builtins: &Arc<Builtins>) -> Kinds {
        let mut kinds = Kinds { builtins: builtins.clone(), groups: BTreeMap::new() };
        for line in TABLE.lines() {
            if let Some(kind) = row(line, builtins) {
                kinds.add(kind);
            }
        }
        kinds
    }

    /// The shapes of the built-in kinds.
    pub(crate) fn builtins(&self) -> &Arc<Builtins> {
        &self.builtins
    }

    fn add(&mut self, kind: Kind) {
        let versions = self.groups.entry(kind.group.clone()).or_default();
        let index = match versions.iter().position(|(version, _)| *version == kind.version) {
            Some(index) => index,
            None => {
                versions.push((kind.version.clone(), BTreeMap::new()));
                versions.sort_by_key(|(version, _)| std::cmp::Reverse(version_order(version)));
                versions.iter().position(|(version, _)| *version == kind.version).unwrap_or_default()
            }
        };
        versions[index].1.insert(kind.resource.clone(), Arc::new(kind));
    }

    pub(crate) fn find(&self, group: &str, version: &str, resource: &str) -> Option<&Arc<Kind>> {
        self.groups.get(group)?.iter().find(|(name, _)| name == version)?.1.get(resource)
    }

    /// The preferred version of a kind, by where it is kept.
    pub(crate) fn stored(&self, storage: &str) -> Option<&Arc<Kind>> {
        let (resource, group) = storage.split_once('.').unwrap_or((storage, ""));
        self.groups.get(group)?.iter().find_map(|(_, kinds)| kinds.get(resource))
    }

    /// All kinds, one version each.
    pub(crate) fn preferred(&self) -> impl Iterator<Item = &Arc<Kind>> {
        self.groups.values().flat_map(|versions| {
            let mut seen = BTreeMap::new();
            for kind in versions.iter().flat_map(|(_, kinds)| kinds.values()) {
                seen.entry(kind.resource.clone()).or_insert(kind);
            }
            seen.into_values()
        })
    }

    /// Groups with their versions and kinds, the core group first.
    pub(crate) fn groups(&self) -> impl Iterator<Item = (&str, &Versions)> {
        self.groups.iter().map(|(group, versions)| (group.as_str(), versions))
    }

    /// Serves what the CustomResourceDefinition defines, in all its served versions.
    pub(crate) fn define(&mut self, definition: &Value) {
        self.forget(definition);
        for version in definition["spec"]["versions"].as_array().into_iter().flatten() {
            if version["served"] == Value::Bool(true) {
                let kind = custom_kind(&self.builtins, definition, version);
                self.add(kind);
            }
        }
    }

    /// Serves it no more.
    pub(crate) fn forget(&mut self, definition: &Value) {
        let group = definition["spec"]["group"].as_str().unwrap_or_default();
        let plural = definition["spec"]["names"]["plural"].as_str().unwrap_or_default();
        if let Some(versions) = self.groups.get_mut(group) {
            for (_, kinds) in versions.iter_mut() {
                kinds.remove(plural);
            }
            versions.retain(|(_, kinds)| !kinds.is_empty());
            if versions.is_empty() {
                self.groups.remove(group);
            }
        }
    }
}

fn row(line: &str, builtins: &Arc<Builtins>) -> Option<Kind> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [group_version, resource, kind, scope, short_names, subresources, marks] = words.as_slice() else {
        return None;
    };
    let (group, version) = group_version.split_once('/').unwrap_or(("", group_version));
    let list = |text: &str| -> Vec<String> {
        text.split(',').filter(|name| *name != "-").map(str::to_owned).collect()
    };
    let schema = builtins.schema(group_version, kind).unwrap_or_else(|| custom(builtins, None));
    let all =
        ["pods", "services", "deployments", "daemonsets", "statefulsets", "replicasets", "jobs", "cronjobs"];
    let in_all =
        all.contains(resource) || *resource == "replicationcontrollers" || kind.starts_with("HorizontalPod");
    Some(Kind {
        group: group.to_owned(),
        version: version.to_owned(),
        resource: (*resource).to_owned(),
        kind: (*kind).to_owned(),
        list_kind: format!("{kind}List"),
        singular: kind.to_lowercase(),
        namespaced: *scope == "namespaced",
        short_names: list(short_names),
        categories: match group {
            _ if in_all => vec!["all".to_owned()],
            "admissionregistration.k8s.io" | "apiextensions.k8s.io" | "apiregistration.k8s.io" => {
                vec!["api-extensions".to_owned()]
            }
            _ => Vec::new(),
        },
        subresources: list(subresources),
        generation: match marks {
            marks if marks.contains('g') => Generation::Counted,
            marks if marks.contains('1') => Generation::Fixed,
            _ => Generation::None,
        },
        unconditional_update: !marks.contains('u'),
        create_on_update: marks.contains('c'),
        returns_deleted: marks.contains('r'),
        schema: Arc::new(schema),
        columns: Vec::new(),
        scale: None,
        storage: crate::status::qualified(resource, group).into(),
    })
}

fn custom_kind(builtins: &Arc<Builtins>, definition: &Value, version: &Value) -> Kind {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let list = |value: &Value| value.as_array().into_iter().flatten().map(text).collect();
    let (spec, names) = (&definition["spec"], &definition["spec"]["names"]);
    let (group, resource) = (text(&spec["group"]), text(&names["plural"]));
    let scale = &version["subresources"]["scale"];
    let mut subresources = Vec::new();
    for name in ["status", "scale"] {
        if version["subresources"][name].is_object() {
            subresources.push(name.to_owned());
        }
    }
    let columns = version["additionalPrinterColumns"].as_array().into_iter().flatten();
    let columns = columns.filter(|column| column["priority"].as_i64().unwrap_or(0) == 0);
    Kind {
        storage: crate::status::qualified(&resource, &group).into(),
        version: text(&version["name"]),
        kind: text(&names["kind"]),
        list_kind: text(&names["listKind"]),
        singular: text(&names["singular"]),
        namespaced: spec["scope"] == "Namespaced",
        short_names: list(&names["shortNames"]),
        categories: list(&names["categories"]),
        subresources,
        generation: Generation::Counted,
        unconditional_update: false,
        create_on_update: false,
        returns_deleted: false,
        schema: Arc::new(custom(builtins, Some(&version["schema"]["openAPIV3Schema"]))),
        columns: columns.map(|c| (text(&c["name"]), text(&c["jsonPath"]), text(&c["type"]))).collect(),
        scale: scale.is_object().then(|| ScalePaths {
            spec: text(&scale["specReplicasPath"]),
            status: text(&scale["statusReplicasPath"]),
            selector: scale["labelSelectorPath"].as_str().map(str::to_owned),
        }),
        group,
        resource,
    }
}

/// Versions in the order Kubernetes prefers them: v2, v1, v1beta1, v1alpha1, others by name.
fn version_order(version: &str) -> (u8, u32, u32) {
    let numbers = |text: &str, stage: &str| -> Option<(u32, u32)> {
        let (major, minor) = text.strip_prefix('v')?.split_once(stage)?;
        Some((major.parse().ok()?, minor.parse().ok()?))
    };
    if let Some(major) = version.strip_prefix('v').and_then(|major| major.parse().ok()) {
        return (3, major, 0);
    }
    if let Some((major, minor)) = numbers(version, "beta") {
        return (2, major, minor);
    }
    match numbers(version, "alpha") {
        Some((major, minor)) => (1, major, minor),
        None => (0, 0, 0),
    }
}
