//! Create, delete, list, get, validate, capacity.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;

use csi_client::csi;
use csi_client::csi::volume_capability::access_mode::Mode;
use hostpath_driver::config::Config;
use hostpath_driver::steps::Steps;
use tonic::Code;

use crate::support::{
    MIB, Place, assert_code, capability, create, create_request, ids, list, publish, unpublish,
};

#[test]
fn a_volume_is_made_once_and_removed_with_its_data() {
    let place = Place::new();
    let driver = place.open();
    let made = driver.create_volume(create_request("pvc-1", 5 * MIB, false)).unwrap().volume.unwrap();
    assert_eq!(made.capacity_bytes, 5 * MIB);
    let topology = &made.accessible_topology[0].segments;
    assert_eq!(topology["topology.hostpath.csi/node"], "node-1");
    let again = driver.create_volume(create_request("pvc-1", 5 * MIB, false)).unwrap().volume.unwrap();
    assert_eq!(again, made);
    assert_eq!(place.data(), [made.volume_id.as_str()]);
    for _ in 0..2 {
        driver.delete_volume(&made.volume_id).unwrap();
    }
    assert_eq!(place.data(), Vec::<String>::new());
    assert!(ids(&driver).is_empty());
}

#[test]
fn a_block_volume_has_all_its_blocks_and_no_loop_device_until_it_is_published() {
    let place = Place::new();
    let driver = place.open();
    let id = create(&driver, "pvc-1", 3 * MIB + 1, true);
    let image = std::fs::metadata(place.state_dir().join(&id)).unwrap();
    assert_eq!(image.len(), 3 * 1024 * 1024 + 4096);
    assert!(image.blocks() * 512 >= image.len());
    place.assert_clean();
    driver.delete_volume(&id).unwrap();
    assert!(place.data().is_empty());
}

#[test]
fn block_volume_smaller_than_1_mib_or_without_size() {
    let place = Place::new();
    let driver = place.open();
    let small = create(&driver, "small", 1, true);
    let none = create(&driver, "none", 0, true);
    assert_eq!(std::fs::metadata(place.state_dir().join(small)).unwrap().len(), 4096);
    assert_eq!(std::fs::metadata(place.state_dir().join(none)).unwrap().len(), 1 << 20);
}

#[test]
fn the_same_name_with_other_properties_is_refused() {
    let place = Place::new();
    let driver = place.open();
    create(&driver, "pvc-1", MIB, false);
    let other_size = driver.create_volume(create_request("pvc-1", 2 * MIB, false));
    let text = assert_code(other_size, Code::AlreadyExists);
    assert_eq!(text, "Volume with the same name: pvc-1 but with different size already exist");
    assert_code(driver.create_volume(create_request("pvc-1", MIB, true)), Code::AlreadyExists);
    let mut parameters = create_request("pvc-1", MIB, false);
    parameters.parameters.insert("a".into(), "b".into());
    assert_code(driver.create_volume(parameters), Code::AlreadyExists);
    let mut limited = create_request("pvc-1", 0, false);
    limited.capacity_range = Some(csi::CapacityRange { required_bytes: 0, limit_bytes: MIB - 1 });
    assert_code(driver.create_volume(limited), Code::AlreadyExists);
    assert_eq!(ids(&driver).len(), 1);
}

#[test]
fn parameters_come_back_as_context_after_a_restart_too() {
    let place = Place::new();
    let mut request = create_request("pvc-1", MIB, false);
    request.parameters.insert("csi.storage.k8s.io/pv/name".into(), "pvc-1".into());
    let first = place.open().create_volume(request.clone()).unwrap();
    let second = place.open().create_volume(request.clone()).unwrap();
    assert_eq!(first, second);
    assert_eq!(second.volume.unwrap().volume_context, request.parameters);
}

#[test]
fn sizes_beyond_the_maximum_and_sources_are_refused() {
    let place = Place::new();
    let driver = place.open();
    assert_code(driver.create_volume(create_request("big", (1 << 40) + 1, false)), Code::OutOfRange);
    let mut clone = create_request("clone", MIB, false);
    clone.volume_content_source = Some(csi::VolumeContentSource::default());
    assert_code(driver.create_volume(clone), Code::InvalidArgument);
    assert!(place.data().is_empty());
}

#[test]
fn capacity_pools_are_shared_out_and_given_back() {
    let place = Place::new();
    let pools = BTreeMap::from([("fast".to_owned(), 10 * MIB)]);
    let driver = place.open_with(Config { capacity: pools, ..place.config() }, Steps::default());
    let kind = BTreeMap::from([("kind".to_owned(), "fast".to_owned())]);
    let available = || {
        let request =
            csi::GetCapacityRequest { parameters: kind.clone(), ..csi::GetCapacityRequest::default() };
        driver.get_capacity(&request).available_capacity
    };
    assert_eq!(available(), 10 * MIB);
    let mut request = create_request("one", 6 * MIB, false);
    request.parameters.clone_from(&kind);
    let id = driver.create_volume(request).unwrap().volume.unwrap().volume_id;
    assert_eq!(available(), 4 * MIB);
    let text =
        assert_code(driver.create_volume(create_request("two", 6 * MIB, false)), Code::ResourceExhausted);
    assert_eq!(text, "requested capacity 6291456 of arbitrary storage exceeds all remaining capacity");
    driver.delete_volume(&id).unwrap();
    assert_eq!(available(), 10 * MIB);
    let none = driver.get_capacity(&csi::GetCapacityRequest::default());
    assert_eq!((none.available_capacity, none.minimum_volume_size), (0, Some(0)));
}

