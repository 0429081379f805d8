//! The rows of the sheet's section 10 about block metadata.

use std::io::Write as _;

use super::*;

/// Images of so many blocks; those listed hold another content than the rest.
fn image(blocks: u64, base: u8, changed: &[u64]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    for block in 0..blocks {
        let byte = if changed.contains(&block) { 0xEE } else { base };
        file.write_all(&[byte; BLOCK_SIZE]).unwrap();
    }
    file
}

/// Pages of (first block, number of blocks).
fn pages(target: File, base: Option<File>, offset: u64, most: usize, merge: bool) -> Vec<Vec<(i64, i64)>> {
    let mut found = Vec::new();
    let send = |page: Vec<csi::BlockMetadata>| {
        found.push(page.iter().map(|part| (part.byte_offset / 4096, part.size_bytes / 4096)).collect());
        Ok(())
    };
    let pages = Pages { page: Vec::new(), most, merge, send };
    let source = Source { target, base, capacity: 0, offset: offset * BLOCK, most };
    source.report(pages).unwrap();
    found
}

fn delta(changed: &[u64], offset: u64, most: usize, merge: bool) -> Vec<Vec<(i64, i64)>> {
    pages(image(100, 1, changed), Some(image(100, 1, &[])), offset, most, merge)
}

fn single(blocks: &[i64]) -> Vec<(i64, i64)> {
    blocks.iter().map(|block| (*block, 1)).collect()
}

#[test]
fn delta_100_vs_100_blocks_changed_2_4_7_30_70_max_100() {
    assert_eq!(delta(&[2, 4, 7, 30, 70], 0, 100, false), [single(&[2, 4, 7, 30, 70])]);
}

#[test]
fn delta_7_changed_max_3() {
    let found = delta(&[2, 4, 7, 10, 13, 30, 70], 0, 3, false);
    assert_eq!(found, [single(&[2, 4, 7]), single(&[10, 13, 30]), single(&[70])]);
}

#[test]
fn delta_offset_9_blocks() {
    assert_eq!(delta(&[2, 4, 7, 9, 30, 70], 9, 100, false), [single(&[9, 30, 70])]);
}

#[test]
fn delta_no_change() {
    assert!(delta(&[], 0, 100, false).is_empty());
}

#[test]
fn delta_base_95_and_target_100_blocks_70_changed() {
    let found = pages(image(100, 1, &[70]), Some(image(95, 1, &[])), 0, 100, false);
    assert_eq!(found, [single(&[70, 95, 96, 97, 98, 99])]);
}

#[test]
fn delta_base_100_and_target_95_blocks_70_and_97_of_the_target_rewritten() {
    let mut target = image(95, 1, &[70]);
    target.seek(SeekFrom::Start(97 * BLOCK)).unwrap();
    target.write_all(&[0xEE; BLOCK_SIZE]).unwrap();
    let found = pages(target, Some(image(100, 1, &[])), 0, 100, false);
    assert_eq!(found, [single(&[70, 95, 96, 97, 98, 99])]);
}

#[test]
fn delta_variable_changed_3_to_7_47_to_49_51() {
    let found = delta(&[3, 4, 5, 6, 7, 47, 48, 49, 51], 0, 100, true);
    assert_eq!(found, [[(3, 5), (47, 3), (51, 1)]]);
}

#[test]
fn delta_variable_offset_9_changed_10_13_14_30_65_max_3() {
    let found = delta(&[10, 13, 14, 30, 65], 9, 3, true);
    assert_eq!(found, [vec![(10, 1), (13, 2), (30, 1)], vec![(65, 1)]]);
}

#[test]
fn allocated_5_of_5_blocks_non_zero_10_blocks_max_3_offset_4_of_10() {
    assert_eq!(pages(image(5, 1, &[]), None, 0, 100, false), [single(&[0, 1, 2, 3, 4])]);
    let paged = pages(image(10, 1, &[]), None, 0, 3, false);
    assert_eq!(paged, [single(&[0, 1, 2]), single(&[3, 4, 5]), single(&[6, 7, 8]), single(&[9])]);
    assert_eq!(pages(image(10, 1, &[]), None, 4, 100, false), [single(&[4, 5, 6, 7, 8, 9])]);
    assert_eq!(pages(image(10, 0, &[3]), None, 0, 100, false), [single(&[3])]);
}

#[test]
fn allocated_variable_5_blocks_offset_4_of_10() {
    assert_eq!(pages(image(5, 1, &[]), None, 0, 100, true), [[(0, 5)]]);
    assert_eq!(pages(image(10, 1, &[]), None, 4, 100, true), [[(4, 6)]]);
}

#[test]
fn negative_max_results_and_offsets_out_of_range() {
    assert_eq!(results(-1).unwrap_err().code(), tonic::Code::InvalidArgument);
    assert_eq!(results(0).unwrap(), 256);
    assert_eq!(offset(-1, 10).unwrap_err().code(), tonic::Code::OutOfRange);
    assert_eq!(offset(11, 10).unwrap_err().code(), tonic::Code::OutOfRange);
    assert_eq!(offset(10, 10).unwrap(), 10);
}
