//! The store without a watch: order, indexes, overlay, deltas.

use std::sync::{Arc, Mutex};

use super::super::{Delta, Store};
use super::fixtures::{DRIVER, claim, own, volume};
use crate::objects::{
    Attachment, AttachmentIndex, Claim, ClaimIndex, Interest, Meta, Projected, Uid, Volume, VolumeIndex,
};

fn pv(name: &str, version: u64) -> Volume {
    let mut volume: Volume = own(&volume(name, DRIVER), &Interest::everything());
    volume.meta.resource_version = version;
    volume
}

fn foreign(name: &str) -> Projected<Volume> {
    Projected::Foreign(pv(name, 1).meta)
}

fn store() -> Store<Volume> {
    Store::new(Interest::everything())
}

fn names(found: &[Arc<Volume>]) -> Vec<&str> {
    found.iter().map(|volume| &*volume.meta.name).collect()
}

/// A log of what a subscriber sees: kind of delta, name, old and new version.
fn record(store: &Store<Volume>) -> (super::super::Subscription<Volume>, Arc<Mutex<Vec<String>>>) {
    let log = Arc::new(Mutex::new(Vec::new()));
    let sink = log.clone();
    let subscription = store.subscribe(move |delta| {
        let version = |volume: &Volume| volume.meta.resource_version;
        let line = match delta {
            Delta::Added(new) => format!("+{} {}", new.meta.name, version(new)),
            Delta::Updated { old, new } => format!("~{} {}>{}", new.meta.name, version(old), version(new)),
            Delta::Deleted(old) => format!("-{} {}", old.meta.name, version(old)),
        };
        sink.lock().unwrap().push(line);
    });
    (subscription, log)
}

fn taken(log: &Mutex<Vec<String>>) -> Vec<String> {
    std::mem::take(&mut log.lock().unwrap())
}

#[test]
fn lookups_by_name_and_by_value() {
    let store = store();
    for name in ["c", "a", "b"] {
        store.apply(Projected::Own(pv(name, 1)));
    }
    assert_eq!(names(&store.list()), ["a", "b", "c"]);
    assert_eq!(names(&store.by(VolumeIndex::Handle, "handle-of-b")), ["b"]);
    assert_eq!(names(&store.by(VolumeIndex::Claim, "default/data")), ["a", "b", "c"]);
    assert!(store.by(VolumeIndex::Handle, "none").is_empty());
    let mut moved = pv("b", 2);
    moved.handle = "new".into();
    store.apply(Projected::Own(moved));
    assert!(store.by(VolumeIndex::Handle, "handle-of-b").is_empty());
    assert_eq!(names(&store.by(VolumeIndex::Handle, "new")), ["b"]);
    store.delete(&pv("b", 3).meta);
    assert!(store.by(VolumeIndex::Handle, "new").is_empty() && store.get("", "b").is_none());
}

#[test]
fn claims_are_found_by_uid_and_source() {
    let read: Claim = own(&claim("data"), &Interest::everything());
    let uid = read.meta.uid.to_string();
    let store = Store::of([read]);
    assert!(store.is_synced());
    assert_eq!(store.by(ClaimIndex::Uid, &uid).len(), 1);
    assert_eq!(store.by(ClaimIndex::SourceClaim, "default/source").len(), 1);
    assert_eq!(store.by(ClaimIndex::Volume, "pv-1").len(), 1);
    assert_eq!(store.get("default", "data").unwrap().meta.key().to_string(), "default/data");
}

#[test]
fn attachments_are_found_by_volume() {
    let attachment = |name: &str, volume: &str| Attachment {
        meta: Meta { name: name.into(), ..Meta::default() },
        volume: Some(volume.into()),
        ..Attachment::default()
    };
    let store = Store::of([attachment("x", "pv-1"), attachment("y", "pv-2"), attachment("z", "pv-1")]);
    let found = store.by(AttachmentIndex::Volume, "pv-1");
    assert_eq!(found.iter().map(|a| &*a.meta.name).collect::<Vec<_>>(), ["x", "z"]);
}

