//! Watching: changes from a version on, initial events, bookmarks, selectors, ends.

use serde_json::{Value, json};

use super::backend::{Backend, Events, config_map};
use super::stories;

stories![
    a_watch_continues_a_list,
    objects_come_and_go_as_they_match,
    a_watch_can_begin_with_what_is_there,
    a_watch_list_ends_its_beginning_with_a_bookmark,
    a_watch_ends_when_its_time_is_up,
    a_watch_can_carry_metadata_alone,
    the_future_cannot_be_watched,
];

async fn labelled(api: &Backend, name: &str, label: &str) {
    let mut map = config_map(name, &json!({}));
    map["metadata"]["labels"] = json!({"watched": label});
    api.post(&api.core("configmaps"), &map).await.expect(201);
}

async fn relabel(api: &Backend, name: &str, label: &str) {
    let patch = json!({"metadata": {"labels": {"watched": label}}});
    api.merge(&api.core(&format!("configmaps/{name}")), &patch).await.expect(200);
}

/// The version of a list, from which a watch can go on.
async fn version(api: &Backend) -> String {
    let list = api.get(&api.core("configmaps")).await.expect(200);
    list["metadata"]["resourceVersion"].as_str().unwrap().to_owned()
}

fn change(kind: &str, name: &str) -> (String, String) {
    (kind.to_owned(), name.to_owned())
}

async fn a_watch_continues_a_list(api: Backend) {
    labelled(&api, "before", "yes").await;
    let from = version(&api).await;
    labelled(&api, "one", "yes").await;
    let path = format!("{}?watch=1&labelSelector=watched&resourceVersion={from}", api.core("configmaps"));
    let mut events = api.watch(&path).await;
    assert_eq!(events.change().await, change("ADDED", "one"));
    relabel(&api, "before", "still").await;
    assert_eq!(events.change().await, change("MODIFIED", "before"));
    let deleted = api.get(&api.core("configmaps/one")).await.expect(200);
    api.delete(&api.core("configmaps/one")).await.expect(200);
    let event = events.next().await.unwrap();
    assert_eq!(event["type"], "DELETED");
    assert_eq!(
        (&event["object"]["kind"], &event["object"]["apiVersion"]),
        (&json!("ConfigMap"), &json!("v1"))
    );
    let number =
        |object: &Value| object["metadata"]["resourceVersion"].as_str().unwrap().parse::<u64>().unwrap();
    assert!(number(&event["object"]) > number(&deleted), "a deletion has a version of its own");
}

async fn objects_come_and_go_as_they_match(api: Backend) {
    labelled(&api, "moving", "no").await;
    let from = version(&api).await;
    let path =
        format!("{}?watch=1&labelSelector=watched%3Dyes&resourceVersion={from}", api.core("configmaps"));
    let mut events = api.watch(&path).await;
    relabel(&api, "moving", "yes").await;
    assert_eq!(events.change().await, change("ADDED", "moving"));
    relabel(&api, "moving", "no").await;
    let gone = events.next().await.unwrap();
    assert_eq!(gone["type"], "DELETED");
    assert_eq!(gone["object"]["metadata"]["labels"]["watched"], "yes", "the last state that matched");
    relabel(&api, "moving", "yes").await;
    assert_eq!(events.change().await, change("ADDED", "moving"));
}

async fn a_watch_can_begin_with_what_is_there(api: Backend) {
    labelled(&api, "there", "yes").await;
    for from in ["", "&resourceVersion=0"] {
        let path = format!("{}?watch=1&labelSelector=watched{from}", api.core("configmaps"));
        let mut events = api.watch(&path).await;
        assert_eq!(events.change().await, change("ADDED", "there"), "{from:?}");
    }
    let path = format!("{}?watch=1&fieldSelector=metadata.name%3Dthere", api.core("configmaps"));
    assert_eq!(api.watch(&path).await.change().await, change("ADDED", "there"));
}

async fn a_watch_list_ends_its_beginning_with_a_bookmark(api: Backend) {
    labelled(&api, "a", "yes").await;
    labelled(&api, "b", "yes").await;
    let query = "watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    let mut events = api.watch(&format!("{}?{query}&labelSelector=watched", api.core("configmaps"))).await;
    assert_eq!(events.next().await.unwrap()["type"], "ADDED");
    assert_eq!(events.next().await.unwrap()["type"], "ADDED");
    let bookmark = events.next().await.unwrap();
    assert_eq!(bookmark["type"], "BOOKMARK");
    assert_eq!(bookmark["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"], "true");
    assert_eq!(bookmark["object"]["kind"], "ConfigMap");
    labelled(&api, "c", "yes").await;
    assert_eq!(events.change().await, change("ADDED", "c"));
    let refused =
        api.get(&format!("{}?watch=1&sendInitialEvents=true", api.core("configmaps"))).await.expect(422);
    assert_eq!(refused["reason"], "Invalid");
}

async fn drained(mut events: Events) -> usize {
    let mut count = 0;
    while events.next().await.is_some() {
        count += 1;
    }
    count
}

async fn a_watch_ends_when_its_time_is_up(api: Backend) {
    labelled(&api, "timed", "yes").await;
    let path = format!("{}?watch=1&labelSelector=watched&timeoutSeconds=1", api.core("configmaps"));
    assert_eq!(drained(api.watch(&path).await).await, 1);
}

async fn a_watch_can_carry_metadata_alone(api: Backend) {
    labelled(&api, "light", "yes").await;
    let accept = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
    let path = format!("{}?watch=1&labelSelector=watched", api.core("configmaps"));
    let mut events = api.watch_as(&path, accept).await;
    let event = events.next().await.unwrap();
    assert_eq!(event["object"]["kind"], "PartialObjectMetadata");
    assert_eq!(event["object"]["metadata"]["name"], "light");
    assert!(event["object"].get("data").is_none());
}

async fn the_future_cannot_be_watched(api: Backend) {
    let answer =
        api.get(&format!("{}?resourceVersion=99999999999", api.core("configmaps"))).await.expect(504);
    assert_eq!(answer["reason"], "Timeout");
    assert_eq!(answer["details"]["causes"][0]["reason"], "ResourceVersionTooLarge");
}
