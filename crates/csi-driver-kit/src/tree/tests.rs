use std::os::unix::fs::{FileExt as _, FileTypeExt as _, MetadataExt as _, PermissionsExt as _, symlink};
use std::process::Command;

use super::*;

/// A tree with one of everything.
fn make(root: &Path) {
    let long = "n".repeat(200);
    std::fs::create_dir_all(root.join("a/b")).unwrap();
    std::fs::create_dir(root.join("empty")).unwrap();
    std::fs::write(root.join("a/file"), "hello").unwrap();
    std::fs::write(root.join("a").join(&long), "long").unwrap();
    std::fs::hard_link(root.join("a/file"), root.join("a/b/same")).unwrap();
    symlink("../nowhere", root.join("a/link")).unwrap();
    symlink("/".repeat(150), root.join("long-link")).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, root.join("fifo"), rustix::fs::FileType::Fifo, Mode::RWXU, 0)
        .unwrap();
    let null = rustix::fs::makedev(1, 3);
    let device = rustix::fs::FileType::CharacterDevice;
    rustix::fs::mknodat(rustix::fs::CWD, root.join("null"), device, Mode::RWXU, null).unwrap();
    let sparse = File::create(root.join("sparse")).unwrap();
    sparse.set_len(64 << 20).unwrap();
    sparse.write_all_at(b"end", 40 << 20).unwrap();
    std::os::unix::fs::chown(root.join("a/file"), Some(1234), Some(5678)).unwrap();
    std::fs::set_permissions(root.join("a/file"), std::fs::Permissions::from_mode(0o4711)).unwrap();
    std::fs::set_permissions(root.join("empty"), std::fs::Permissions::from_mode(0o1777)).unwrap();
    let time = std::time::UNIX_EPOCH + std::time::Duration::new(1_600_000_000, 123_456_789);
    File::open(root.join("a/file")).unwrap().set_modified(time).unwrap();
    let file = File::open(root.join("a/file")).unwrap();
    rustix::fs::fsetxattr(&file, "user.colour", b"b\0lue", rustix::fs::XattrFlags::empty()).unwrap();
}

/// Whether everything is there that [`make`] made.
#[track_caller]
fn check(root: &Path, exact: bool) {
    let metadata = std::fs::metadata(root.join("a/file")).unwrap();
    assert_eq!(std::fs::read_to_string(root.join("a/b/same")).unwrap(), "hello");
    assert_eq!(std::fs::metadata(root.join("a/b/same")).unwrap().ino(), metadata.ino());
    assert_eq!((metadata.uid(), metadata.gid(), metadata.mode() & 0o7777), (1234, 5678, 0o4711));
    assert_eq!(metadata.mtime(), 1_600_000_000);
    if exact {
        assert_eq!(metadata.mtime_nsec(), 123_456_789);
        let file = File::open(root.join("a/file")).unwrap();
        let mut value = [0; 16];
        let length = rustix::fs::fgetxattr(&file, "user.colour", &mut value).unwrap();
        assert_eq!(&value[..length], b"b\0lue");
    }
    assert_eq!(std::fs::read_to_string(root.join("a").join("n".repeat(200))).unwrap(), "long");
    assert_eq!(std::fs::read_link(root.join("a/link")).unwrap(), Path::new("../nowhere"));
    assert_eq!(std::fs::read_link(root.join("long-link")).unwrap().as_os_str().len(), 150);
    assert_eq!(std::fs::metadata(root.join("empty")).unwrap().mode() & 0o7777, 0o1777);
    assert_eq!(std::fs::metadata(root.join("null")).unwrap().rdev(), rustix::fs::makedev(1, 3));
    assert!(std::fs::metadata(root.join("fifo")).unwrap().file_type().is_fifo());
    let sparse = std::fs::metadata(root.join("sparse")).unwrap();
    assert_eq!(sparse.len(), 64 << 20);
    assert!(!exact || sparse.blocks() * 512 < 1 << 20, "holes stay holes");
    let mut end = [0; 3];
    File::open(root.join("sparse")).unwrap().read_exact_at(&mut end, 40 << 20).unwrap();
    assert_eq!(&end, b"end");
}

