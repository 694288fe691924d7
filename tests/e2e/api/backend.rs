//! An API to tell stories to: simulated or real, with a namespace of the story's own.

use std::time::Duration;

use futures::{AsyncBufReadExt, StreamExt};
use http::{Request, Response};
use kube::client::Body;
use kube::config::{KubeConfigOptions, Kubeconfig};
use muster_simcluster::{Settings, SimCluster, Simulation};
use muster_tests::kubernetes::Cluster;
use muster_tests::wait;
use serde_json::{Value, json};

/// Time for anything that must happen; the real cluster may be busy with other stories.
pub(super) const SOON: Duration = Duration::from_secs(60);

/// A cluster and a namespace in it.
pub(super) struct Backend {
    pub(super) client: kube::Client,
    pub(super) namespace: String,
    pub(super) kubeconfig: String,
    /// The control of a simulated cluster.
    pub(super) simulated: Option<SimCluster>,
}

/// An answer: status code, headers and the body as JSON (or as text, when it is none).
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) code: u16,
    pub(super) headers: http::HeaderMap,
    pub(super) body: Value,
}

impl Backend {
    pub(super) async fn simulated(story: &str) -> Backend {
        let simulation = Simulation::new().unwrap();
        let settings = Settings { ready_after: Duration::from_millis(50), ..Settings::default() };
        let cluster = simulation.start("sim", settings).await.unwrap();
        let kubeconfig = cluster.kubeconfig("admin");
        let client = client(&kubeconfig).await;
        Backend::with_namespace(client, kubeconfig, Some(cluster), story).await
    }

    pub(super) async fn real(story: &str) -> Option<Backend> {
        let cluster = Cluster::shared().await?;
        let kubeconfig = std::fs::read_to_string(cluster.kubeconfig()).unwrap();
        let client = client(&kubeconfig).await;
        Some(Backend::with_namespace(client, kubeconfig, None, story).await)
    }

    async fn with_namespace(
        client: kube::Client,
        kubeconfig: String,
        simulated: Option<SimCluster>,
        story: &str,
    ) -> Backend {
        // Names of namespaces end at 63 characters; one that is made ends with five of its own.
        let prefix: String = story.replace('_', "-").chars().take(40).collect();
        let mut backend = Backend { client, namespace: String::new(), kubeconfig, simulated };
        let namespace = json!({
            "apiVersion": "v1", "kind": "Namespace", "metadata": {"generateName": format!("api-{prefix}-")},
        });
        let created = backend.post("/api/v1/namespaces", &namespace).await.expect(201);
        backend.namespace = created["metadata"]["name"].as_str().unwrap().to_owned();
        // Pods need it; without the controllers it never comes, and workloads would not either.
        let account = backend.core("serviceaccounts/default");
        wait::until("the default service account", SOON, async || {
            let answer = backend.get(&account).await;
            if answer.code == 200 { Ok(()) } else { Err(answer.body.to_string()) }
        })
        .await;
        backend
    }

    /// The path of a resource of the core group in the story's namespace.
    pub(super) fn core(&self, rest: &str) -> String {
        format!("/api/v1/namespaces/{}/{rest}", self.namespace)
    }

    /// The path of a resource of `apps/v1` in the story's namespace.
    pub(super) fn apps(&self, rest: &str) -> String {
        format!("/apis/apps/v1/namespaces/{}/{rest}", self.namespace)
    }

    /// Any request.
    pub(super) async fn call(&self, request: Request<Vec<u8>>) -> Answer {
        let response: Response<Body> = self.client.send(request.map(Body::from)).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect_bytes().await.unwrap();
        let text = || Value::String(String::from_utf8_lossy(&bytes).into_owned());
        let body = serde_json::from_slice(&bytes).unwrap_or_else(|_| text());
        Answer { code: parts.status.as_u16(), headers: parts.headers, body }
    }

