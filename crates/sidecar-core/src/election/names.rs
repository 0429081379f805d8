//! Names of Leases, holders and namespaces (sheet `common-library`, 5.3).
//!
//! A lease name is contract: two sidecars exclude each other only if they agree on it.

/// The longest name that the API server takes.
const LONGEST_NAME: usize = 253;

/// Where a pod finds the namespace that it runs in.
const SERVICE_ACCOUNT_NAMESPACE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

/// Lock name of csi-provisioner: the driver's name alone.
pub fn provisioner(driver: &str) -> String {
    driver.replace('/', "-")
}

/// Lock name of csi-attacher.
pub fn attacher(driver: &str) -> String {
    format!("external-attacher-leader-{driver}")
}

/// Lock name of csi-resizer, which sanitises the driver's name by itself.
pub fn resizer(driver: &str) -> String {
    format!("external-resizer-{}", sanitize(driver))
}

/// Lock name of csi-snapshotter.
pub fn snapshotter(driver: &str) -> String {
    format!("external-snapshotter-leader-{}", driver.replace('/', "-"))
}

/// Lock name of snapshot-controller, which belongs to no driver.
pub fn snapshot_controller() -> String {
    "snapshot-controller-leader".to_owned()
}

/// Upstream's sanitising: everything but ASCII letters, digits and dashes becomes a dash, and a name must not end in one.
pub fn sanitize(name: &str) -> String {
    let mut clean: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '-' }).collect();
    if clean.ends_with('-') {
        clean.push('X');
    }
    clean
}

/// The name of the Lease for a lock name.
///
/// Upstream's name wherever the API server accepts that one. Where it does not (upper case, the `X` that sanitising
/// appends, a leading dash, too long), upstream never gets to lead; ours makes the name valid instead.
pub fn lease_name(lock_name: &str) -> String {
    let mut name = sanitize(lock_name).to_ascii_lowercase();
    if !name.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        name.insert(0, 'x');
    }
    name.truncate(LONGEST_NAME);
    name.truncate(name.trim_end_matches('-').len());
    name
}

/// The Lease's namespace: the flag, else `POD_NAMESPACE`, else the service account's, else `default`.
///
/// Empty values count as absent.
pub fn lease_namespace(flag: &str, pod_namespace: Option<&str>, service_account: Option<&str>) -> String {
    [Some(flag), pod_namespace, service_account.map(str::trim)]
        .into_iter()
        .flatten()
        .find(|candidate| !candidate.is_empty())
        .unwrap_or("default")
        .to_owned()
}

/// The namespace of the service account that this pod runs as, if this is a pod.
pub fn service_account_namespace() -> Option<String> {
    std::fs::read_to_string(SERVICE_ACCOUNT_NAMESPACE).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lease_name_test_driver_and_special_characters() {
        let rows = [
            ("test-driver", "test-driver"),
            ("test!driver/foo", "test-driver-foo"),
            ("driver\\", "driver-X"),
        ];
        for (name, expected) in rows {
            assert_eq!(sanitize(name), expected);
        }
    }

    #[test]
    fn lease_names_of_the_sidecars_are_upstreams() {
        let driver = "hostpath.csi.k8s.io";
        let rows = [
            (provisioner(driver), "hostpath-csi-k8s-io"),
            (attacher(driver), "external-attacher-leader-hostpath-csi-k8s-io"),
            (resizer(driver), "external-resizer-hostpath-csi-k8s-io"),
            (snapshotter(driver), "external-snapshotter-leader-hostpath-csi-k8s-io"),
            (snapshot_controller(), "snapshot-controller-leader"),
        ];
        for (lock, lease) in rows {
            assert_eq!(lease_name(&lock), lease);
        }
        assert_eq!(provisioner("example.com/driver"), "example.com-driver");
        assert_eq!(snapshotter("example.com/driver"), "external-snapshotter-leader-example.com-driver");
    }

    #[test]
    fn names_that_the_api_server_would_reject_are_made_valid() {
        assert_eq!(lease_name("Driver.Example"), "driver-example");
        assert_eq!(lease_name("driver\\"), "driver-x");
        assert_eq!(lease_name(".driver"), "x-driver");
        assert_eq!(lease_name(""), "x");
        let long = lease_name(&format!("{}-{}", "a".repeat(252), "b".repeat(50)));
        assert_eq!(long, "a".repeat(252), "cut, and not left with a dash at its end");
    }

    #[test]
    fn namespace_comes_from_flag_then_variable_then_service_account_then_default() {
        assert_eq!(lease_namespace("flag", Some("pod"), Some("account")), "flag");
        assert_eq!(lease_namespace("", Some("pod"), Some("account")), "pod");
        assert_eq!(lease_namespace("", Some(""), Some(" account\n")), "account");
        assert_eq!(lease_namespace("", None, Some("\n")), "default");
        assert_eq!(lease_namespace("", None, None), "default");
    }
}
