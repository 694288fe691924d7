//! What does a collector of traces see of a hub?

use std::sync::Mutex;

use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
    trace_service_server::{TraceService, TraceServiceServer},
};
use opentelemetry_proto::tonic::trace::v1::Span;
use tonic::{Request, Response};

use super::*;

#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<Span>>>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let scopes = request.into_inner().resource_spans.into_iter().flat_map(|one| one.scope_spans);
        self.0.lock().unwrap().extend(scopes.flat_map(|scope| scope.spans));
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tokio::test]
async fn calls_and_writes_are_spans_in_the_callers_trace() {
    let collector = Collector::default();
    let (listener, port) = ports::listen();
    listener.set_nonblocking(true).unwrap();
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    let service = TraceServiceServer::new(collector.clone());
    let incoming = futures::stream::unfold(listener, |listener| async {
        Some((listener.accept().await.map(|(stream, _)| stream), listener))
    });
    tokio::spawn(tonic::transport::Server::builder().add_service(service).serve_with_incoming(incoming));

    let mut hub = Hub::start_with(&["--traces", &format!("http://127.0.0.1:{port}")]).await;
    let token = hub.token("prod", 1).await.token;
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let mut request = Request::new(v1::ListClustersRequest::default());
    let parent = format!("00-{trace}-b7ad6b7169203331-01");
    request.metadata_mut().insert("traceparent", parent.parse().unwrap());
    hub.fleet().await.list_clusters(request).await.unwrap();
    // What is left is sent when the hub stops.
    hub.program.terminate(DEADLINE).await.unwrap();

    let spans = collector.0.lock().unwrap().clone();
    let named = |name: &str| spans.iter().find(|span| span.name == name);
    let names = || spans.iter().map(|span| span.name.as_str()).collect::<Vec<_>>();
    let listed = named("muster.v1.FleetService/ListClusters").unwrap_or_else(|| panic!("{:?}", names()));
    let hex = |bytes: &[u8]| muster_hub::authority::hex(bytes);
    assert_eq!(hex(&listed.trace_id), trace);
    let actor = listed.attributes.iter().find(|attribute| attribute.key == "actor").unwrap();
    assert!(format!("{actor:?}").contains("operator/admin"), "{actor:?}");
    assert!(named("muster.v1.TokenService/CreateToken").is_some(), "{:?}", names());
    assert!(named("store.write").is_some(), "{:?}", names());
    assert!(!format!("{spans:?}").contains(&token), "no secret is in a span");
    let log = hub.program.log();
    assert!(!log.contains("call{"), "the log is as without traces: {log}");
}
