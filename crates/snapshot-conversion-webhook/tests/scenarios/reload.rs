//! Certificates that are renewed.

use std::time::Duration;

use crate::client::connect;
use crate::stand::{Certificate, Folder, Stand, certificate};

const LIMIT: Duration = Duration::from_secs(20);

/// Waits until the webhook shows a certificate of this authority.
async fn shows(stand: &Stand, wanted: &Certificate) {
    let tried = async {
        while connect(stand.port, &wanted.authority, "http/1.1").await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(LIMIT, tried).await.expect("the new certificate is shown in time");
}

#[tokio::test]
async fn the_certificate_is_reloaded_five_times() {
    let first = certificate();
    let folder = Folder::new(&first);
    let stand = Stand::start(&folder).await;
    shows(&stand, &first).await;
    for _ in 0..5 {
        let next = certificate();
        folder.write(&next.chain, &next.key);
        shows(&stand, &next).await;
    }
    assert!(connect(stand.port, &first.authority, "http/1.1").await.is_err(), "the first one is gone");
    stand.stop().await;
}

/// Kubelet's way with a mounted Secret: what is read are links to a folder that is swapped.
#[tokio::test]
async fn a_swapped_folder_is_seen() {
    let (first, second) = (certificate(), certificate());
    let folder = Folder::new(&first);
    let at = |name: &str| folder.path().join(name);
    for (name, content) in [("old", &first), ("new", &second)] {
        std::fs::create_dir(at(name)).unwrap();
        std::fs::write(at(name).join("tls.crt"), &content.chain).unwrap();
        std::fs::write(at(name).join("tls.key"), &content.key).unwrap();
    }
    std::os::unix::fs::symlink("old", at("..data")).unwrap();
    for file in ["tls.crt", "tls.key"] {
        std::fs::remove_file(at(file)).unwrap();
        std::os::unix::fs::symlink(format!("..data/{file}"), at(file)).unwrap();
    }
    let stand = Stand::start(&folder).await;
    shows(&stand, &first).await;
    std::os::unix::fs::symlink("new", at("..tmp")).unwrap();
    std::fs::rename(at("..tmp"), at("..data")).unwrap();
    std::fs::remove_dir_all(at("old")).unwrap();
    shows(&stand, &second).await;
    stand.stop().await;
}
