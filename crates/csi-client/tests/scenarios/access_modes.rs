//! Row "access modes": Kubernetes access modes for both kinds of drivers.

use csi_client::access_mode;
use csi_client::csi::volume_capability::access_mode::Mode;

const RWO: &str = "ReadWriteOnce";
const ROX: &str = "ReadOnlyMany";
const RWX: &str = "ReadWriteMany";
const RWOP: &str = "ReadWriteOncePod";

fn check(modes: &[&str], plain: Result<Mode, &str>, single_node_multi_writer: Result<Mode, &str>) {
    for (capability, expected) in [(false, plain), (true, single_node_multi_writer)] {
        let result = access_mode(modes, capability).map_err(|error| error.to_string());
        assert_eq!(result, expected.map_err(str::to_owned), "{modes:?}, capability {capability}");
    }
}

#[test]
fn access_modes_rwx() {
    check(&[RWX], Ok(Mode::MultiNodeMultiWriter), Ok(Mode::MultiNodeMultiWriter));
    check(&[ROX, RWO, RWX], Ok(Mode::MultiNodeMultiWriter), Ok(Mode::MultiNodeMultiWriter));
}

#[test]
fn access_modes_rox_and_rwo() {
    let error = "CSI does not support ReadOnlyMany and ReadWriteOnce on the same PersistentVolume";
    check(&[ROX, RWO], Err(error), Err(error));
}

#[test]
fn access_modes_rox_and_rwop() {
    let error = "Kubernetes does not support use of ReadWriteOncePod with other access modes on the same \
                 PersistentVolume";
    check(&[ROX, RWOP], Err(error), Err(error));
    check(&[RWX, RWOP], Err(error), Err(error));
}

#[test]
fn access_modes_rox() {
    check(&[ROX, ROX], Ok(Mode::MultiNodeReaderOnly), Ok(Mode::MultiNodeReaderOnly));
}

#[test]
fn access_modes_rwo() {
    check(&[RWO], Ok(Mode::SingleNodeWriter), Ok(Mode::SingleNodeMultiWriter));
}

#[test]
fn access_modes_rwop() {
    check(&[RWOP, RWOP], Ok(Mode::SingleNodeWriter), Ok(Mode::SingleNodeSingleWriter));
}

#[test]
fn access_modes_empty() {
    let error = "unsupported AccessMode combination: []";
    check(&[], Err(error), Err(error));
    let error = "unsupported AccessMode combination: [Odd Other]";
    check(&["Odd", "Other"], Err(error), Err(error));
}
