//! The objects that are applied: apps of ten small web services each, and the shape of Flux's benchmark.

use std::fmt::Write as _;

/// Objects of one service below: an account, a ConfigMap, a Role, a Service and a Deployment scaled to zero.
const OF_A_SERVICE: usize = 5;

/// Objects of one app.
pub(super) const OF_AN_APP: usize = 10 * OF_A_SERVICE;

/// The manifests of one app, one file.
pub(super) fn app(namespace: &str) -> String {
    let mut text = String::new();
    for index in 0..OF_AN_APP / OF_A_SERVICE {
        let name = format!("service-{index}");
        let filler: String = (0..8).fold(String::new(), |mut lines, line| {
            let _ = writeln!(lines, "    setting.{line}=the value of setting number {line} of {name}");
            lines
        });
        let _ = write!(
            text,
            "apiVersion: v1\nkind: ServiceAccount\nmetadata: {{name: {name}, namespace: {namespace}}}\n---\n\
             apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, namespace: {namespace}}}\n\
             data:\n  settings: |\n{filler}---\n\
             apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {{name: {name}, namespace: {namespace}}}\n\
             rules:\n- {{apiGroups: [\"\"], resources: [configmaps], verbs: [get, list, watch]}}\n---\n"
        );
        text.push_str(&service(&name, namespace));
        text.push_str("---\n");
        text.push_str(&deployment(&name, namespace));
        text.push_str("---\n");
    }
    text
}

/// One app as Flux's published benchmark has it: a Deployment scaled to zero, an account, a Service and an
/// Ingress.
pub(super) fn flux_app(name: &str, namespace: &str) -> String {
    format!(
        "apiVersion: v1\nkind: ServiceAccount\nmetadata: {{name: {name}, namespace: {namespace}}}\n---\n{}---\n{}---\n\
         apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {{name: {name}, namespace: {namespace}}}\n\
         spec:\n  rules:\n  - host: {name}.example.com\n    http:\n      paths:\n      - path: /\n        \
         pathType: Prefix\n        backend: {{service: {{name: {name}, port: {{number: 80}}}}}}\n",
        deployment(name, namespace),
        service(name, namespace),
    )
}

fn service(name: &str, namespace: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec:\n  \
         selector: {{app: {name}}}\n  ports:\n  - {{name: http, port: 80, targetPort: http}}\n"
    )
}

fn deployment(name: &str, namespace: &str) -> String {
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: {name}\n  namespace: {namespace}\n  \
         labels: {{app: {name}}}\nspec:\n  replicas: 0\n  selector: {{matchLabels: {{app: {name}}}}}\n  template:\n    \
         metadata: {{labels: {{app: {name}}}}}\n    spec:\n      serviceAccountName: {name}\n      containers:\n      \
         - name: web\n        image: ghcr.io/example/web:1.2.3\n        ports:\n        - {{name: http, containerPort: 8080}}\n        \
         env:\n        - {{name: LEVEL, value: info}}\n        - {{name: NAME, value: {name}}}\n        \
         resources:\n          requests: {{cpu: 100m, memory: 64Mi}}\n          limits: {{memory: 128Mi}}\n        \
         readinessProbe: {{httpGet: {{path: /healthz, port: http}}}}\n"
    )
}

/// The App document, for every cluster.
pub(super) fn document(name: &str, namespace: &str) -> String {
    format!(
        "apiVersion: muster.dev/v1alpha1\nkind: App\nmetadata: {{name: {name}}}\nspec:\n  clusters: {{}}\n  \
         source: {{path: manifests/{name}}}\n  namespace: {namespace}\n"
    )
}
