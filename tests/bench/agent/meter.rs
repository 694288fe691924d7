//! What a process and an API server say of themselves.

use std::time::{Duration, Instant};

use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::discovery::ApiResource;
use muster_tests::kubernetes::Cluster;
use muster_tests::wait;
use serde_json::{Value, json};

use super::Result;

/// Name of the agent's user and of its FlowSchema, by which the API server counts its requests.
pub(super) const USER: &str = "muster-bench-agent";

const MIB: f64 = 1024.0 * 1024.0;

/// Ticks of /proc/PID/stat in a second: fixed on Linux for programs.
const TICKS_PER_SECOND: f64 = 100.0;

/// Processor time a process has used so far, its threads included.
pub(super) fn cpu(pid: u32) -> Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields = stat.rsplit_once(')').map(|(_, rest)| rest).unwrap_or_default();
    let tick = |index: usize| fields.split_whitespace().nth(index).and_then(|text| text.parse::<f64>().ok());
    let ticks = tick(11).zip(tick(12)).map(|(user, system)| user + system).ok_or("/proc/PID/stat")?;
    Ok(Duration::from_secs_f64(ticks / TICKS_PER_SECOND))
}

/// A figure of /proc/PID/status in MiB, such as `VmRSS`.
pub(super) fn memory(pid: u32, name: &str) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    Ok(kib.ok_or(format!("no {name}"))? * 1024.0 / MIB)
}

/// Waits until the memory has not changed by more than 1 % for some seconds, and gives `now (peak N)`.
pub(super) async fn settled_memory(pid: u32) -> Result<String> {
    let settle = Duration::from_secs(5);
    let (mut last, mut since) = (memory(pid, "VmRSS")?, Instant::now());
    while since.elapsed() < settle {
        tokio::time::sleep(Duration::from_millis(250)).await;
        let now = memory(pid, "VmRSS")?;
        if (now - last).abs() > last / 100.0 {
            (last, since) = (now, Instant::now());
        }
    }
    let (own, peak) = (memory(pid, "RssAnon")?, memory(pid, "VmHWM")?);
    Ok(format!("{last:.1} MiB ({own:.1} of it its own), peak {peak:.1} MiB"))
}

/// A cluster whose API server counts what the agent asks.
pub(super) struct Server {
    pub(super) cluster: Cluster,
    pub(super) kubeconfig: std::path::PathBuf,
}

impl Server {
    /// Gives the agent's user all rights, and a FlowSchema of its own at the level it would have anyway.
    pub(super) async fn prepare(cluster: Cluster) -> Result<Server> {
        let access = cluster.user(USER, None).await?;
        let kubeconfig = access.kubeconfig().to_owned();
        let server = Server { cluster, kubeconfig };
        server
            .apply(
                json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
                "metadata": {"name": USER},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
                "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": USER}]}),
            )
            .await?;
        let rule = json!({"subjects": [{"kind": "User", "user": {"name": USER}}],
            "resourceRules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"], "namespaces": ["*"], "clusterScope": true}],
            "nonResourceRules": [{"nonResourceURLs": ["*"], "verbs": ["*"]}]});
        server
            .apply(json!({"apiVersion": "flowcontrol.apiserver.k8s.io/v1", "kind": "FlowSchema",
                "metadata": {"name": USER},
                "spec": {"matchingPrecedence": 500, "priorityLevelConfiguration": {"name": "global-default"},
                    "distinguisherMethod": {"type": "ByUser"}, "rules": [rule]}}))
            .await?;
        // The API server reads FlowSchemas as it reads all else: a moment later.
        let counted = async || {
            let request = http::Request::get("/api").body(Vec::new()).map_err(|error| error.to_string())?;
            access.client().request_text(request).await.map_err(|error| error.to_string())?;
            let requests = server.requests().await.map_err(|error| error.to_string())?;
            if requests > 0.0 { Ok(()) } else { Err("not counted yet".to_owned()) }
        };
        wait::try_until("the agent's requests counted", Duration::from_secs(60), counted).await?;
        Ok(server)
    }

    /// Requests of the agent so far, watches included, as the API server counted them.
    pub(super) async fn requests(&self) -> Result<f64> {
        let request = http::Request::get("/metrics").body(Vec::new())?;
        let text = self.cluster.client().request_text(request).await?;
        let wanted = format!("flow_schema=\"{USER}\"");
        let lines = text.lines().filter(|line| {
            line.starts_with("apiserver_flowcontrol_dispatched_requests_total{") && line.contains(&wanted)
        });
        Ok(lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum())
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
