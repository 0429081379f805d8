//! Attachment (sheet, 5.5) and what depends on it.

use csi_client::csi;
use hostpath_driver::config::Config;
use hostpath_driver::hostpath::Hostpath;
use hostpath_driver::steps::Steps;
use tonic::Code;

use crate::support::{MIB, Place, assert_code, create, list, publish, unpublish};

fn request(id: &str, readonly: bool) -> csi::ControllerPublishVolumeRequest {
    csi::ControllerPublishVolumeRequest {
        volume_id: id.into(),
        node_id: "node-1".into(),
        readonly,
        ..csi::ControllerPublishVolumeRequest::default()
    }
}

fn open(place: &Place, config: Config) -> Hostpath {
    place.open_with(Config { enable_attach: true, ..config }, Steps::default())
}

#[test]
fn attach_and_detach_are_recorded_and_can_be_repeated() {
    let place = Place::new();
    let driver = open(&place, place.config());
    let id = create(&driver, "v", MIB, false);
    let nodes = |driver: &Hostpath| list(driver)[0].status.clone().unwrap().published_node_ids;
    for _ in 0..2 {
        driver.attach(&request(&id, false)).unwrap();
        assert_eq!(nodes(&driver), ["node-1"]);
    }
    let text = assert_code(driver.attach(&request(&id, true)), Code::AlreadyExists);
    assert_eq!(text, "Volume published but has incompatible readonly flag");
    drop(driver);
    let driver = open(&place, place.config());
    assert_eq!(nodes(&driver), ["node-1"], "kept over a restart");
    for _ in 0..2 {
        driver.detach(&id, "node-1").unwrap();
        assert!(nodes(&driver).is_empty());
    }
    driver.attach(&request(&id, true)).unwrap();
    driver.detach(&id, "").unwrap();
}

#[test]
fn attach_of_what_is_not_there() {
    let place = Place::new();
    let driver = open(&place, place.config());
    let id = create(&driver, "v", MIB, false);
    let text = assert_code(driver.attach(&request("unknown", false)), Code::NotFound);
    assert!(text.contains("volume id unknown does not exist in the volumes list"), "{text}");
    let elsewhere = csi::ControllerPublishVolumeRequest { node_id: "other".into(), ..request(&id, false) };
    let text = assert_code(driver.attach(&elsewhere), Code::NotFound);
    assert!(text.starts_with("Not matching Node ID"), "{text}");
    let text = assert_code(driver.detach(&id, "other"), Code::NotFound);
    assert_eq!(text, "Node ID other does not match to expected Node ID node-1");
    driver.detach("unknown", "node-1").unwrap();
}

#[test]
fn the_attach_limit_counts_attached_volumes_only() {
    let place = Place::new();
    let driver = open(&place, Config { attach_limit: 2, ..place.config() });
    let made: Vec<_> = ["a", "b", "c"].iter().map(|name| create(&driver, name, MIB, false)).collect();
    driver.attach(&request(&made[0], false)).unwrap();
    driver.attach(&request(&made[1], false)).unwrap();
    let text = assert_code(driver.attach(&request(&made[2], false)), Code::ResourceExhausted);
    assert_eq!(text, "Cannot attach any more volumes to this node ('node-1')");
    driver.attach(&request(&made[0], false)).unwrap();
    driver.detach(&made[0], "node-1").unwrap();
    driver.attach(&request(&made[2], false)).unwrap();
}

#[test]
fn staging_asks_for_the_attachment() {
    let place = Place::new();
    let driver = open(&place, place.config());
    let id = create(&driver, "v", MIB, false);
    let text = assert_code(driver.stage(&id, &place.text("staging")), Code::Internal);
    assert_eq!(
        text,
        format!("ControllerPublishVolume must be called on volume '{id}' before staging on node")
    );
    driver.attach(&request(&id, false)).unwrap();
    publish(&driver, &place, &id, "target", false);
    unpublish(&driver, &place, &id, "target");
    place.assert_clean();
}

#[test]
fn detach_of_a_volume_in_use_is_an_error_only_with_check_volume_lifecycle() {
    for check in [false, true] {
        let place = Place::new();
        let driver = open(&place, Config { check_volume_lifecycle: check, ..place.config() });
        let id = create(&driver, "v", MIB, false);
        driver.attach(&request(&id, false)).unwrap();
        publish(&driver, &place, &id, "target", false);
        let result = driver.detach(&id, "node-1");
        if check {
            let text = assert_code(result, Code::Internal);
            let wanted =
                format!("Volume '{id}' is still used (staged: true, published: true) by 'node-1' node");
            assert_eq!(text, wanted);
        } else {
            result.unwrap();
        }
        unpublish(&driver, &place, &id, "target");
        driver.detach(&id, "node-1").unwrap();
        place.assert_clean();
    }
}
