//! Stage, publish, unpublish, unstage and statistics, with real mounts and loop devices.

use std::io::{ErrorKind, Read as _, Seek as _, Write as _};

use csi_client::csi;
use csi_client::csi::volume_capability::access_mode::Mode;
use csi_client::csi::volume_usage::Unit;
use csi_driver_kit::loop_device;
use csi_driver_kit::mounts::{self, MountTable};
use tonic::Code;

use crate::support::{
    MIB, Place, assert_code, capability, create, ephemeral_request, eventually, ids, publish,
    publish_request, unpublish,
};

#[test]
fn what_is_written_through_a_mount_is_in_the_volume() {
    let place = Place::new();
    let driver = place.open();
    let id = create(&driver, "v", MIB, false);
    publish(&driver, &place, &id, "one", false);
    publish(&driver, &place, &id, "two", false);
    std::fs::write(place.path("one/file"), "hello").unwrap();
    assert_eq!(std::fs::read_to_string(place.path("two/file")).unwrap(), "hello");
    driver.unpublish(&id, &place.text("one")).unwrap();
    assert!(!place.path("one").exists());
    let text = assert_code(driver.unstage(&id, &place.text("staging")), Code::Internal);
    assert!(text.contains("is still published at ["), "{text}");
    unpublish(&driver, &place, &id, "two");
    place.assert_clean();
    assert_eq!(std::fs::read_to_string(place.state_dir().join(&id).join("file")).unwrap(), "hello");
}

#[test]
fn what_is_written_to_a_device_is_in_the_image() {
    let place = Place::new();
    let driver = place.open();
    let id = create(&driver, "v", MIB, true);
    publish(&driver, &place, &id, "one", true);
    publish(&driver, &place, &id, "two", true);
    let image = place.state_dir().join(&id);
    assert_eq!(loop_device::find(&image).unwrap().len(), 1, "both paths share one device");
    let mut device = std::fs::OpenOptions::new().write(true).open(place.path("one")).unwrap();
    device.write_all(b"block data").unwrap();
    device.sync_all().unwrap();
    drop(device);
    driver.unpublish(&id, &place.text("one")).unwrap();
    assert_eq!(loop_device::find(&image).unwrap().len(), 1, "the other path still needs it");
    unpublish(&driver, &place, &id, "two");
    assert!(std::fs::read(&image).unwrap().starts_with(b"block data"));
    eventually("loop device unbound", || loop_device::find(&image).unwrap().is_empty());
    place.assert_clean();
}

#[test]
fn node_reboot_with_a_block_volume() {
    let place = Place::new();
    let driver = place.open();
    let id = create(&driver, "v", MIB, true);
    publish(&driver, &place, &id, "target", true);
    drop(driver);
    // What a reboot leaves: the record, the image and the target, but no mount and no loop device.
    let image = place.state_dir().join(&id);
    mounts::unmount(&place.path("target")).unwrap();
    loop_device::find(&image).unwrap().into_iter().for_each(|device| loop_device::detach(device).unwrap());
    let driver = place.open();
    driver.publish(&publish_request(&place, &id, "target", true)).unwrap();
    assert_eq!(loop_device::find(&image).unwrap().len(), 1);
    unpublish(&driver, &place, &id, "target");
    eventually("loop device unbound", || loop_device::find(&image).unwrap().is_empty());
}

#[test]
fn after_a_reboot_a_stale_record_blocks_nobody() {
    let place = Place::new();
    let driver = place.open();
    let id = create(&driver, "v", MIB, false);
    publish(&driver, &place, &id, "old", false);
    drop(driver);
    mounts::unmount(&place.path("old")).unwrap();
    let driver = place.open();
    let mut request = publish_request(&place, &id, "new", false);
    request.volume_capability = Some(capability(false, Mode::SingleNodeSingleWriter));
    driver.publish(&request).unwrap();
    driver.unpublish(&id, &place.text("old")).unwrap();
    assert!(!place.path("old").exists(), "the leftover of before the reboot is taken back");
    unpublish(&driver, &place, &id, "new");
    place.assert_clean();
}

#[test]
fn a_restart_of_the_driver_leaves_mounts_alone() {
    let place = Place::new();
    let driver = place.open();
    let directory = create(&driver, "d", MIB, false);
    let block = create(&driver, "b", MIB, true);
    publish(&driver, &place, &directory, "directory", false);
    publish(&driver, &place, &block, "block", true);
    drop(driver);
    let driver = place.open();
    assert_eq!(loop_device::find(&place.state_dir().join(&block)).unwrap().len(), 1);
    assert!(MountTable::read().unwrap().at(&place.path("directory")).is_some());
    unpublish(&driver, &place, &directory, "directory");
    unpublish(&driver, &place, &block, "block");
    eventually("clean", || place.leftovers().is_empty());
}

