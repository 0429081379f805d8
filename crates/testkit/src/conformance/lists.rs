//! Lists, pages, selectors and discovery.

use anyhow::ensure;
use http::Method;
use serde_json::{Value, json};

use super::Subject;
use crate::api::doc;

async fn make_claims(subject: &Subject, names: &[&str]) -> anyhow::Result<()> {
    for name in names {
        let mut claim = subject.claim(name);
        doc::set(&mut claim, &["metadata", "labels", "letter"], *name);
        subject.create(&claim).await?.ok()?;
    }
    Ok(())
}

fn names(list: &Value) -> Vec<&str> {
    doc::list(list, "/items").iter().map(|item| doc::text(item, "/metadata/name")).collect()
}

pub(super) async fn list_is_ordered_and_versioned(subject: Subject) -> anyhow::Result<()> {
    make_claims(&subject, &["b", "a"]).await?;
    let list = subject.list("PersistentVolumeClaim", "").await?.ok()?;
    ensure!(
        doc::text(&list, "/kind") == "PersistentVolumeClaimList" && doc::text(&list, "/apiVersion") == "v1"
    );
    ensure!(names(&list) == ["a", "b"], "{:?}", names(&list));
    let version: u64 = doc::text(&list, "/metadata/resourceVersion").parse()?;
    let newest: u64 = doc::text(&list, "/items/0/metadata/resourceVersion").parse()?;
    ensure!(version >= newest, "{version} {newest}");
    Ok(())
}

pub(super) async fn list_in_pages(subject: Subject) -> anyhow::Result<()> {
    make_claims(&subject, &["a", "b", "c", "d", "e"]).await?;
    let mut found = Vec::new();
    let (mut resume, mut pages) = (String::new(), 0);
    loop {
        let query = format!("limit=2&continue={resume}");
        let page = subject.list("PersistentVolumeClaim", &query).await?.ok()?;
        found.extend(names(&page).into_iter().map(str::to_owned));
        pages += 1;
        if pages == 1 {
            ensure!(page["metadata"]["remainingItemCount"] == 3, "{}", page["metadata"]);
        }
        doc::text(&page, "/metadata/continue").clone_into(&mut resume);
        if resume.is_empty() {
            break;
        }
    }
    ensure!(found == ["a", "b", "c", "d", "e"] && pages == 3, "{found:?} in {pages} pages");
    Ok(())
}

pub(super) async fn page_sees_the_first_pages_version(subject: Subject) -> anyhow::Result<()> {
    make_claims(&subject, &["a", "b", "d"]).await?;
    let first = subject.list("PersistentVolumeClaim", "limit=2").await?.ok()?;
    make_claims(&subject, &["c"]).await?;
    let query = format!("limit=2&continue={}", doc::text(&first, "/metadata/continue"));
    let second = subject.list("PersistentVolumeClaim", &query).await?.ok()?;
    ensure!(names(&second) == ["d"], "{:?}", names(&second));
    ensure!(first["metadata"]["resourceVersion"] == second["metadata"]["resourceVersion"]);
    Ok(())
}

pub(super) async fn label_selectors(subject: Subject) -> anyhow::Result<()> {
    make_claims(&subject, &["a", "b", "c"]).await?;
    for (selector, expected) in [
        ("letter%3Da", vec!["a"]),
        ("letter!%3Da", vec!["b", "c"]),
        ("letter+in+(a,c)", vec!["a", "c"]),
        ("letter+notin+(a,c),letter", vec!["b"]),
        ("!letter", vec![]),
    ] {
        let query = format!("labelSelector={selector}");
        let list = subject.list("PersistentVolumeClaim", &query).await?.ok()?;
        ensure!(names(&list) == expected, "{selector}: {:?}", names(&list));
    }
    Ok(())
}

pub(super) async fn field_selectors(subject: Subject) -> anyhow::Result<()> {
    make_claims(&subject, &["a", "b"]).await?;
    let list = subject.list("PersistentVolumeClaim", "fieldSelector=metadata.name%3Db").await?.ok()?;
    ensure!(names(&list) == ["b"], "{:?}", names(&list));
    let query = format!("fieldSelector=metadata.namespace%3D{},metadata.name!%3Db", subject.namespace);
    let list = subject.list("PersistentVolumeClaim", &query).await?.ok()?;
    ensure!(names(&list) == ["a"], "{:?}", names(&list));
    Ok(())
}