#[test]
fn foreign_objects_only_exist() {
    let store = store();
    store.apply(foreign("pv-1"));
    assert!(store.exists("", "pv-1") && !store.exists("", "pv-2"));
    assert!(store.get("", "pv-1").is_none() && store.list().is_empty());
    let (_subscription, log) = record(&store);
    store.apply(Projected::Own(pv("pv-1", 2)));
    store.apply(foreign("pv-1"));
    assert_eq!(taken(&log), ["+pv-1 2", "-pv-1 2"], "becoming ours and ceasing to be");
    store.delete(&pv("pv-1", 3).meta);
    assert!(!store.exists("", "pv-1") && taken(&log).is_empty());
}

#[test]
fn subscribers_see_old_and_new_and_deletions() {
    let store = store();
    store.apply(Projected::Own(pv("early", 1)));
    let (subscription, log) = record(&store);
    assert_eq!(taken(&log), ["+early 1"], "what is there already");
    store.apply(Projected::Own(pv("early", 2)));
    store.apply(Projected::Own(pv("late", 3)));
    store.delete(&pv("early", 4).meta);
    assert_eq!(taken(&log), ["~early 1>2", "+late 3", "-early 2"]);
    drop(subscription);
    store.apply(Projected::Own(pv("later", 5)));
    assert!(taken(&log).is_empty());
}

#[test]
fn a_list_sweeps_what_it_does_not_show() {
    let store = store();
    for name in ["gone", "same", "changed"] {
        store.apply(Projected::Own(pv(name, 1)));
    }
    store.apply(foreign("foreign-gone"));
    assert_eq!(store.by(VolumeIndex::Handle, "handle-of-gone").len(), 1);
    let (_subscription, log) = record(&store);
    taken(&log);
    store.begin_list();
    store.apply(Projected::Own(pv("same", 1)));
    store.apply(Projected::Own(pv("changed", 5)));
    store.apply(Projected::Own(pv("new", 6)));
    store.end_list(7);
    assert_eq!(taken(&log), ["~changed 1>5", "+new 6", "-gone 1"]);
    assert_eq!((store.len(), store.version()), (3, 7));
    assert!(store.by(VolumeIndex::Handle, "handle-of-gone").is_empty() && !store.exists("", "foreign-gone"));
}

#[test]
fn a_write_is_seen_at_once_and_gives_way_to_the_watch() {
    let store = store();
    store.apply(Projected::Own(pv("a", 10)));
    let (_subscription, log) = record(&store);
    taken(&log);
    let mut written = pv("a", 20);
    written.handle = "written".into();
    store.wrote(written);
    assert_eq!(store.get("", "a").unwrap().meta.resource_version, 20);
    assert_eq!(names(&store.by(VolumeIndex::Handle, "written")), ["a"]);
    assert!(store.by(VolumeIndex::Handle, "handle-of-a").is_empty());
    assert_eq!(store.list().len(), 1);
    store.apply(Projected::Own(pv("a", 15)));
    assert_eq!(store.get("", "a").unwrap().meta.resource_version, 20, "the watch is behind");
    store.apply(Projected::Own(pv("a", 20)));
    store.apply(Projected::Own(pv("a", 25)));
    assert_eq!(store.get("", "a").unwrap().meta.resource_version, 25);
    assert_eq!(taken(&log), ["~a 10>15", "~a 15>20", "~a 20>25"], "deltas are the watch's alone");
}

