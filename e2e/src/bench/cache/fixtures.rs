//! Objects as an API server sends them in a watch: annotations, managed fields and conditions included, since a cache
//! must not pay for them.

use super::DRIVER;

/// A uid of the right shape: the same for the same kind and number.
fn uid(kind: u32, number: usize) -> String {
    let mixed = (number as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    format!(
        "{kind:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
        mixed >> 48,
        (mixed >> 36) & 0xfff,
        (mixed >> 24) & 0xfff,
        number
    )
}

/// What two or three managers leave in every object.
fn managed_fields(paths: &str) -> String {
    let entry = |manager: &str, subresource: &str| {
        format!(
            r#"{{"manager":"{manager}","operation":"Update","apiVersion":"v1","time":"2026-11-21T05:00:00Z","fieldsType":"FieldsV1","fieldsV1":{{"f:metadata":{{"f:annotations":{{".":{{}},"f:pv.kubernetes.io/bind-completed":{{}},"f:pv.kubernetes.io/bound-by-controller":{{}},"f:volume.kubernetes.io/storage-provisioner":{{}}}},"f:finalizers":{{".":{{}},"v:\"kubernetes.io/protection\"":{{}}}}}},"f:spec":{{{paths}}}}}{subresource}}}"#
        )
    };
    format!(
        "[{},{}]",
        entry("csi-provisioner", ""),
        entry("kube-controller-manager", r#","subresource":"status""#)
    )
}

/// The watch event of volume `number`.
pub(super) fn volume(number: usize) -> String {
    let (claim, own) = (uid(1, number), uid(2, number));
    let fields = managed_fields(
        r#""f:accessModes":{},"f:capacity":{".":{},"f:storage":{}},"f:claimRef":{".":{},"f:apiVersion":{},"f:kind":{},"f:name":{},"f:namespace":{},"f:resourceVersion":{},"f:uid":{}},"f:csi":{".":{},"f:driver":{},"f:fsType":{},"f:volumeAttributes":{".":{},"f:storage.kubernetes.io/csiProvisionerIdentity":{}},"f:volumeHandle":{}},"f:nodeAffinity":{".":{},"f:required":{}},"f:persistentVolumeReclaimPolicy":{},"f:storageClassName":{},"f:volumeMode":{}"#,
    );
    format!(
        r#"{{"type":"ADDED","object":{{"kind":"PersistentVolume","apiVersion":"v1","metadata":{{"name":"pvc-{claim}","uid":"{own}","resourceVersion":"{version}","creationTimestamp":"2026-11-21T05:00:00Z","annotations":{{"pv.kubernetes.io/provisioned-by":"{DRIVER}","volume.kubernetes.io/provisioner-deletion-secret-name":"","volume.kubernetes.io/provisioner-deletion-secret-namespace":""}},"finalizers":["external-provisioner.volume.kubernetes.io/finalizer","kubernetes.io/pv-protection","external-attacher/hostpath-csi-k8s-io"],"managedFields":{fields}}},"spec":{{"capacity":{{"storage":"10Gi"}},"csi":{{"driver":"{DRIVER}","volumeHandle":"{handle}","fsType":"ext4","volumeAttributes":{{"storage.kubernetes.io/csiProvisionerIdentity":"1795238500823-8081-{DRIVER}"}}}},"accessModes":["ReadWriteOnce"],"claimRef":{{"kind":"PersistentVolumeClaim","namespace":"tenant-{tenant}","name":"data-database-{number}","uid":"{claim}","apiVersion":"v1","resourceVersion":"{version}"}},"persistentVolumeReclaimPolicy":"Delete","storageClassName":"csi-hostpath-sc","volumeMode":"Filesystem","nodeAffinity":{{"required":{{"nodeSelectorTerms":[{{"matchExpressions":[{{"key":"topology.hostpath.csi/node","operator":"In","values":["node-{node}"]}}]}}]}}}}}},"status":{{"phase":"Bound","lastPhaseTransitionTime":"2026-11-21T05:00:01Z"}}}}}}"#,
        version = 1_000_000 + number,
        handle = uid(3, number),
        tenant = number % 200,
        node = number % 500,
    )
}

/// The watch event of claim `number`.
pub(super) fn claim(number: usize) -> String {
    let own = uid(1, number);
    let fields = managed_fields(
        r#""f:accessModes":{},"f:resources":{"f:requests":{".":{},"f:storage":{}}},"f:storageClassName":{},"f:volumeMode":{},"f:volumeName":{}"#,
    );
    format!(
        r#"{{"type":"ADDED","object":{{"kind":"PersistentVolumeClaim","apiVersion":"v1","metadata":{{"name":"data-database-{number}","namespace":"tenant-{tenant}","uid":"{own}","resourceVersion":"{version}","creationTimestamp":"2026-11-21T05:00:00Z","labels":{{"app.kubernetes.io/name":"database","app.kubernetes.io/instance":"database-{number}"}},"annotations":{{"pv.kubernetes.io/bind-completed":"yes","pv.kubernetes.io/bound-by-controller":"yes","volume.beta.kubernetes.io/storage-provisioner":"{DRIVER}","volume.kubernetes.io/selected-node":"node-{node}","volume.kubernetes.io/storage-provisioner":"{DRIVER}"}},"finalizers":["kubernetes.io/pvc-protection"],"managedFields":{fields}}},"spec":{{"accessModes":["ReadWriteOnce"],"resources":{{"requests":{{"storage":"10Gi"}}}},"volumeName":"pvc-{own}","storageClassName":"csi-hostpath-sc","volumeMode":"Filesystem"}},"status":{{"phase":"Bound","accessModes":["ReadWriteOnce"],"capacity":{{"storage":"10Gi"}}}}}}}}"#,
        version = 1_000_000 + number,
        tenant = number % 200,
        node = number % 500,
    )
}

/// The watch event of attachment `number`.
pub(super) fn attachment(number: usize) -> String {
    let fields =
        managed_fields(r#""f:attacher":{},"f:nodeName":{},"f:source":{"f:persistentVolumeName":{}}"#);
    format!(
        r#"{{"type":"ADDED","object":{{"kind":"VolumeAttachment","apiVersion":"storage.k8s.io/v1","metadata":{{"name":"csi-{hash:064x}","uid":"{own}","resourceVersion":"{version}","creationTimestamp":"2026-11-21T05:00:00Z","annotations":{{"csi.alpha.kubernetes.io/node-id":"node-{node}"}},"finalizers":["external-attacher/hostpath-csi-k8s-io"],"managedFields":{fields}}},"spec":{{"attacher":"{DRIVER}","source":{{"persistentVolumeName":"pvc-{claim}"}},"nodeName":"node-{node}"}},"status":{{"attached":true}}}}}}"#,
        hash = (number as u128 + 1).wrapping_mul(0x0123_4567_89AB_CDEF_FEDC_BA98_7654_3211),
        own = uid(4, number),
        claim = uid(1, number),
        version = 1_000_000 + number,
        node = number % 500,
    )
}

/// The watch event of pod `number`.
pub(super) fn pod(number: usize) -> String {
    let fields = managed_fields(r#""f:containers":{},"f:volumes":{}"#);
    format!(
        r#"{{"type":"ADDED","object":{{"kind":"Pod","apiVersion":"v1","metadata":{{"name":"database-{number}","generateName":"database-","namespace":"tenant-{tenant}","uid":"{own}","resourceVersion":"{version}","labels":{{"app":"database"}},"ownerReferences":[{{"apiVersion":"apps/v1","kind":"StatefulSet","name":"database","uid":"{own}","controller":true}}],"managedFields":{fields}}},"spec":{{"volumes":[{{"name":"data","persistentVolumeClaim":{{"claimName":"data-database-{number}"}}}},{{"name":"kube-api-access","projected":{{"sources":[{{"serviceAccountToken":{{"expirationSeconds":3607,"path":"token"}}}}]}}}}],"containers":[{{"name":"database","image":"registry.example.com/database:15","resources":{{}},"volumeMounts":[{{"name":"data","mountPath":"/data"}}],"imagePullPolicy":"IfNotPresent"}}],"nodeName":"node-{node}","serviceAccountName":"default","tolerations":[{{"key":"node.kubernetes.io/not-ready","operator":"Exists","effect":"NoExecute","tolerationSeconds":300}}]}},"status":{{"phase":"Running","conditions":[{{"type":"Ready","status":"True","lastTransitionTime":"2026-11-21T05:00:00Z"}}],"podIP":"10.0.0.1"}}}}}}"#,
        tenant = number % 200,
        own = uid(5, number),
        version = 1_000_000 + number,
        node = number % 500,
    )
}

/// The watch event of node `number`.
pub(super) fn node(number: usize) -> String {
    format!(
        r#"{{"type":"ADDED","object":{{"kind":"Node","apiVersion":"v1","metadata":{{"name":"node-{number}","uid":"{own}","resourceVersion":"{version}","labels":{{"beta.kubernetes.io/arch":"amd64","beta.kubernetes.io/os":"linux","kubernetes.io/arch":"amd64","kubernetes.io/hostname":"node-{number}","kubernetes.io/os":"linux","node.kubernetes.io/instance-type":"m5.large","topology.hostpath.csi/node":"node-{number}","topology.kubernetes.io/region":"region-1","topology.kubernetes.io/zone":"zone-{zone}"}},"annotations":{{"node.alpha.kubernetes.io/ttl":"0"}},"managedFields":{fields}}},"spec":{{"podCIDR":"10.0.0.0/24"}},"status":{{"capacity":{{"cpu":"8","memory":"32Gi"}},"conditions":[{{"type":"Ready","status":"True"}}],"images":[{{"names":["registry.k8s.io/pause:3.10"],"sizeBytes":320448}}]}}}}}}"#,
        own = uid(6, number),
        version = 1_000_000 + number,
        zone = number % 3,
        fields = managed_fields(r#""f:podCIDR":{}"#),
    )
}