#[test]
fn capacity_of_a_driver_without_pools_is_the_largest_volume() {
    let place = Place::new();
    let capacity = place.open().get_capacity(&csi::GetCapacityRequest::default());
    assert_eq!(capacity.available_capacity, 1 << 40);
    assert_eq!(capacity.maximum_volume_size, Some(1 << 40));
}

#[test]
fn list_volumes_pages_hold_every_volume_once() {
    let place = Place::new();
    let driver = place.open();
    let mut made: Vec<_> = (0..5).map(|number| create(&driver, &format!("v{number}"), MIB, false)).collect();
    made.sort();
    let mut found = Vec::new();
    let mut token = String::new();
    let mut pages = 0;
    loop {
        let request = csi::ListVolumesRequest { max_entries: 2, starting_token: token };
        let page = driver.list_volumes(&request).unwrap();
        found.extend(page.entries.into_iter().map(|entry| entry.volume.unwrap().volume_id));
        pages += 1;
        token = page.next_token;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!((found, pages), (made, 3));
    let bad = csi::ListVolumesRequest { max_entries: 0, starting_token: "invalid-token".into() };
    assert_code(driver.list_volumes(&bad), Code::Aborted);
}

#[test]
fn conditions_tell_what_is_wrong_with_the_data() {
    let place = Place::new();
    let driver = place.open();
    let id = create(&driver, "v", MIB, false);
    let condition = |driver: &hostpath_driver::hostpath::Hostpath| {
        let listed = list(driver)[0].status.clone().unwrap();
        let got = driver.controller_get_volume(&id).unwrap().status.unwrap();
        assert_eq!(listed.volume_condition, got.volume_condition);
        assert_eq!(listed.published_node_ids, Vec::<String>::new(), "never published, so on no node");
        got.volume_condition.unwrap()
    };
    assert!(!condition(&driver).abnormal);
    std::fs::remove_dir(place.state_dir().join(&id)).unwrap();
    assert_eq!(condition(&driver).message, "The source path of the volume doesn't exist");
    assert_code(driver.controller_get_volume("unknown"), Code::NotFound);
}

#[test]
fn validation_confirms_what_the_volume_is() {
    let place = Place::new();
    let driver = place.open();
    let id = create(&driver, "v", MIB, false);
    let ask = |id: &str, block| {
        driver.validate_volume_capabilities(csi::ValidateVolumeCapabilitiesRequest {
            volume_id: id.into(),
            volume_capabilities: vec![capability(block, Mode::SingleNodeWriter)],
            ..csi::ValidateVolumeCapabilitiesRequest::default()
        })
    };
    assert_eq!(ask(&id, false).unwrap().confirmed.unwrap().volume_capabilities.len(), 1);
    let refused = ask(&id, true).unwrap();
    assert!(refused.confirmed.is_none() && !refused.message.is_empty());
    assert_code(ask("unknown", false), Code::NotFound);
}

#[test]
fn deleting_a_volume_in_use_is_an_error_only_on_demand() {
    let place = Place::new();
    let strict = Config { check_volume_lifecycle: true, ..place.config() };
    let driver = place.open_with(strict, Steps::default());
    let id = create(&driver, "v", MIB, false);
    publish(&driver, &place, &id, "target", false);
    let text = assert_code(driver.delete_volume(&id), Code::Internal);
    let expected = format!(
        "Volume '{id}' is still used (attached: false, staged: true, published: true) by 'node-1' node"
    );
    assert_eq!(text, expected);
    unpublish(&driver, &place, &id, "target");
    publish(&driver, &place, &id, "target", false);
    drop(driver);
    let lenient = place.open();
    lenient.delete_volume(&id).unwrap();
    place.assert_clean();
    assert!(!place.path("target").exists(), "no mount into data that is gone");
    assert!(place.data().is_empty());
}

#[test]
fn a_mount_inside_a_volume_keeps_it_from_being_removed() {
    let place = Place::new();
    let driver = place.open();
    let precious = place.path("precious");
    std::fs::create_dir(&precious).unwrap();
    std::fs::write(precious.join("file"), "x").unwrap();
    let id = create(&driver, "v", MIB, false);
    let inside = place.state_dir().join(&id).join("inside");
    std::fs::create_dir(&inside).unwrap();
    csi_driver_kit::mounts::bind(&precious, &inside).unwrap();
    let text = assert_code(driver.delete_volume(&id), Code::Internal);
    assert!(text.contains(inside.to_str().unwrap()), "{text}");
    csi_driver_kit::mounts::unmount(&inside).unwrap();
    driver.delete_volume(&id).unwrap();
    assert!(precious.join("file").exists());
}

#[test]
fn a_deletion_that_failed_after_the_record_was_gone_is_finished_by_the_retry() {
    let place = Place::new();
    let armed = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
    let hook = armed.clone();
    let steps = Steps::watched(move |step| {
        let fail = step == "delete: record removed" && hook.swap(false, std::sync::atomic::Ordering::SeqCst);
        if fail { Err(rustix::io::Errno::IO) } else { Ok(()) }
    });
    let driver = place.open_with(place.config(), steps);
    let id = create(&driver, "v", MIB, false);
    std::fs::create_dir_all(place.state_dir().join(&id).join("a/b")).unwrap();
    assert_code(driver.delete_volume(&id), Code::Internal);
    assert_eq!(place.data(), [format!(".deleting/{id}")]);
    driver.delete_volume(&id).unwrap();
    assert!(place.data().is_empty());
}