/// Writes to the device, or a file into the directory, that is published as `name`.
fn try_to_write(place: &Place, name: &str, block: bool) -> std::io::Result<()> {
    let path = if block { place.path(name) } else { place.path(name).join("file") };
    let mut file = std::fs::OpenOptions::new().write(true).create(!block).truncate(false).open(path)?;
    file.write_all(&[1; 512])
}

#[test]
fn readonly_is_honoured_for_directories_and_devices() {
    let place = Place::new();
    let driver = place.open();
    for (name, block, refusal) in
        [("d", false, ErrorKind::ReadOnlyFilesystem), ("b", true, ErrorKind::PermissionDenied)]
    {
        let id = create(&driver, name, MIB, block);
        driver.stage(&id, &place.text("staging")).unwrap();
        let request =
            csi::NodePublishVolumeRequest { readonly: true, ..publish_request(&place, &id, name, block) };
        driver.publish(&request).unwrap();
        assert_eq!(try_to_write(&place, name, block).unwrap_err().kind(), refusal);
        driver.publish(&request).unwrap();
        let writable = publish_request(&place, &id, name, block);
        assert_code(driver.publish(&writable), Code::AlreadyExists);
        unpublish(&driver, &place, &id, name);
    }
    eventually("clean", || place.leftovers().is_empty());
}

#[test]
fn a_read_only_mount_is_read_only_for_the_host_too() {
    use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
    let place = Place::new();
    let (pods, host) = (place.path("pods"), place.path("host"));
    std::fs::create_dir(&pods).unwrap();
    std::fs::create_dir(&host).unwrap();
    // A driver's container and the host see the pods' directory through two mounts of one peer group.
    mount("none", &pods, "tmpfs", MountFlags::empty(), c"size=1m").unwrap();
    mount_change(&pods, MountPropagationFlags::SHARED).unwrap();
    mounts::bind(&pods, &host).unwrap();
    let driver = place.open();
    let id = create(&driver, "v", MIB, false);
    driver.stage(&id, &place.text("staging")).unwrap();
    let request = csi::NodePublishVolumeRequest {
        readonly: true,
        ..publish_request(&place, &id, "pods/target", false)
    };
    driver.publish(&request).unwrap();
    let table = MountTable::read().unwrap();
    assert!(table.at(&pods.join("target")).unwrap().read_only());
    assert!(table.at(&host.join("target")).unwrap().read_only(), "propagated before it was read-only");
    unpublish(&driver, &place, &id, "pods/target");
    let table = MountTable::read().unwrap();
    assert!(table.at(&host.join("target")).is_none());
}

#[test]
fn a_read_only_mount_that_was_cut_off_half_way_is_cleared_up() {
    let place = Place::new();
    let driver = place.open();
    let id = create(&driver, "v", MIB, false);
    drop(driver);
    let scratch = place.state_dir().join(".mounting").join(&id);
    std::fs::create_dir(&scratch).unwrap();
    mounts::bind(&place.state_dir().join(&id), &scratch).unwrap();
    let _driver = place.open();
    place.assert_clean();
    assert_eq!(place.data(), [id]);
}

#[test]
fn publishing_again_with_other_arguments_is_refused() {
    let place = Place::new();
    let driver = place.open();
    let id = create(&driver, "v", MIB, false);
    publish(&driver, &place, &id, "target", false);
    driver.publish(&publish_request(&place, &id, "target", false)).unwrap();
    let mut other = publish_request(&place, &id, "target", false);
    other.volume_capability = Some(capability(false, Mode::MultiNodeMultiWriter));
    assert_code(driver.publish(&other), Code::AlreadyExists);
    unpublish(&driver, &place, &id, "target");
}

#[test]
fn the_single_writer_is_single() {
    let place = Place::new();
    let driver = place.open();
    let id = create(&driver, "v", MIB, false);
    publish(&driver, &place, &id, "one", false);
    let mut second = publish_request(&place, &id, "two", false);
    second.volume_capability = Some(capability(false, Mode::SingleNodeSingleWriter));
    let text = assert_code(driver.publish(&second), Code::FailedPrecondition);
    assert_eq!(
        text,
        "volume uses SINGLE_NODE_SINGLE_WRITER access mode and is already mounted at a different target path"
    );
    unpublish(&driver, &place, &id, "one");
}

