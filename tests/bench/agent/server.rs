//! One API server, its users, and what it says of their requests.

use std::path::Path;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::discovery::ApiResource;
use muster_tests::kubernetes::{Access, Cluster, Options};
use muster_tests::wait;
use serde_json::{Value, json};

use super::{LONG, Result, meter};

/// Who asks; each has a FlowSchema of its own at the same level, so that the API server counts them apart and
/// treats them alike.
#[derive(Clone, Copy)]
pub(super) enum User {
    Agent,
    Kubectl,
    Loop,
}

impl User {
    const ALL: [User; 3] = [User::Agent, User::Kubectl, User::Loop];

    fn name(self) -> &'static str {
        match self {
            User::Agent => "muster-bench-agent",
            User::Kubectl => "muster-bench-kubectl",
            User::Loop => "muster-bench-loop",
        }
    }
}

/// How long the programs of a cluster are watched to tell whether they are idle, and how much of that they may
/// work then.
const IDLE_FOR: Duration = Duration::from_secs(1);
const IDLE_MAX: Duration = Duration::from_millis(150);

/// A cluster whose API server counts what each user asks.
pub(super) struct Server {
    pub(super) cluster: Cluster,
    access: Vec<Access>,
}

impl Server {
    /// Starts a cluster; `None` where there is none to be had.
    pub(super) async fn start(name: &str) -> Result<Option<Server>> {
        let Some(cluster) = Cluster::start_or_skip(name, Options::default()).await else { return Ok(None) };
        let mut access = Vec::new();
        for user in User::ALL {
            access.push(cluster.user(user.name(), None).await?);
        }
        let server = Server { cluster, access };
        for user in User::ALL {
            server.admit(user).await?;
        }
        Ok(Some(server))
    }

    pub(super) fn kubeconfig(&self, user: User) -> &Path {
        self.access[user as usize].kubeconfig()
    }

    pub(super) fn client(&self, user: User) -> kube::Client {
        self.access[user as usize].client()
    }

    /// Gives a user all rights and a FlowSchema.
    async fn admit(&self, user: User) -> Result<()> {
        let name = user.name();
        let role =
            json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"});
        self.apply(json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
                "metadata": {"name": name}, "roleRef": role,
                "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": name}]}))
            .await?;
        let rule = json!({"subjects": [{"kind": "User", "user": {"name": name}}],
            "resourceRules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"], "namespaces": ["*"], "clusterScope": true}],
            "nonResourceRules": [{"nonResourceURLs": ["*"], "verbs": ["*"]}]});
        self.apply(json!({"apiVersion": "flowcontrol.apiserver.k8s.io/v1", "kind": "FlowSchema",
            "metadata": {"name": name},
            "spec": {"matchingPrecedence": 500, "priorityLevelConfiguration": {"name": "global-default"},
                "distinguisherMethod": {"type": "ByUser"}, "rules": [rule]}}))
            .await?;
        // The API server reads FlowSchemas as it reads all else: a moment later.
        let counted = async || {
            let request = http::Request::get("/api").body(Vec::new()).map_err(|error| error.to_string())?;
            self.client(user).request_text(request).await.map_err(|error| error.to_string())?;
            let requests = self.requests(user).await.map_err(|error| error.to_string())?;
            if requests > 0.0 { Ok(()) } else { Err("not counted yet".to_owned()) }
        };
        wait::try_until("a user's requests counted", LONG, counted).await?;
        Ok(())
    }

    /// Requests of a user so far, watches included, as the API server counted them.
    pub(super) async fn requests(&self, user: User) -> Result<f64> {
        let request = http::Request::get("/metrics").body(Vec::new())?;
        let text = self.cluster.client().request_text(request).await?;
        let wanted = format!("flow_schema=\"{}\"", user.name());
        let lines = text.lines().filter(|line| {
            line.starts_with("apiserver_flowcontrol_dispatched_requests_total{") && line.contains(&wanted)
        });
        Ok(lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum())
    }

    /// Processor time of etcd, the API server and the controllers so far.
    pub(super) fn cpu(&self) -> Result<Duration> {
        self.cluster.programs().iter().map(|program| meter::cpu(program.pid())).sum()
    }

    /// Waits until the controllers have caught up, so that what comes next has the machine for itself.
    pub(super) async fn until_idle(&self) -> Result<()> {
        let begun = Instant::now();
        loop {
            let before = self.cpu()?;
            tokio::time::sleep(IDLE_FOR).await;
            if self.cpu()? - before <= IDLE_MAX {
                return Ok(());
            }
            if begun.elapsed() > LONG {
                return Err("the cluster does not become idle".into());
            }
        }
    }

    pub(super) async fn create_namespaces(&self, names: &[String]) -> Result<()> {
        let namespaces: Api<Namespace> = Api::all(self.cluster.client());
        for name in names {
            let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
            namespaces.patch(name, &PatchParams::apply("muster-bench"), &Patch::Apply(&body)).await?;
        }
        Ok(())
    }

    /// Applies one object of a kind whose plural is its name in lower case with an `s`.
    async fn apply(&self, object: Value) -> Result<()> {
        let object: DynamicObject = serde_json::from_value(object)?;
        let types = object.types.clone().ok_or("no types")?;
        let (group, version) = types.api_version.split_once('/').unwrap_or(("", &types.api_version));
        let resource = ApiResource::from_gvk(&kube::core::GroupVersionKind::gvk(group, version, &types.kind));
        let name = object.metadata.name.clone().unwrap_or_default();
        let api: Api<DynamicObject> = Api::all_with(self.cluster.client(), &resource);
        api.patch(&name, &PatchParams::apply("muster-bench"), &Patch::Apply(&object)).await?;
        Ok(())
    }
}
