//! Volume snapshots as the API server knows them: kinds, names and custom resource definitions.
//!
//! Three programs meet on these objects (csi-snapshotter, snapshot-controller and csi-provisioner), with upstream's versions of
//! them on the other side during a swap, so everything here is contract (sheet `snapshot-controller`, 5.0 and annex A).
//!
//! - [`names`]: finalizers, annotations, labels, parameters, names of made objects;
//! - [`crd`]: the definitions of the six kinds, as `deploy/crds` has them;
//! - [`v1`]: the six kinds whole, to create objects and to read them in tests. Controllers read the projections of
//!   `sidecar_core::objects` instead, which are a tenth of the size.

pub mod crd;
pub mod names;
pub mod v1;
