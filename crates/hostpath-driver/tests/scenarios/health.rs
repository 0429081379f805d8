//! The health calls of CSI 1.13, which are offered on demand.

use std::sync::Arc;

use csi_client::csi;
use csi_client::csi::VolumeHealthErrorType as Problem;
use csi_client::{CallOptions, Connection, ConnectionSettings};
use hostpath_driver::Plugin;
use hostpath_driver::config::Config;
use hostpath_driver::steps::Steps;
use tonic::Code;

use crate::support::{MIB, Place, assert_code, create, publish, unpublish};

#[test]
fn what_is_wrong_with_a_volume_is_told_by_its_kind() {
    let place = Place::new();
    let driver = place.open();
    let (fine, lost) = (create(&driver, "fine", MIB, false), create(&driver, "lost", MIB, false));
    std::fs::remove_dir(place.state_dir().join(&lost)).unwrap();
    assert!(driver.volume_health(&fine).unwrap().health_statuses.is_empty());
    let found = driver.volume_health(&lost).unwrap().health_statuses;
    assert_eq!((found[0].status(), found[0].reason.as_str()), (Problem::DataLoss, "DataMissing"));
    assert_code(driver.volume_health("unknown"), Code::NotFound);
    let all = driver.list_volume_health(&csi::ControllerListVolumeHealthRequest::default()).unwrap();
    assert_eq!(all.entries.len(), 1);
    assert_eq!(all.entries[0].volume_id, lost);
    assert!(driver.storage_health().is_empty());
}

#[test]
fn a_mount_that_is_gone_is_told_by_the_node() {
    let place = Place::new();
    let driver = place.open();
    let id = create(&driver, "v", MIB, false);
    publish(&driver, &place, &id, "target", false);
    let request = csi::NodeGetVolumeHealthRequest {
        volume_id: id.clone(),
        volume_publish_path: place.text("target"),
        staging_target_path: place.text("staging"),
    };
    assert!(driver.node_volume_health(&request).unwrap().health_statuses.is_empty());
    csi_driver_kit::mounts::unmount(&place.path("target")).unwrap();
    let found = driver.node_volume_health(&request).unwrap().health_statuses;
    assert_eq!((found[0].status(), found[0].reason.as_str()), (Problem::Inaccessible, "NotMounted"));
    unpublish(&driver, &place, &id, "target");
}

#[tokio::test]
async fn the_health_calls_are_there_only_on_demand() {
    for on in [false, true] {
        let place = Place::new();
        let config = Config { enable_volume_health: on, ..place.config() };
        let driver = Arc::new(place.open_with(config, Steps::default()));
        let service = Plugin::service(driver);
        let connection = Connection::from_service(service.routes().prepare(), ConnectionSettings::default());
        let listed = connection
            .controller_list_volume_health(
                csi::ControllerListVolumeHealthRequest::default(),
                CallOptions::default(),
            )
            .await;
        let storage = connection
            .node_get_storage_health(csi::NodeGetStorageHealthRequest::default(), CallOptions::default())
            .await;
        if on {
            assert!(listed.unwrap().entries.is_empty());
            assert!(storage.unwrap().backend_health.is_empty());
        } else {
            assert_eq!(listed.unwrap_err().code(), Code::Unimplemented);
            assert_eq!(storage.unwrap_err().code(), Code::Unimplemented);
        }
    }
}
