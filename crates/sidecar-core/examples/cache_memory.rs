//! What a cached object costs: resident bytes and microseconds of CPU per object, by kind.
//!
//! Realistic JSON (managed fields, annotations, conditions, as a cluster sends it) goes through the decoder and into a
//! store exactly as from a watch. Each kind is measured in a process of its own, so that no kind profits from what another
//! left in the allocator. Part of `make bench`.
//!
//! ```text
//! cargo run --release -p sidecar-core --example cache_memory -- [OBJECTS] [kind ...] [--everything]
//! ```
//!
//! Without `--everything` the interest is that of a provisioner; with it every section of every object is kept.

use std::process::{Command, ExitCode};

use sidecar_core::cache::{Decoder, Event, Json, Store};
use sidecar_core::objects::{
    Attachment, AttachmentIndex, Claim, ClaimIndex, Interest, Kind, Node, Pod, Volume,
};

const DRIVER: &str = "hostpath.csi.k8s.io";
const KINDS: [&str; 6] = ["volume", "claim", "attachment", "pod", "node", "all"];
const DEFAULT_OBJECTS: usize = 50_000;
/// How many events exist at a time; a network buffer holds about as many.
const BATCH: usize = 64;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, kind, count, interest] = arguments.as_slice()
        && flag == "--measure"
    {
        return measure(kind, count.parse().unwrap_or(DEFAULT_OBJECTS), interest == "everything");
    }
    let everything = arguments.iter().any(|argument| argument == "--everything");
    let count = arguments.iter().find_map(|argument| argument.parse().ok()).unwrap_or(DEFAULT_OBJECTS);
    let chosen: Vec<&str> =
        KINDS.into_iter().filter(|kind| arguments.iter().any(|argument| argument == kind)).collect();
    let kinds = if chosen.is_empty() { KINDS.to_vec() } else { chosen };
    println!("{:<12} {:>9} {:>12} {:>10} {:>14}", "kind", "objects", "rss/object", "rss", "cpu/object");
    for kind in kinds {
        if !run_child(kind, count, everything) {
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn run_child(kind: &str, count: usize, everything: bool) -> bool {
    let interest = if everything { "everything" } else { "provisioner" };
    let Ok(program) = std::env::current_exe() else { return false };
    let status = Command::new(program).args(["--measure", kind, &count.to_string(), interest]).status();
    status.is_ok_and(|status| status.success())
}

fn measure(kind: &str, count: usize, everything: bool) -> ExitCode {
    let interest = if everything { Interest::everything() } else { Interest::of_drivers([DRIVER]) };
    // The fixtures' own buffers and the runtime's start-up do not count.
    let before = resident();
    let start = cpu_seconds();
    let mut spent_on_json = 0.0;
    let mut per_object = 1;
    match kind {
        "volume" => spent_on_json = volumes(count, &interest),
        "claim" => spent_on_json = claims(count, &interest),
        "attachment" => spent_on_json = attachments(count, &interest),
        "pod" => spent_on_json = fill::<Pod>(count, &interest, pod, |_| {}),
        "node" => spent_on_json = fill::<Node>(count, &interest, node, |_| {}),
        "all" => {
            per_object = 3;
            spent_on_json += volumes(count, &interest);
            spent_on_json += claims(count, &interest);
            spent_on_json += attachments(count, &interest);
        }
        _ => return ExitCode::FAILURE,
    }
    let cpu = (cpu_seconds() - start - spent_on_json) / as_f64(count * per_object);
    let rss = resident().saturating_sub(before);
    println!(
        "{kind:<12} {count:>9} {:>10.0} B {:>6.1} MiB {:>11.1} us",
        as_f64(rss) / as_f64(count),
        as_f64(rss) / (1024.0 * 1024.0),
        cpu * 1e6
    );
    ExitCode::SUCCESS
}

fn volumes(count: usize, interest: &Interest) -> f64 {
    fill::<Volume>(count, interest, volume, |_| {})
}

fn claims(count: usize, interest: &Interest) -> f64 {
    fill::<Claim>(count, interest, claim, |store| {
        store.by(ClaimIndex::Uid, "");
    })
}

fn attachments(count: usize, interest: &Interest) -> f64 {
    fill::<Attachment>(count, interest, attachment, |store| {
        store.by(AttachmentIndex::Volume, "");
    })
}

/// Feeds `count` events into a store that lives until the process ends, and returns the time spent on making them up.
fn fill<T: Kind>(
    count: usize,
    interest: &Interest,
    make: fn(usize) -> String,
    use_indexes: fn(&Store<T>),
) -> f64 {
    let store = Store::<T>::of([]);
    use_indexes(&store);
    let mut spent = 0.0;
    for batch in (0..count).step_by(BATCH) {
        let start = cpu_seconds();
        let lines: Vec<String> = (batch..count.min(batch + BATCH)).map(make).collect();
        spent += cpu_seconds() - start;
        for line in lines {
            take(&store, &line, interest);
        }
    }
    std::mem::forget(store);
    spent
}

fn take<T: Kind>(store: &Store<T>, line: &str, interest: &Interest) {
    if let Ok(Event::Applied(object)) = Json.event(line.as_bytes(), interest) {
        store.apply(object);
    }
}

/// CPU seconds of this thread, which is the only one.
fn cpu_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    let nanos = text.split(' ').next().and_then(|field| field.parse().ok()).unwrap_or(0);
    as_f64(nanos) / 1e9
}

#[expect(clippy::cast_precision_loss, reason = "sizes of a report")]
fn as_f64(number: usize) -> f64 {
    number as f64
}

/// Resident bytes of this process.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").trim().parse().unwrap_or(0) * 1024
}

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