pub(super) async fn unknown_field_selector_is_refused(subject: Subject) -> anyhow::Result<()> {
    let answer = subject.list("PersistentVolumeClaim", "fieldSelector=spec.volumeName%3Dx").await?;
    let message = "\"spec.volumeName\" is not a known field selector: only \"metadata.name\", \
                   \"metadata.namespace\"";
    answer.refused(400, "BadRequest", message)?;
    let answer = subject.list("Pod", "fieldSelector=spec.volumeName%3Dx").await?;
    answer.refused(400, "BadRequest", "field label not supported: spec.volumeName")
}

pub(super) async fn event_field_selectors(subject: Subject) -> anyhow::Result<()> {
    for (name, kind, reason) in [("a", "Pod", "One"), ("b", "PersistentVolumeClaim", "Two")] {
        let event = json!({
            "apiVersion": "v1", "kind": "Event", "metadata": {"name": name, "namespace": subject.namespace},
            "involvedObject": {"kind": kind, "namespace": subject.namespace, "name": "c"},
            "reason": reason, "type": "Warning", "source": {"component": "x"},
        });
        subject.create(&event).await?.ok()?;
    }
    for (field, value) in [("involvedObject.kind", "PersistentVolumeClaim"), ("reason", "Two")] {
        let list = subject.list("Event", &format!("fieldSelector={field}%3D{value}")).await?.ok()?;
        ensure!(names(&list) == ["b"], "{field}: {:?}", names(&list));
    }
    Ok(())
}

pub(super) async fn metadata_only(subject: Subject) -> anyhow::Result<()> {
    make_claims(&subject, &["a"]).await?;
    let accept = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
    let path = subject.path("PersistentVolumeClaim", "")?;
    let list = subject.send(Method::GET, &path, &[("accept", accept)], None).await?.ok()?;
    ensure!(doc::text(&list, "/kind") == "PartialObjectMetadataList", "{list}");
    ensure!(names(&list) == ["a"] && !doc::present(&list, "/items/0/spec"), "{list}");
    Ok(())
}

pub(super) async fn discovery_names_the_kinds(subject: Subject) -> anyhow::Result<()> {
    let list = subject.send(Method::GET, "/apis/storage.k8s.io/v1", &[], None).await?.ok()?;
    let found = doc::list(&list, "/resources").iter().any(|row| {
        doc::text(row, "/kind") == "VolumeAttributesClass"
            && doc::text(row, "/name") == "volumeattributesclasses"
    });
    ensure!(found, "{list}");
    let version = subject.send(Method::GET, "/version", &[], None).await?.ok()?;
    ensure!(doc::text(&version, "/major") == "1", "{version}");
    Ok(())
}

pub(super) async fn unknown_path_is_not_found(subject: Subject) -> anyhow::Result<()> {
    let answer = subject.send(Method::GET, "/apis/nothing.example/v1/things", &[], None).await?;
    ensure!(answer.code == 404 && answer.body == "404 page not found\n", "{answer:?}");
    let answer = subject.send(Method::GET, "/api/v1/nothings", &[], None).await?;
    answer.refused(404, "NotFound", "the server could not find the requested resource")
}

pub(super) async fn version_must_be_a_number(subject: Subject) -> anyhow::Result<()> {
    let answer = subject.list("PersistentVolumeClaim", "resourceVersion=abc").await?;
    let message = "invalid resource version: resourceVersion: Invalid value: \"abc\": strconv.ParseUint: parsing \
                   \"abc\": invalid syntax";
    answer.refused(400, "BadRequest", message)
}

pub(super) async fn collections_cannot_be_replaced(subject: Subject) -> anyhow::Result<()> {
    let path = subject.path("PersistentVolumeClaim", "")?;
    let headers = [("content-type", "application/json")];
    let answer = subject.send(Method::PUT, &path, &headers, Some(&json!({}))).await?;
    let message = "the server does not allow this method on the requested resource";
    answer.refused(405, "MethodNotAllowed", message)
}
