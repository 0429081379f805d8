//! Snapshots, restores, clones and groups (sheet, 5.2, 5.7 and 5.8).

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};

use csi_client::csi;
use csi_client::csi::volume_content_source::{SnapshotSource, Type, VolumeSource};
use hostpath_driver::hostpath::Hostpath;
use hostpath_driver::steps::Steps;
use rustix::io::Errno;
use tonic::Code;

use crate::expand::create_filesystem;
use crate::support::{
    MIB, Place, assert_code, create, create_request, eventually, publish, snapshot_files, unpublish,
};

pub(crate) fn cut_request(name: &str, volume: &str) -> csi::CreateSnapshotRequest {
    csi::CreateSnapshotRequest {
        name: name.into(),
        source_volume_id: volume.into(),
        ..csi::CreateSnapshotRequest::default()
    }
}

fn cut(driver: &Hostpath, name: &str, volume: &str) -> csi::Snapshot {
    driver.create_snapshot(&cut_request(name, volume)).unwrap()
}

fn from_snapshot(id: &str) -> Option<csi::VolumeContentSource> {
    let source = SnapshotSource { snapshot_id: id.into() };
    Some(csi::VolumeContentSource { r#type: Some(Type::Snapshot(source)) })
}

fn from_volume(id: &str) -> Option<csi::VolumeContentSource> {
    let source = VolumeSource { volume_id: id.into() };
    Some(csi::VolumeContentSource { r#type: Some(Type::Volume(source)) })
}

fn filled(
    name: &str,
    size: i64,
    block: bool,
    source: Option<csi::VolumeContentSource>,
) -> csi::CreateVolumeRequest {
    csi::CreateVolumeRequest { volume_content_source: source, ..create_request(name, size, block) }
}

fn list(driver: &Hostpath, request: csi::ListSnapshotsRequest) -> (Vec<String>, String) {
    let answer = driver.list_snapshots(&request).unwrap();
    let ids = answer.entries.into_iter().map(|entry| entry.snapshot.unwrap().snapshot_id).collect();
    (ids, answer.next_token)
}

#[test]
fn a_driver_that_ends_during_a_copy_leaves_no_writer_waiting_and_no_torn_snapshot() {
    use std::sync::Mutex;
    use std::sync::mpsc::channel;
    let place = Place::new();
    std::fs::create_dir(place.path("staging")).unwrap();
    let ((at, is_at), (release, released)) = (channel(), channel::<()>());
    let (at, released) = (Mutex::new(at), Mutex::new(released));
    let steps = Steps::watched(move |step| {
        if step == "snapshot: held still" {
            let _test_over = at.lock().unwrap().send(());
            let _go_on = released.lock().unwrap().recv();
        }
        Ok(())
    });
    let driver = place.open_with(place.config(), steps);
    let id = create_filesystem(&driver, "v", 64 * MIB);
    publish(&driver, &place, &id, "target", false);
    std::thread::scope(|scope| {
        // Dropped whatever happens here, which lets the copy go on and ends with the filesystem thawed.
        let release = release;
        let copying = scope.spawn(|| driver.create_snapshot(&cut_request("s", &id)));
        is_at.recv().unwrap();
        driver.let_go();
        let file = place.path("target/file");
        let writing = scope.spawn(move || std::fs::write(file, "written"));
        eventually("the writer goes on", || writing.is_finished());
        writing.join().unwrap().unwrap();
        drop(release);
        assert_code(copying.join().unwrap(), Code::Unavailable);
    });
    assert_code(driver.create_snapshot(&cut_request("another", &id)), Code::Unavailable);
    assert_eq!(snapshot_files(&place), Vec::<String>::new());
    unpublish(&driver, &place, &id, "target");
    drop(driver);
    cut(&place.open(), "s", &id);
}

#[test]
fn a_directory_is_as_it_was_when_the_snapshot_was_cut() {
    let place = Place::new();
    let driver = place.open();
    let id = create(&driver, "v", 2 * MIB, false);
    let data = place.state_dir().join(&id);
    std::fs::create_dir(data.join("d")).unwrap();
    std::fs::write(data.join("d/file"), "before").unwrap();
    let snapshot = cut(&driver, "s", &id);
    assert!(snapshot.ready_to_use && snapshot.creation_time.unwrap().seconds > 1_700_000_000);
    assert_eq!((snapshot.size_bytes, snapshot.source_volume_id.as_str()), (2 * MIB, id.as_str()));
    assert_eq!(cut(&driver, "s", &id), snapshot, "the same one again");
    std::fs::write(data.join("d/file"), "after").unwrap();
    let other = create(&driver, "other", MIB, false);
    let text = assert_code(driver.create_snapshot(&cut_request("s", &other)), Code::AlreadyExists);
    assert_eq!(text, "snapshot with the same name: s but with different SourceVolumeId already exist");
    drop(driver);
    let driver = place.open();
    driver.delete_volume(&id).unwrap();
    let request = filled("restored", 3 * MIB, false, from_snapshot(&snapshot.snapshot_id));
    let restored = driver.create_volume(request.clone()).unwrap().volume.unwrap();
    assert_eq!(restored.content_source, from_snapshot(&snapshot.snapshot_id));
    let content =
        std::fs::read_to_string(place.state_dir().join(&restored.volume_id).join("d/file")).unwrap();
    assert_eq!(content, "before");
    assert_eq!(driver.create_volume(request).unwrap().volume.unwrap(), restored, "the retry finds it");
    for _ in 0..2 {
        driver.delete_snapshot(&snapshot.snapshot_id).unwrap();
    }
    assert_eq!(snapshot_files(&place), Vec::<String>::new());
}

#[test]
fn clone_retry() {
    let place = Place::new();
    let driver = place.open();
    let id = create(&driver, "v", MIB, false);
    std::fs::write(place.state_dir().join(&id).join("file"), "content").unwrap();
    let request = filled("clone", MIB, false, from_volume(&id));
    let made = driver.create_volume(request.clone()).unwrap().volume.unwrap();
    assert_eq!(driver.create_volume(request).unwrap().volume.unwrap(), made);
    assert_eq!(
        std::fs::read_to_string(place.state_dir().join(&made.volume_id).join("file")).unwrap(),
        "content"
    );
    drop(driver);
    let driver = place.open();
    let other = create(&driver, "other", MIB, false);
    let refused = driver.create_volume(filled("clone", MIB, false, from_volume(&other)));
    assert_eq!(assert_code(refused, Code::AlreadyExists), "existing volume source volume id not matching");
    let snapshot = cut(&driver, "s", &id).snapshot_id;
    let refused = driver.create_volume(filled("clone", MIB, false, from_snapshot(&snapshot)));
    assert_code(refused, Code::AlreadyExists);
    let refused = driver.create_volume(filled("clone", MIB, false, None));
    assert_code(refused, Code::AlreadyExists);
    let refused = driver.create_volume(filled("v", MIB, false, from_snapshot(&snapshot)));
    assert_eq!(assert_code(refused, Code::AlreadyExists), "existing volume source snapshot id not matching");
}

#[test]
fn a_larger_block_volume_restored_or_cloned_keeps_its_size() {
    let place = Place::new();
    let driver = place.open();
    let id = create(&driver, "v", MIB, true);
    publish(&driver, &place, &id, "target", true);
    let mut device = std::fs::OpenOptions::new().write(true).open(place.path("target")).unwrap();
    device.write_all(b"precious").unwrap();
    // Written, but not forced to the disk by the pod.
    let snapshot = cut(&driver, "s", &id).snapshot_id;
    device.write_all(b" and later").unwrap();
    for (name, source, content) in [
        ("restored", from_snapshot(&snapshot), b"precious\0".as_slice()),
        ("cloned", from_volume(&id), b"precious and later\0"),
    ] {
        let made = driver.create_volume(filled(name, 3 * MIB, true, source)).unwrap().volume.unwrap();
        assert_eq!(made.capacity_bytes, 3 * MIB);
        let image = place.state_dir().join(made.volume_id);
        assert_eq!(std::fs::metadata(&image).unwrap().len(), 3 << 20);
        let mut begin = vec![0; content.len()];
        std::fs::File::open(image).unwrap().read_exact(&mut begin).unwrap();
        assert_eq!(begin, content, "{name}");
    }
    drop(device);
    unpublish(&driver, &place, &id, "target");
    eventually("clean", || place.leftovers().is_empty());
}

#[test]
fn a_filesystem_in_use_is_cut_whole_and_restored_larger() {
    let place = Place::new();
    for name in ["staging", "other-staging"] {
        std::fs::create_dir(place.path(name)).unwrap();
    }
    let driver = place.open();
    let request = |name: &str, size, source| csi::CreateVolumeRequest {
        parameters: BTreeMap::from([("filesystem".to_owned(), "xfs".to_owned())]),
        ..filled(name, size, false, source)
    };
    let id = driver.create_volume(request("v", 64 * MIB, None)).unwrap().volume.unwrap().volume_id;
    publish(&driver, &place, &id, "target", false);
    std::fs::write(place.path("target/file"), "content").unwrap();
    let snapshot = cut(&driver, "s", &id).snapshot_id;
    std::fs::write(place.path("target/file"), "changed").unwrap();
    let restored = driver.create_volume(request("r", 128 * MIB, from_snapshot(&snapshot)));
    let restored = restored.unwrap().volume.unwrap().volume_id;
    let refused = driver.create_volume(filled("plain", 128 * MIB, false, from_snapshot(&snapshot)));
    assert_code(refused, Code::InvalidArgument);
    // Both at once, although they have the same UUID.
    driver.stage(&restored, &place.text("other-staging")).unwrap();
    assert_eq!(std::fs::read_to_string(place.path("other-staging/file")).unwrap(), "content");
    let numbers = rustix::fs::statvfs(place.path("other-staging")).unwrap();
    assert!(numbers.f_blocks * numbers.f_frsize > 100 << 20, "it took the room that it got");
    driver.unstage(&restored, &place.text("other-staging")).unwrap();
    unpublish(&driver, &place, &id, "target");
    eventually("clean", || place.leftovers().is_empty());
}

#[test]
fn what_cannot_be_restored() {
    let place = Place::new();
    let driver = place.open();
    let (directory, block) = (create(&driver, "d", 2 * MIB, false), create(&driver, "b", 2 * MIB, true));
    let of_directory = cut(&driver, "sd", &directory).snapshot_id;
    let of_block = cut(&driver, "sb", &block).snapshot_id;
    let mut tried = 0;
    let mut refuse = |size, is_block, source, code| {
        tried += 1;
        assert_code(driver.create_volume(filled(&format!("v{tried}"), size, is_block, source)), code)
    };
    let text = refuse(MIB, false, from_snapshot("unknown"), Code::NotFound);
    assert_eq!(text, "snapshot id unknown does not exist in the snapshots list");
    let text = refuse(MIB, false, from_volume("unknown"), Code::NotFound);
    assert_eq!(text, "volume id unknown does not exist in the volumes list");
    let text = refuse(MIB, false, from_snapshot(&of_directory), Code::OutOfRange);
    assert!(text.ends_with("size 2097152 is greater than requested volume size 1048576"), "{text}");
    refuse(MIB, true, from_volume(&block), Code::OutOfRange);
    let text = refuse(2 * MIB, true, from_volume(&directory), Code::InvalidArgument);
    assert!(text.ends_with("mode is not compatible with requested mode"), "{text}");
    refuse(2 * MIB, false, from_snapshot(&of_block), Code::InvalidArgument);
    assert_eq!(place.data().len(), 4, "nothing is left of them: {:?}", place.data());
    let unsized_request = filled("as-large", 0, false, from_snapshot(&of_directory));
    let volume = driver.create_volume(unsized_request).unwrap().volume.unwrap();
    assert_eq!(volume.capacity_bytes, 2 * MIB);
}

#[test]
fn delete_snapshot_unknown_existing_without_group_member_of_a_group() {
    let place = Place::new();
    let driver = place.open();
    driver.delete_snapshot("unknown").unwrap();
    let id = create(&driver, "v", MIB, false);
    driver.delete_snapshot(&cut(&driver, "s", &id).snapshot_id).unwrap();
    let group = driver.create_group_snapshot(&group_request("g", &[&id])).unwrap();
    let member = &group.snapshots[0].snapshot_id;
    let text = assert_code(driver.delete_snapshot(member), Code::InvalidArgument);
    assert_eq!(
        text,
        format!("Snapshot with ID {member} is part of groupsnapshot {}", group.group_snapshot_id)
    );
}

#[test]
fn ignore_failed_read_on_mount_volume_absent_false_true_abc_and_on_block_volume_any_value() {
    let place = Place::new();
    let driver = place.open();
    let (directory, block) = (create(&driver, "d", MIB, false), create(&driver, "b", MIB, true));
    let with = |name: &str, volume: &str, value: &str| csi::CreateSnapshotRequest {
        parameters: BTreeMap::from([("ignoreFailedRead".to_owned(), value.to_owned())]),
        ..cut_request(name, volume)
    };
    for (index, value) in ["false", "true", "T", "0"].iter().enumerate() {
        driver.create_snapshot(&with(&format!("s{index}"), &directory, value)).unwrap();
    }
    let text = assert_code(driver.create_snapshot(&with("bad", &directory, "ABC")), Code::InvalidArgument);
    assert!(text.starts_with("invalid volume snapshot class parameters: "), "{text}");
    driver.create_snapshot(&with("block", &block, "ABC")).unwrap();
}

#[test]
fn two_snapshots_by_source_and_pages() {
    let place = Place::new();
    let driver = place.open();
    let (one, two) = (create(&driver, "one", MIB, false), create(&driver, "two", MIB, false));
    let mut of_one = vec![cut(&driver, "a", &one).snapshot_id, cut(&driver, "b", &one).snapshot_id];
    let of_two = cut(&driver, "c", &two).snapshot_id;
    of_one.sort();
    drop(driver);
    let driver = place.open();
    let all = csi::ListSnapshotsRequest::default;
    let by_source = csi::ListSnapshotsRequest { source_volume_id: one.clone(), ..all() };
    assert_eq!(list(&driver, by_source), (of_one, String::new()));
    let by_id = csi::ListSnapshotsRequest { snapshot_id: of_two.clone(), ..all() };
    assert_eq!(list(&driver, by_id), (vec![of_two.clone()], String::new()));
    assert!(list(&driver, csi::ListSnapshotsRequest { snapshot_id: "unknown".into(), ..all() }).0.is_empty());
    assert!(list(&driver, csi::ListSnapshotsRequest { source_volume_id: "x".into(), ..all() }).0.is_empty());
    let (first, next) = list(&driver, csi::ListSnapshotsRequest { max_entries: 2, ..all() });
    assert_eq!((first.len(), next.as_str()), (2, "2"));
    let (rest, next) = list(&driver, csi::ListSnapshotsRequest { starting_token: next, ..all() });
    assert_eq!((rest.len(), next.as_str()), (1, ""));
    for bad in ["4", "-1", "x", "2147483648", "4294967296"] {
        let request = csi::ListSnapshotsRequest { starting_token: bad.into(), ..all() };
        assert_code(driver.list_snapshots(&request), Code::Aborted);
    }
    assert_eq!(driver.get_snapshot(&of_two).unwrap().snapshot.unwrap().source_volume_id, two);
    let text = assert_code(driver.get_snapshot("x"), Code::NotFound);
    let cause = "snapshot id x does not exist in the snapshots list";
    assert_eq!(text, format!("Snapshot with ID \"x\" not found: {cause}"));
}

pub(crate) fn group_request(name: &str, volumes: &[&str]) -> csi::CreateVolumeGroupSnapshotRequest {
    csi::CreateVolumeGroupSnapshotRequest {
        name: name.into(),
        source_volume_ids: volumes.iter().map(|id| (*id).to_owned()).collect(),
        ..csi::CreateVolumeGroupSnapshotRequest::default()
    }
}

#[test]
fn state_group_snapshot_add_reload_delete_twice() {
    let place = Place::new();
    let driver = place.open();
    let (one, two) = (create(&driver, "one", MIB, false), create(&driver, "two", MIB, true));
    let made = driver.create_group_snapshot(&group_request("g", &[&one, &two])).unwrap();
    assert!(made.ready_to_use);
    let members: Vec<_> = made.snapshots.iter().map(|member| member.snapshot_id.clone()).collect();
    assert!(made.snapshots.iter().all(|member| member.group_snapshot_id == made.group_snapshot_id));
    assert!(made.snapshots.iter().all(|member| member.creation_time == made.creation_time));
    drop(driver);
    let driver = place.open();
    let again = driver.create_group_snapshot(&group_request("g", &[&two, &one])).unwrap();
    assert_eq!(again, made, "the order of the volumes does not matter");
    let text = assert_code(driver.create_group_snapshot(&group_request("g", &[&one])), Code::AlreadyExists);
    assert!(text.starts_with("group snapshot with the same name: g but with different"), "{text}");
    let get = |ids: &[String]| csi::GetVolumeGroupSnapshotRequest {
        group_snapshot_id: made.group_snapshot_id.clone(),
        snapshot_ids: ids.to_vec(),
        ..csi::GetVolumeGroupSnapshotRequest::default()
    };
    assert_eq!(driver.get_group_snapshot(&get(&members)).unwrap(), made);
    let text = assert_code(driver.get_group_snapshot(&get(&[])), Code::InvalidArgument);
    assert_eq!(text, "Snapshot IDs do not match the GroupSnapshot IDs");
    let delete = |ids: &[String]| csi::DeleteVolumeGroupSnapshotRequest {
        group_snapshot_id: made.group_snapshot_id.clone(),
        snapshot_ids: ids.to_vec(),
        ..csi::DeleteVolumeGroupSnapshotRequest::default()
    };
    assert_code(driver.delete_group_snapshot(&delete(&members[..1])), Code::InvalidArgument);
    driver.delete_group_snapshot(&delete(&members)).unwrap();
    driver.delete_group_snapshot(&delete(&[])).unwrap();
    assert!(snapshot_files(&place).is_empty());
    assert_code(driver.get_group_snapshot(&get(&members)), Code::NotFound);
}

#[test]
fn group_create_failing_on_the_second_volume() {
    let place = Place::new();
    let count = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = count.clone();
    let steps = Steps::watched(move |step| {
        let second =
            step == "snapshot: cut" && counted.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 1;
        if second { Err(Errno::NOSPC) } else { Ok(()) }
    });
    let driver = place.open_with(place.config(), steps);
    let (one, two) = (create(&driver, "one", MIB, false), create(&driver, "two", MIB, false));
    let request = group_request("g", &[&one, &two]);
    assert_code(driver.create_group_snapshot(&request), Code::ResourceExhausted);
    assert!(snapshot_files(&place).is_empty(), "no member is left");
    assert!(list(&driver, csi::ListSnapshotsRequest::default()).0.is_empty());
    assert_eq!(driver.create_group_snapshot(&request).unwrap().snapshots.len(), 2);
    assert_code(driver.create_group_snapshot(&group_request("h", &[&one, "unknown"])), Code::NotFound);
    assert_code(driver.create_group_snapshot(&group_request("h", &[&one, &one])), Code::InvalidArgument);
    assert_eq!(snapshot_files(&place).len(), 2);
}

/// Files as upstream's driver left them are restored and deleted by this one.
#[test]
fn snapshots_of_upstreams_driver() {
    let place = Place::new();
    let driver = place.open();
    let id = create(&driver, "v", MIB, false);
    std::fs::write(place.state_dir().join(&id).join("file"), "content").unwrap();
    let snapshot = cut(&driver, "s", &id).snapshot_id;
    driver.close().unwrap();
    drop(driver);
    let path = place.state_dir().join("state.json");
    let mut state: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    state["Snapshots"][0].as_object_mut().unwrap().remove("VolAccessType").unwrap();
    std::fs::write(&path, state.to_string()).unwrap();
    let driver = place.open();
    let made = driver.create_volume(filled("r", MIB, false, from_snapshot(&snapshot))).unwrap();
    let data = place.state_dir().join(made.volume.unwrap().volume_id);
    assert_eq!(std::fs::read_to_string(data.join("file")).unwrap(), "content");
    assert_code(
        driver.create_volume(filled("b", MIB, true, from_snapshot(&snapshot))),
        Code::InvalidArgument,
    );
}

#[test]
fn state_two_snapshots_of_one_source_survive_reload() {
    let place = Place::new();
    let driver = place.open();
    let id = create(&driver, "v", MIB, false);
    let made = [cut(&driver, "one", &id), cut(&driver, "two", &id)];
    drop(driver);
    let driver = place.open();
    for snapshot in made {
        assert_eq!(driver.get_snapshot(&snapshot.snapshot_id).unwrap().snapshot.unwrap(), snapshot);
    }
}