#[test]
fn staging_comes_first_and_at_one_place() {
    let place = Place::new();
    let driver = place.open();
    let id = create(&driver, "v", MIB, false);
    let request = publish_request(&place, &id, "target", false);
    let text = assert_code(driver.publish(&request), Code::FailedPrecondition);
    assert_eq!(text, format!("volume \"{id}\" must be staged before publishing"));
    driver.stage(&id, "/elsewhere").unwrap();
    driver.stage(&id, "/elsewhere").unwrap();
    assert_code(driver.publish(&request), Code::InvalidArgument);
    let text = assert_code(driver.stage(&id, "/third"), Code::FailedPrecondition);
    assert_eq!(text, format!("volume \"{id}\" is already staged at [/elsewhere]"));
    driver.unstage(&id, "/third").unwrap();
    driver.unstage(&id, "/elsewhere").unwrap();
    for result in [driver.stage("x", "/s"), driver.unstage("x", "/s"), driver.unpublish("x", "/t")] {
        let text = assert_code(result, Code::NotFound);
        assert_eq!(text, "volume id x does not exist in the volumes list");
    }
}

#[test]
fn access_types_must_match() {
    let place = Place::new();
    let driver = place.open();
    for (block, text) in [
        (false, "cannot publish a non-block volume as block volume"),
        (true, "cannot publish a non-mount volume as mount volume"),
    ] {
        let id = create(&driver, &format!("v{block}"), MIB, block);
        driver.stage(&id, &place.text("staging")).unwrap();
        let result = driver.publish(&publish_request(&place, &id, "target", !block));
        assert_eq!(assert_code(result, Code::InvalidArgument), text);
    }
    assert!(!place.path("target").exists());
}

#[test]
fn a_target_that_belongs_to_others_is_left_alone() {
    let place = Place::new();
    let driver = place.open();
    let id = create(&driver, "v", MIB, false);
    let other = place.path("other");
    std::fs::create_dir_all(other.join("inside")).unwrap();
    std::fs::create_dir(place.path("target")).unwrap();
    // Not published there: nothing is touched.
    driver.unpublish(&id, &place.text("other")).unwrap();
    assert!(other.join("inside").exists());
    // Something else is mounted there.
    mounts::bind(&other, &place.path("target")).unwrap();
    driver.stage(&id, &place.text("staging")).unwrap();
    let text =
        assert_code(driver.publish(&publish_request(&place, &id, "target", false)), Code::FailedPrecondition);
    assert!(text.contains("something else is mounted"), "{text}");
    mounts::unmount(&place.path("target")).unwrap();
}

#[test]
fn a_missed_unmount_never_deletes_user_data() {
    let place = Place::new();
    let driver = place.open();
    let id = create(&driver, "v", MIB, false);
    publish(&driver, &place, &id, "target", false);
    mounts::unmount(&place.path("target")).unwrap();
    std::fs::write(place.path("target/precious"), "x").unwrap();
    let text = assert_code(driver.unpublish(&id, &place.text("target")), Code::Internal);
    assert!(text.contains("remove target"), "{text}");
    assert!(place.path("target/precious").exists());
    std::fs::remove_file(place.path("target/precious")).unwrap();
    unpublish(&driver, &place, &id, "target");
}

#[test]
fn a_volume_in_use_is_detached() {
    let place = Place::new();
    let driver = place.open();
    let id = create(&driver, "v", MIB, false);
    publish(&driver, &place, &id, "target", false);
    let mut open = std::fs::File::create_new(place.path("target/file")).unwrap();
    open.write_all(b"data").unwrap();
    unpublish(&driver, &place, &id, "target");
    place.assert_clean();
    // Whoever had it open can finish.
    open.write_all(b" more").unwrap();
    drop(open);
    let mut text = String::new();
    let mut file = std::fs::File::open(place.state_dir().join(&id).join("file")).unwrap();
    file.rewind().unwrap();
    file.read_to_string(&mut text).unwrap();
    assert_eq!(text, "data more");
}