fn directories() -> (tempfile::TempDir, PathBuf, PathBuf) {
    let place = tempfile::tempdir().unwrap();
    let (from, to) = (place.path().join("from"), place.path().join("to"));
    std::fs::create_dir(&from).unwrap();
    std::fs::create_dir(&to).unwrap();
    (place, from, to)
}

#[test]
fn a_copy_has_everything() {
    let (_place, from, to) = directories();
    make(&from);
    copy(&from, &to).unwrap();
    check(&to, true);
}

#[test]
fn an_archive_has_everything_and_is_one_for_tar_as_well() {
    let (place, from, to) = directories();
    make(&from);
    let path = place.path().join("archive.snap");
    archive::pack(&from, &path, false).unwrap();
    assert!(archive::is_archive(&path).unwrap());
    archive::unpack(&path, &to).unwrap();
    check(&to, true);
    let by_tar = place.path().join("by-tar");
    std::fs::create_dir(&by_tar).unwrap();
    let done = Command::new("tar").args(["-x", "-z", "-p", "-f"]).arg(&path).arg("-C").arg(&by_tar).status();
    match done {
        Ok(status) => {
            assert!(status.success());
            check(&by_tar, false);
        }
        Err(error) => println!("tar cannot be asked: {error}"),
    }
}

#[test]
fn an_archive_by_tar_is_read() {
    let (place, from, to) = directories();
    make(&from);
    let path = place.path().join("archive.snap");
    let done = Command::new("tar").args(["-c", "-z", "-f"]).arg(&path).arg("-C").arg(&from).arg(".").status();
    let Ok(status) = done else {
        println!("tar cannot be asked");
        return;
    };
    assert!(status.success());
    archive::unpack(&path, &to).unwrap();
    check(&to, false);
}

#[test]
fn no_archive_leads_out_of_its_directory() {
    let (place, _, to) = directories();
    let outside = place.path().join("outside");
    std::fs::create_dir(&outside).unwrap();
    let path = place.path().join("archive.snap");
    for evil in [b"../outside/file".as_slice(), b"/outside/file", b"way/file"] {
        let file = File::create(&path).unwrap();
        let encoder = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
        let mut builder = tar::Builder::new(encoder);
        let mut link = tar::Header::new_gnu();
        link.set_entry_type(tar::EntryType::Symlink);
        link.set_size(0);
        builder.append_link(&mut link, "way", &outside).unwrap();
        let mut header = tar::Header::new_gnu();
        header.as_gnu_mut().unwrap().name[..evil.len()].copy_from_slice(evil);
        header.set_size(1);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_entry_type(tar::EntryType::Regular);
        header.set_cksum();
        builder.append(&header, b"x".as_slice()).unwrap();
        builder.into_inner().unwrap().finish().unwrap();
        archive::unpack(&path, &to).unwrap_err();
        assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0);
        let _ = std::fs::remove_file(to.join("way"));
    }
}

#[test]
fn a_broken_archive_is_an_error() {
    let (place, from, to) = directories();
    std::fs::write(from.join("file"), vec![7; 100_000]).unwrap();
    let path = place.path().join("archive.snap");
    archive::pack(&from, &path, false).unwrap();
    let content = std::fs::read(&path).unwrap();
    std::fs::write(&path, &content[..content.len() / 2]).unwrap();
    archive::unpack(&path, &to).unwrap_err();
    archive::pack(&from, &path, false).unwrap_err();
}

