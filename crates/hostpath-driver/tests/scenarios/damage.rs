//! Damaged and foreign state files, lost data, two owners.

use csi_driver_kit::mounts;
use hostpath_driver::hostpath::Hostpath;
use hostpath_driver::steps::Steps;
use sidecar_core::random::Random;
use tonic::Code;

use crate::support::{MIB, Place, assert_code, create, create_request, ephemeral_request, ids, list};

fn open(place: &Place) -> Result<Hostpath, String> {
    Hostpath::open(place.config(), Random::seeded(1), Steps::default()).map_err(|error| error.to_string())
}

#[test]
fn truncated_state_json() {
    let place = Place::new();
    let driver = place.open();
    let id = create(&driver, "v", MIB, false);
    drop(driver);
    let file = place.state_dir().join("state.json");
    let content = std::fs::read(&file).unwrap();
    std::fs::write(&file, &content[..content.len() / 2]).unwrap();
    let error = open(&place).unwrap_err();
    assert!(error.contains(file.to_str().unwrap()), "{error}");
    assert!(error.contains("Restore it from a backup"), "{error}");
    assert_eq!(std::fs::read(&file).unwrap(), content[..content.len() / 2], "untouched");
    assert_eq!(place.data(), [id.as_str()], "data untouched");
    std::fs::write(&file, &content).unwrap();
    assert_eq!(ids(&open(&place).unwrap()), [id]);
}

#[test]
fn a_state_file_that_is_not_a_file() {
    let place = Place::new();
    std::fs::create_dir_all(place.state_dir().join("state.json")).unwrap();
    let error = open(&place).unwrap_err();
    assert!(error.starts_with("read ") && error.contains("state.json"), "{error}");
}

#[test]
fn a_lost_state_file_loses_no_data() {
    let place = Place::new();
    let driver = place.open();
    let id = create(&driver, "v", MIB, false);
    std::fs::write(place.state_dir().join(&id).join("file"), "precious").unwrap();
    drop(driver);
    std::fs::remove_file(place.state_dir().join("state.json")).unwrap();
    assert!(ids(&open(&place).unwrap()).is_empty());
    assert_eq!(std::fs::read_to_string(place.state_dir().join(&id).join("file")).unwrap(), "precious");
}

#[test]
fn lost_data_is_told_and_can_be_deleted() {
    let place = Place::new();
    let driver = place.open();
    let id = create(&driver, "v", MIB, false);
    drop(driver);
    std::fs::remove_dir(place.state_dir().join(&id)).unwrap();
    let driver = open(&place).unwrap();
    assert!(list(&driver)[0].status.clone().unwrap().volume_condition.unwrap().abnormal);
    let text = assert_code(driver.create_volume(create_request("v", MIB, false)), Code::Internal);
    assert!(text.contains("is missing"), "{text}");
    driver.delete_volume(&id).unwrap();
    create(&driver, "v", MIB, false);
}

#[test]
fn what_cannot_be_removed_does_not_keep_the_driver_from_starting() {
    let place = Place::new();
    let driver = place.open();
    let id = create(&driver, "v", MIB, false);
    // Dies with the ephemeral volume made and its publication not recorded.
    drop(driver);
    let steps = Steps::watched(|step| match step {
        "create: in place" => std::panic::resume_unwind(Box::new(())),
        _ => Ok(()),
    });
    let driver = place.open_with(place.config(), steps);
    let request = ephemeral_request(&place, "csi-1", "target");
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| driver.publish(&request))).unwrap_err();
    drop(driver);
    // Nothing can be removed that something is mounted in.
    let state = place.state_dir();
    let stuck = [".creating/a", ".deleting/a", "csi-1"].map(|name| state.join(name).join("inside"));
    for path in &stuck {
        std::fs::create_dir_all(path).unwrap();
        mounts::bind(&state.join(&id), path).unwrap();
    }
    for name in [".creating/b", ".deleting/b"] {
        std::fs::create_dir(state.join(name)).unwrap();
    }
    std::fs::write(state.join(".mounting/file"), "no directory").unwrap();
    let driver = open(&place).unwrap();
    assert!(ids(&driver).contains(&id) && ids(&driver).contains(&"csi-1".to_owned()));
    let left = [".creating/a", ".deleting/a", ".mounting/file"];
    let data = place.data();
    assert_eq!(data[2..], left, "{data:?}");
    create(&driver, "another", MIB, false);
    drop(driver);
    for path in &stuck {
        mounts::unmount(path).unwrap();
    }
    std::fs::remove_file(state.join(".mounting/file")).unwrap();
    let driver = open(&place).unwrap();
    assert_eq!(place.data(), ids(&driver), "the rest is gone");
    assert_eq!(ids(&driver).len(), 2);
}

#[test]
fn two_processes_cannot_own_one_state_directory() {
    let place = Place::new();
    let _first = place.open();
    let error = open(&place).unwrap_err();
    assert!(error.contains("in use by another process"), "{error}");
}

#[test]
fn upstreams_directory_is_taken_over() {
    let place = Place::new();
    let state = place.state_dir();
    std::fs::create_dir_all(state.join("11111111-c6d1-11f0-a1a1-0242ac110002")).unwrap();
    std::fs::write(state.join("some.snap"), "snapshot").unwrap();
    let content = r#"{"Volumes":[{"VolName":"pvc-1","VolID":"11111111-c6d1-11f0-a1a1-0242ac110002",
        "VolSize":1048576,"VolPath":"/elsewhere/x","VolAccessType":0,"ParentVolID":"","ParentSnapID":"",
        "Ephemeral":false,"NodeID":"","Kind":"","ReadOnlyAttach":false,"Attached":false,"Staged":null,
        "Published":null}],"Snapshots":[{"Name":"s","Id":"some"}],"GroupSnapshots":null}"#;
    std::fs::write(state.join("state.json"), content).unwrap();
    let driver = open(&place).unwrap();
    let mut request = create_request("pvc-1", MIB, false);
    request.parameters.insert("any".into(), "thing".into());
    let volume = driver.create_volume(request).unwrap().volume.unwrap();
    assert_eq!(volume.volume_id, "11111111-c6d1-11f0-a1a1-0242ac110002");
    driver.delete_volume(&volume.volume_id).unwrap();
    assert!(state.join("some.snap").exists());
    driver.close().unwrap();
    let written: serde_json::Value =
        serde_json::from_slice(&std::fs::read(state.join("state.json")).unwrap()).unwrap();
    assert_eq!(written["Snapshots"][0]["Id"], "some", "snapshots are carried along");
}