fn volume(number: usize) -> String {
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

fn claim(number: usize) -> String {
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

fn attachment(number: usize) -> String {
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

fn pod(number: usize) -> String {
    let fields = managed_fields(r#""f:containers":{},"f:volumes":{}"#);
    format!(
        r#"{{"type":"ADDED","object":{{"kind":"Pod","apiVersion":"v1","metadata":{{"name":"database-{number}","generateName":"database-","namespace":"tenant-{tenant}","uid":"{own}","resourceVersion":"{version}","labels":{{"app":"database"}},"ownerReferences":[{{"apiVersion":"apps/v1","kind":"StatefulSet","name":"database","uid":"{own}","controller":true}}],"managedFields":{fields}}},"spec":{{"volumes":[{{"name":"data","persistentVolumeClaim":{{"claimName":"data-database-{number}"}}}},{{"name":"kube-api-access","projected":{{"sources":[{{"serviceAccountToken":{{"expirationSeconds":3607,"path":"token"}}}}]}}}}],"containers":[{{"name":"database","image":"registry.example.com/database:15","resources":{{}},"volumeMounts":[{{"name":"data","mountPath":"/data"}}],"imagePullPolicy":"IfNotPresent"}}],"nodeName":"node-{node}","serviceAccountName":"default","tolerations":[{{"key":"node.kubernetes.io/not-ready","operator":"Exists","effect":"NoExecute","tolerationSeconds":300}}]}},"status":{{"phase":"Running","conditions":[{{"type":"Ready","status":"True","lastTransitionTime":"2026-11-21T05:00:00Z"}}],"podIP":"10.0.0.1"}}}}}}"#,
        tenant = number % 200,
        own = uid(5, number),
        version = 1_000_000 + number,
        node = number % 500,
    )
}

fn node(number: usize) -> String {
    format!(
        r#"{{"type":"ADDED","object":{{"kind":"Node","apiVersion":"v1","metadata":{{"name":"node-{number}","uid":"{own}","resourceVersion":"{version}","labels":{{"beta.kubernetes.io/arch":"amd64","beta.kubernetes.io/os":"linux","kubernetes.io/arch":"amd64","kubernetes.io/hostname":"node-{number}","kubernetes.io/os":"linux","node.kubernetes.io/instance-type":"m5.large","topology.hostpath.csi/node":"node-{number}","topology.kubernetes.io/region":"region-1","topology.kubernetes.io/zone":"zone-{zone}"}},"annotations":{{"node.alpha.kubernetes.io/ttl":"0"}},"managedFields":{fields}}},"spec":{{"podCIDR":"10.0.0.0/24"}},"status":{{"capacity":{{"cpu":"8","memory":"32Gi"}},"conditions":[{{"type":"Ready","status":"True"}}],"images":[{{"names":["registry.k8s.io/pause:3.10"],"sizeBytes":320448}}]}}}}}}"#,
        own = uid(6, number),
        version = 1_000_000 + number,
        zone = number % 3,
        fields = managed_fields(r#""f:podCIDR":{}"#),
    )
}