/// What a walk visits while somebody else is at work: names with their kinds and, of files, what is read.
fn visited(
    root: &Path,
    tolerant: bool,
    opening: &mut walk::Opening<'_>,
) -> std::collections::BTreeMap<PathBuf, (Kind, String)> {
    let mut visited = std::collections::BTreeMap::new();
    walk::walk_watched(root, tolerant, opening, &mut |entry, file| {
        let content = file.map_or(Ok(String::new()), std::io::read_to_string).unwrap();
        visited.insert(entry.path, (entry.kind, content));
        Ok(())
    })
    .unwrap();
    visited
}

#[test]
fn a_file_that_is_replaced_meanwhile_is_the_old_or_the_new_one() {
    let (place, root, _) = directories();
    std::fs::write(root.join("file"), "old").unwrap();
    let new = place.path().join("new");
    std::fs::write(&new, "newer and longer").unwrap();
    let mut times = 0;
    let visited = visited(&root, false, &mut |path| {
        if path == Path::new("file") {
            times += 1;
            std::fs::rename(&new, root.join("file")).unwrap();
        }
        Ok(())
    });
    assert_eq!(times, 1);
    assert_eq!(visited[Path::new("file")], (Kind::File(3), "old".into()));
}

#[test]
fn a_file_that_becomes_a_pipe_meanwhile_is_still_read() {
    let (_place, root, _) = directories();
    std::fs::write(root.join("file"), "content").unwrap();
    let visited = visited(&root, false, &mut |path| {
        if path == Path::new("file") {
            std::fs::remove_file(root.join(path)).unwrap();
            let kind = rustix::fs::FileType::Fifo;
            rustix::fs::mknodat(rustix::fs::CWD, root.join(path), kind, Mode::RWXU, 0).unwrap();
        }
        Ok(())
    });
    assert_eq!(visited[Path::new("file")], (Kind::File(7), "content".into()));
}

#[test]
fn another_name_refers_only_to_one_that_was_visited() {
    let (_place, root, _) = directories();
    let content = |kind: Kind| (kind, "content".to_owned());
    for (tolerant, outcome) in [(false, Ok(())), (true, Err(Errno::IO))] {
        std::fs::write(root.join("first"), "content").unwrap();
        for name in ["second", "third"] {
            std::fs::hard_link(root.join("first"), root.join(name)).unwrap();
        }
        let visited = visited(&root, tolerant, &mut |path| {
            if path != Path::new("first") {
                return Ok(());
            }
            std::fs::remove_file(root.join(path)).unwrap();
            outcome
        });
        let names: Vec<_> = visited.keys().map(PathBuf::as_path).collect();
        if tolerant {
            assert_eq!(names, ["", "second", "third"].map(Path::new));
            assert_eq!(visited[Path::new("second")], content(Kind::File(7)));
        } else {
            assert_eq!(names, ["", "first", "second", "third"].map(Path::new));
            assert_eq!(visited[Path::new("first")], content(Kind::File(7)));
        }
        for (kind, _) in visited.values() {
            assert!(!matches!(kind, Kind::SameAs(other) if !visited.contains_key(other)), "{visited:?}");
        }
        for name in ["second", "third"] {
            std::fs::remove_file(root.join(name)).unwrap();
        }
    }
}

#[test]
fn a_root_that_cannot_be_read_is_an_error_however_tolerant() {
    let (_place, root, _) = directories();
    let error = walk::walk_watched(&root, true, &mut |_| Err(Errno::NOENT), &mut |_, _| Ok(())).unwrap_err();
    assert_eq!(error.errno, Errno::NOENT);
}

#[test]
fn copies_of_files_keep_a_longer_target() {
    let place = tempfile::tempdir().unwrap();
    let (from, to) = (place.path().join("from"), place.path().join("to"));
    std::fs::write(&from, "short").unwrap();
    let target = File::options().read(true).write(true).create_new(true).open(&to).unwrap();
    target.set_len(10_000).unwrap();
    copy_file(&File::open(&from).unwrap(), &target, &to).unwrap();
    let content = std::fs::read(&to).unwrap();
    assert_eq!(content.len(), 10_000);
    assert!(content.starts_with(b"short\0"));
}
