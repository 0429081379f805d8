//! A disk without room, in a small filesystem of its own.

use std::io::Write as _;
use std::path::Path;

use hostpath_driver::hostpath::Hostpath;
use tonic::Code;

use crate::support::{MIB, Place, assert_code, create, create_request, ids, publish, unpublish};

/// Puts a filesystem of this many bytes under the state directory; the place unmounts it in the end.
fn small_disk(place: &Place, bytes: i64) {
    let state = place.state_dir();
    std::fs::create_dir(&state).unwrap();
    let options = std::ffi::CString::new(format!("size={bytes}")).unwrap();
    rustix::mount::mount("none", &state, "tmpfs", rustix::mount::MountFlags::empty(), options.as_c_str())
        .unwrap();
}

/// Takes all room that is left.
fn fill(path: &Path) {
    let mut file = std::fs::File::create(path).unwrap();
    let block = vec![1_u8; 4096];
    while file.write_all(&block).is_ok() {}
}

/// What is on the disk is what the driver answers.
fn assert_memory_is_disk(driver: Hostpath, place: &Place) {
    let before = ids(&driver);
    drop(driver);
    assert_eq!(ids(&place.open()), before);
    assert_eq!(place.data(), before);
}

#[test]
fn an_image_that_does_not_fit() {
    let place = Place::new();
    small_disk(&place, 4 * MIB);
    let driver = place.open();
    create(&driver, "fits", MIB, true);
    let text =
        assert_code(driver.create_volume(create_request("big", 8 * MIB, true)), Code::ResourceExhausted);
    assert!(text.contains("No space left on device") && text.contains("allocate"), "{text}");
    create(&driver, "fits-too", MIB, true);
    assert_memory_is_disk(driver, &place);
}

#[test]
fn a_full_disk_refuses_new_volumes_and_loses_nothing() {
    let place = Place::new();
    small_disk(&place, 2 * MIB);
    let driver = place.open();
    let first = create(&driver, "first", 0, false);
    fill(&place.state_dir().join(&first).join("filler"));
    let mut refused = 0;
    for number in 0..2000 {
        if let Err(error) = driver.create_volume(create_request(&format!("v{number}"), 0, false)) {
            assert_eq!(error.code(), Code::ResourceExhausted, "{error}");
            assert!(error.to_string().contains("No space left on device"), "{error}");
            refused += 1;
            break;
        }
    }
    assert_eq!(refused, 1, "the disk never became full");
    assert!(ids(&driver).contains(&first));
    assert_memory_is_disk(driver, &place);
}

#[test]
fn on_a_full_disk_volumes_can_still_be_taken_back_and_deleted() {
    let place = Place::new();
    small_disk(&place, 2 * MIB);
    let driver = place.open();
    let id = create(&driver, "v", 0, false);
    let other = create(&driver, "other", 0, false);
    publish(&driver, &place, &id, "target", false);
    fill(&place.path("target/filler"));
    unpublish(&driver, &place, &id, "target");
    driver.delete_volume(&id).unwrap();
    create(&driver, "again", 0, false);
    driver.delete_volume(&other).unwrap();
    assert_memory_is_disk(driver, &place);
}
