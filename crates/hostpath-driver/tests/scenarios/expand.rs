//! Expansion (sheet, 5.9): records, images, devices and filesystems.

use std::collections::BTreeMap;
use std::io::{Seek as _, SeekFrom};

use csi_client::csi;
use hostpath_driver::config::Config;
use hostpath_driver::hostpath::Hostpath;
use hostpath_driver::steps::Steps;
use tonic::Code;

use crate::support::{
    MIB, Place, assert_code, create, create_request, eventually, list, publish, publish_request, unpublish,
};
use csi_driver_kit::mounts;

fn range(required: i64, limit: i64) -> Option<csi::CapacityRange> {
    Some(csi::CapacityRange { required_bytes: required, limit_bytes: limit })
}

fn expand(
    driver: &Hostpath,
    id: &str,
    size: i64,
) -> Result<csi::ControllerExpandVolumeResponse, hostpath_driver::error::Error> {
    driver.controller_expand_volume(&csi::ControllerExpandVolumeRequest {
        volume_id: id.into(),
        capacity_range: range(size, 0),
        ..csi::ControllerExpandVolumeRequest::default()
    })
}

fn node_expand(id: &str, path: &str, size: i64) -> csi::NodeExpandVolumeRequest {
    csi::NodeExpandVolumeRequest {
        volume_id: id.into(),
        volume_path: path.into(),
        capacity_range: range(size, 0),
        ..csi::NodeExpandVolumeRequest::default()
    }
}

#[test]
fn a_directory_gets_its_new_size_and_never_a_smaller_one() {
    let place = Place::new();
    let driver = place.open();
    let id = create(&driver, "v", 2 * MIB, false);
    let answer = expand(&driver, &id, 5 * MIB).unwrap();
    assert_eq!((answer.capacity_bytes, answer.node_expansion_required), (5 * MIB, true));
    assert_eq!(expand(&driver, &id, 3 * MIB).unwrap().capacity_bytes, 5 * MIB);
    drop(driver);
    assert_eq!(list(&place.open())[0].volume.as_ref().unwrap().capacity_bytes, 5 * MIB);
}

#[test]
fn a_published_device_grows_with_its_image() {
    let place = Place::new();
    let driver = place.open();
    let id = create(&driver, "v", MIB, true);
    publish(&driver, &place, &id, "target", true);
    let mut open = std::fs::File::open(place.path("target")).unwrap();
    assert_eq!(open.seek(SeekFrom::End(0)).unwrap(), 1 << 20);
    assert_eq!(expand(&driver, &id, 3 * MIB).unwrap().capacity_bytes, 3 * MIB);
    assert_eq!(open.seek(SeekFrom::End(0)).unwrap(), 3 << 20, "who has it open sees the new size");
    drop(open);
    driver.node_expand_volume(&node_expand(&id, &place.text("target"), 3 * MIB)).unwrap();
    unpublish(&driver, &place, &id, "target");
    assert_eq!(std::fs::metadata(place.state_dir().join(&id)).unwrap().len(), 3 << 20);
    eventually("clean", || place.leftovers().is_empty());
}

#[test]
fn sizes_that_cannot_be() {
    let place = Place::new();
    let capacity = BTreeMap::from([("fast".to_owned(), 10 * MIB)]);
    let config =
        Config { max_volume_size: 100 * MIB, max_volume_size_node: 50 * MIB, capacity, ..place.config() };
    let driver = place.open_with(config, Steps::default());
    let id = create(&driver, "v", MIB, false);
    let text = assert_code(expand(&driver, &id, 100 * MIB + 1), Code::OutOfRange);
    assert_eq!(text, format!("Requested capacity {} exceeds maximum allowed {}", 100 * MIB + 1, 100 * MIB));
    assert_code(expand(&driver, &id, 11 * MIB), Code::ResourceExhausted);
    assert_code(expand(&driver, "unknown", MIB), Code::NotFound);
    let small = csi::ControllerExpandVolumeRequest {
        volume_id: id.clone(),
        capacity_range: range(0, 1),
        ..csi::ControllerExpandVolumeRequest::default()
    };
    assert_code(driver.controller_expand_volume(&small), Code::OutOfRange);
    assert_eq!(expand(&driver, &id, 10 * MIB).unwrap().capacity_bytes, 10 * MIB);
    let path = place.text("state");
    assert_code(driver.node_expand_volume(&node_expand(&id, &path, 50 * MIB + 1)), Code::OutOfRange);
    assert_code(driver.node_expand_volume(&node_expand("unknown", &path, MIB)), Code::NotFound);
    assert_code(driver.node_expand_volume(&node_expand(&id, "some/path", MIB)), Code::InvalidArgument);
    assert_code(driver.node_expand_volume(&node_expand(&id, "/dev/null", MIB)), Code::InvalidArgument);
    let none = csi::NodeExpandVolumeRequest { capacity_range: None, ..node_expand(&id, &path, 0) };
    assert_eq!(
        assert_code(driver.node_expand_volume(&none), Code::InvalidArgument),
        "Capacity range not provided"
    );
    driver.node_expand_volume(&node_expand(&id, &path, 10 * MIB)).unwrap();
}