#[test]
fn statistics_and_condition() {
    let place = Place::new();
    let driver = place.open();
    let directory = create(&driver, "d", MIB, false);
    let block = create(&driver, "b", 2 * MIB, true);
    publish(&driver, &place, &directory, "directory", false);
    publish(&driver, &place, &block, "block", true);
    let stats = driver.stats(&directory, &place.text("directory")).unwrap();
    assert_eq!(
        stats.usage.iter().map(csi::VolumeUsage::unit).collect::<Vec<_>>(),
        [Unit::Bytes, Unit::Inodes]
    );
    assert!(!stats.volume_condition.unwrap().abnormal);
    let stats = driver.stats(&block, &place.text("block")).unwrap();
    assert_eq!((stats.usage[0].unit(), stats.usage[0].total), (Unit::Bytes, 2 * MIB));
    assert!(!stats.volume_condition.unwrap().abnormal);
    mounts::unmount(&place.path("directory")).unwrap();
    let stats = driver.stats(&directory, &place.text("directory")).unwrap();
    assert_eq!(stats.volume_condition.unwrap().message, "The volume isn't mounted");
    assert_code(driver.stats(&directory, "some/path"), Code::NotFound);
    assert_code(driver.stats(&directory, "/proc"), Code::NotFound);
    assert_code(driver.stats("unknown", "/proc"), Code::NotFound);
    unpublish(&driver, &place, &directory, "directory");
    unpublish(&driver, &place, &block, "block");
}

#[test]
fn publish_of_an_ephemeral_volume_twice_and_unpublish_repeated() {
    let place = Place::new();
    let driver = place.open();
    let request = ephemeral_request(&place, "csi-abc", "target");
    driver.publish(&request).unwrap();
    driver.publish(&request).unwrap();
    assert_eq!(ids(&driver), ["csi-abc"]);
    std::fs::write(place.path("target/file"), "x").unwrap();
    driver.unpublish("csi-abc", &place.text("target")).unwrap();
    driver.unpublish("csi-abc", &place.text("target")).unwrap();
    assert!(ids(&driver).is_empty() && place.data().is_empty());
    place.assert_clean();
}

#[test]
fn an_ephemeral_volume_that_is_gone_takes_nothing_of_others_along() {
    let place = Place::new();
    let driver = place.open();
    let target = place.path("target");
    std::fs::create_dir_all(target.join("precious")).unwrap();
    driver.unpublish("csi-abc", &place.text("target")).unwrap();
    assert!(target.join("precious").exists());
    std::fs::remove_dir(target.join("precious")).unwrap();
    mounts::bind(&place.state_dir(), &target).unwrap();
    assert_code(driver.unpublish("csi-abc", &place.text("target")), Code::NotFound);
    mounts::unmount(&target).unwrap();
    driver.unpublish("csi-abc", &place.text("target")).unwrap();
    assert!(!target.exists(), "an empty directory was a target");
    assert_code(driver.unpublish("csi-../../x", &place.text("target")), Code::NotFound);
}

#[test]
fn a_device_that_is_about_to_be_unbound_stays_for_its_next_user() {
    let place = Place::new();
    let driver = place.open();
    let id = create(&driver, "v", MIB, true);
    let image = place.state_dir().join(&id);
    publish(&driver, &place, &id, "one", true);
    // As udev does whenever something has been written.
    let other_user = std::fs::File::open(place.path("one")).unwrap();
    unpublish(&driver, &place, &id, "one");
    let bound = loop_device::find(&image).unwrap();
    assert_eq!(bound.len(), 1, "it goes away with its last user");
    publish(&driver, &place, &id, "two", true);
    let autoclear = format!("/sys/block/loop{}/loop/autoclear", bound[0].number);
    assert_eq!(std::fs::read_to_string(autoclear).unwrap(), "0\n");
    drop(other_user);
    assert_eq!(loop_device::find(&image).unwrap(), bound, "one device, the same one");
    assert!(loop_device::at(&place.path("two"), &image).unwrap().is_some());
    unpublish(&driver, &place, &id, "two");
    eventually("loop device unbound", || loop_device::find(&image).unwrap().is_empty());
}

#[test]
fn an_ephemeral_volume_whose_publication_failed_is_gone() {
    let place = Place::new();
    let driver = place.open();
    let request = ephemeral_request(&place, "csi-abc", "missing/parent");
    assert_code(driver.publish(&request), Code::Internal);
    assert!(ids(&driver).is_empty() && place.data().is_empty());
    driver.publish(&ephemeral_request(&place, "csi-abc", "target")).unwrap();
    driver.unpublish("csi-abc", &place.text("target")).unwrap();
}

#[test]
fn handles_of_ephemeral_volumes_cannot_leave_the_directory() {
    let place = Place::new();
    let driver = place.open();
    for id in ["../x", "a/b", ".", "..", ".deleting", "state.json", "x.snap"] {
        assert_code(driver.publish(&ephemeral_request(&place, id, "target")), Code::InvalidArgument);
    }
    assert!(place.data().is_empty());
    let id = create(&driver, "v", MIB, false);
    assert_code(driver.publish(&ephemeral_request(&place, &id, "target")), Code::AlreadyExists);
}