    pub(super) async fn send(&self, method: &str, path: &str, content_type: &str, body: &Value) -> Answer {
        let bytes = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let request = Request::builder().method(method).uri(path).header("accept", "application/json");
        let request = request.header("content-type", content_type).header("user-agent", "suite/1");
        self.call(request.body(bytes).unwrap()).await
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, "application/json", &Value::Null).await
    }

    /// A read in another form, by its Accept header.
    pub(super) async fn get_as(&self, path: &str, accept: &str) -> Answer {
        self.call(Request::get(path).header("accept", accept).body(Vec::new()).unwrap()).await
    }

    pub(super) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send("POST", path, "application/json", body).await
    }

    pub(super) async fn put(&self, path: &str, body: &Value) -> Answer {
        self.send("PUT", path, "application/json", body).await
    }

    pub(super) async fn merge(&self, path: &str, body: &Value) -> Answer {
        self.send("PATCH", path, "application/merge-patch+json", body).await
    }

    pub(super) async fn apply(&self, path: &str, body: &Value) -> Answer {
        self.send("PATCH", path, "application/apply-patch+yaml", body).await
    }

    pub(super) async fn delete(&self, path: &str) -> Answer {
        self.send("DELETE", path, "application/json", &Value::Null).await
    }

    /// Opens a watch; it must begin.
    pub(super) async fn watch(&self, path: &str) -> Events {
        self.watch_as(path, "application/json").await
    }

    pub(super) async fn watch_as(&self, path: &str, accept: &str) -> Events {
        let request = Request::get(path).header("accept", accept).body(Vec::new()).unwrap();
        let lines = self.client.request_stream(request).await.unwrap().lines();
        Events { lines: lines.boxed() }
    }

    /// Waits until the object at the path is as it should be, and returns it.
    pub(super) async fn until(&self, what: &str, path: &str, holds: impl Fn(&Value) -> bool) -> Value {
        wait::until(what, SOON, async || {
            let answer = self.get(path).await;
            if answer.code == 200 && holds(&answer.body) {
                Ok(answer.body)
            } else {
                Err(answer.body.to_string())
            }
        })
        .await
    }

    /// Waits until there is nothing at the path.
    pub(super) async fn until_gone(&self, path: &str) {
        wait::until(&format!("{path} to be gone"), SOON, async || {
            let answer = self.get(path).await;
            if answer.code == 404 { Ok(()) } else { Err(answer.body.to_string()) }
        })
        .await;
    }
}

impl Answer {
    /// The body, if the code is the expected one.
    #[track_caller]
    pub(super) fn expect(self, code: u16) -> Value {
        assert_eq!(self.code, code, "{}", self.body);
        self.body
    }
}

/// The events of a watch.
pub(super) struct Events {
    lines: futures::stream::BoxStream<'static, std::io::Result<String>>,
}

impl Events {
    /// The next event, or `None` when the watch has ended.
    pub(super) async fn next(&mut self) -> Option<Value> {
        let line = tokio::time::timeout(SOON, self.lines.next()).await.expect("an event, or the end");
        line.and_then(Result::ok).map(|line| serde_json::from_str(&line).unwrap())
    }

    /// Type, name and one field of the next event that is no bookmark.
    pub(super) async fn change(&mut self) -> (String, String) {
        loop {
            let event = self.next().await.expect("the watch goes on");
            let kind = event["type"].as_str().unwrap().to_owned();
            let name = event["object"]["metadata"]["name"].as_str().unwrap_or_default().to_owned();
            if kind != "BOOKMARK" {
                return (kind, name);
            }
        }
    }
}

/// A client for a kubeconfig that shows every answer as it comes: it does not try again by itself.
pub(super) async fn client(kubeconfig: &str) -> kube::Client {
    let kubeconfig = Kubeconfig::from_yaml(kubeconfig).unwrap();
    let options = KubeConfigOptions::default();
    let mut config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await.unwrap();
    config.default_retry = false;
    kube::Client::try_from(config).unwrap()
}

/// A ConfigMap.
pub(super) fn config_map(name: &str, data: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data})
}

/// A workload of `apps/v1`.
pub(super) fn workload(kind: &str, name: &str, image: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name},
        "spec": {
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "main", "image": image}]},
            },
        },
    })
}

/// The condition of this type.
pub(super) fn condition<'a>(object: &'a Value, kind: &str) -> &'a Value {
    let mut conditions = object["status"]["conditions"].as_array().into_iter().flatten();
    conditions.find(|condition| condition["type"] == kind).unwrap_or(&Value::Null)
}