#[test]
fn a_created_object_is_there_before_the_watch_shows_it() {
    let store = store();
    store.reached(10);
    store.wrote(pv("a", 20));
    assert!(store.exists("", "a") && store.list().len() == 1);
    store.delete(&pv("a", 30).meta);
    assert!(!store.exists("", "a"), "created and deleted between two looks");
    store.wrote(pv("b", 25));
    assert!(!store.exists("", "b"), "the watch is past it: it is gone already");
    store.wrote(pv("c", 40));
    store.reached(39);
    assert!(store.exists("", "c"));
    store.reached(40);
    assert!(!store.exists("", "c"), "a bookmark past the write without the object");
}

#[test]
fn an_older_write_does_not_hide_a_newer_state() {
    let store = store();
    store.apply(Projected::Own(pv("a", 30)));
    store.wrote(pv("a", 20));
    assert_eq!(store.get("", "a").unwrap().meta.resource_version, 30);
}

#[test]
fn a_removed_object_is_gone_at_once_but_its_successor_is_not() {
    let store = store();
    let first = pv("a", 10);
    let uid = first.meta.uid.clone();
    store.apply(Projected::Own(first));
    store.removed("", "a", &Uid::new("another"));
    assert!(store.exists("", "a"), "not the object that was removed");
    store.removed("", "a", &uid);
    assert!(!store.exists("", "a") && store.list().is_empty());
    assert!(store.by(VolumeIndex::Handle, "handle-of-a").is_empty());
    store.apply(Projected::Own(pv("a", 11)));
    assert!(!store.exists("", "a"), "its last updates do not bring it back");
    let mut successor = pv("a", 20);
    successor.meta.uid = Uid::new("successor");
    store.apply(Projected::Own(successor));
    assert!(store.exists("", "a"));
    store.removed("", "a", &Uid::new("successor"));
    store.delete(&Meta { uid: Uid::new("successor"), ..pv("a", 21).meta });
    store.apply(Projected::Own(pv("a", 30)));
    assert!(store.exists("", "a"), "the deletion has been seen, the entry is gone");
}

#[test]
fn an_overlay_ends_with_a_list() {
    let store = store();
    store.wrote(pv("a", 20));
    let gone = pv("b", 5);
    store.apply(Projected::Own(gone.clone()));
    store.removed("", "b", &gone.meta.uid);
    store.begin_list();
    store.apply(Projected::Own(gone));
    store.end_list(30);
    assert!(!store.exists("", "a") && store.exists("", "b"), "the list knows better");
}

#[test]
fn a_list_from_storage_that_was_restored_counts_although_its_version_is_older() {
    let store = store();
    store.apply(Projected::Own(pv("a", 100)));
    store.wrote(pv("a", 101));
    store.wrote(pv("b", 102));
    store.begin_list();
    store.apply(Projected::Own(pv("a", 40)));
    store.end_list(50);
    assert_eq!(
        store.get("", "a").unwrap().meta.resource_version,
        40,
        "what was written later never happened"
    );
    assert!(!store.exists("", "b"));
    assert_eq!(store.version(), 50, "a watch goes on from the list");
    store.wrote(pv("a", 51));
    assert_eq!(store.get("", "a").unwrap().meta.resource_version, 51);
}

#[test]
fn a_write_during_a_list_outlives_it() {
    let store = store();
    store.apply(Projected::Own(pv("a", 100)));
    store.begin_list();
    store.apply(Projected::Own(pv("a", 100)));
    store.wrote(pv("a", 105));
    store.end_list(103);
    assert_eq!(store.get("", "a").unwrap().meta.resource_version, 105);
}

#[test]
fn responses_go_into_the_overlay_through_the_same_projection() {
    let store = store();
    store.wrote_json(&serde_json::to_vec(&volume("a", DRIVER)).unwrap()).unwrap();
    assert_eq!(&*store.get("", "a").unwrap().handle, "handle-of-a");
    let full: k8s_openapi::api::core::v1::PersistentVolume =
        serde_json::from_value(volume("b", DRIVER)).unwrap();
    store.wrote_full(&full).unwrap();
    assert!(store.exists("", "b"));
    assert!(store.wrote_json(b"[").is_err());
}