#[test]
fn node_expansion_that_is_switched_off_is_not_asked_for() {
    let place = Place::new();
    let driver = place.open_with(Config { disable_node_expansion: true, ..place.config() }, Steps::default());
    let id = create(&driver, "v", MIB, true);
    assert!(!expand(&driver, &id, 2 * MIB).unwrap().node_expansion_required);
}

pub(crate) fn create_filesystem(driver: &Hostpath, name: &str, size: i64) -> String {
    let request = csi::CreateVolumeRequest {
        parameters: BTreeMap::from([("filesystem".to_owned(), "xfs".to_owned())]),
        ..create_request(name, size, false)
    };
    driver.create_volume(request).unwrap().volume.unwrap().volume_id
}

fn size_of(place: &Place, name: &str) -> u64 {
    let numbers = rustix::fs::statvfs(place.path(name)).unwrap();
    numbers.f_blocks * numbers.f_frsize
}

#[test]
fn a_filesystem_of_its_own_grows_under_a_running_pod() {
    let place = Place::new();
    std::fs::create_dir(place.path("staging")).unwrap();
    let driver = place.open();
    let id = create_filesystem(&driver, "v", 64 * MIB);
    publish(&driver, &place, &id, "target", false);
    std::fs::write(place.path("target/file"), "kept").unwrap();
    let before = size_of(&place, "target");
    assert!(before < 64 << 20, "{before}");
    let stats = driver.stats(&id, &place.text("target")).unwrap();
    assert_eq!(u64::try_from(stats.usage[0].total).unwrap(), before);
    expand(&driver, &id, 200 * MIB).unwrap();
    assert_eq!(size_of(&place, "target"), before, "the node has not been asked yet");
    driver.node_expand_volume(&node_expand(&id, &place.text("staging"), 200 * MIB)).unwrap();
    let after = size_of(&place, "target");
    assert!(after > 150 << 20, "{after}");
    assert_eq!(std::fs::read_to_string(place.path("target/file")).unwrap(), "kept");
    assert!(!driver.stats(&id, &place.text("target")).unwrap().volume_condition.unwrap().abnormal);
    unpublish(&driver, &place, &id, "target");
    eventually("clean", || place.leftovers().is_empty());
    driver.delete_volume(&id).unwrap();
    assert!(place.data().is_empty());
}

#[test]
fn a_filesystem_that_was_expanded_offline_is_large_when_it_is_staged() {
    let place = Place::new();
    std::fs::create_dir(place.path("staging")).unwrap();
    let driver = place.open();
    let id = create_filesystem(&driver, "v", 64 * MIB);
    expand(&driver, &id, 128 * MIB).unwrap();
    publish(&driver, &place, &id, "target", false);
    assert!(size_of(&place, "target") > 100 << 20);
    // A driver that starts anew, with everything mounted and then with nothing.
    drop(driver);
    let driver = place.open();
    driver.stage(&id, &place.text("staging")).unwrap();
    driver.publish(&publish_request(&place, &id, "target", false)).unwrap();
    drop(driver);
    for name in ["target", "staging"] {
        mounts::unmount(&place.path(name)).unwrap();
    }
    let driver = place.open();
    assert_code(driver.publish(&publish_request(&place, &id, "target", false)), Code::FailedPrecondition);
    driver.stage(&id, &place.text("staging")).unwrap();
    driver.publish(&publish_request(&place, &id, "target", false)).unwrap();
    assert!(size_of(&place, "target") > 100 << 20);
    driver.delete_volume(&id).unwrap();
    eventually("clean", || place.leftovers().is_empty());
}

#[test]
fn a_staging_that_was_cut_off_before_it_grew_grows_when_it_is_repeated() {
    let place = Place::new();
    std::fs::create_dir(place.path("staging")).unwrap();
    let steps = Steps::watched(|step| match step {
        "stage: mounted" => std::panic::resume_unwind(Box::new(())),
        _ => Ok(()),
    });
    let driver = place.open_with(place.config(), steps);
    let id = create_filesystem(&driver, "v", 64 * MIB);
    expand(&driver, &id, 128 * MIB).unwrap();
    let stage = |driver: &Hostpath| driver.stage(&id, &place.text("staging"));
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| stage(&driver))).unwrap_err();
    drop(driver);
    assert!(size_of(&place, "staging") < 64 << 20, "mounted as it was");
    let driver = place.open();
    stage(&driver).unwrap();
    assert!(size_of(&place, "staging") > 100 << 20);
    driver.delete_volume(&id).unwrap();
    eventually("clean", || place.leftovers().is_empty());
}

#[test]
fn filesystems_that_the_driver_cannot_make() {
    let place = Place::new();
    let driver = place.open();
    let asked = |name: &str, block| csi::CreateVolumeRequest {
        parameters: BTreeMap::from([("filesystem".to_owned(), name.to_owned())]),
        ..create_request(name, 64 * MIB, block)
    };
    assert_code(driver.create_volume(asked("ntfs", false)), Code::InvalidArgument);
    assert!(place.data().is_empty());
    driver.create_volume(asked("xfs", true)).unwrap();
    let small = csi::CreateVolumeRequest { capacity_range: range(MIB, MIB), ..asked("xfs", false) };
    let small = csi::CreateVolumeRequest { name: "small".into(), ..small };
    assert_code(driver.create_volume(small), Code::OutOfRange);
}
