//! Where everything is, and the bytes of it. Numbers on the disk are little-endian, in the journal big-endian.

use crate::filesystem::Identity;

pub(super) const BLOCK: u64 = 4096;
const BLOCK_SIZE: usize = 4096;
const BLOCKS_PER_GROUP: u64 = 32768;
const INODE_SIZE: u64 = 256;
const INODES_PER_BLOCK: u32 = 16;
/// One inode for so many blocks: 16 KiB, as mke2fs has it.
const BLOCKS_PER_INODE: u64 = 4;
const FEWEST_INODES: u32 = 256;
const MOST_INODES: u32 = 8192;
const DESCRIPTOR_SIZE: usize = 32;
/// Groups whose descriptors share a block.
const GROUPS_PER_META: u64 = 128;
/// Blocks that a last group must have beyond its tables; the kernel wants some room as well.
const LEAST_ROOM: u64 = 64;
/// Blocks beyond 32 bits would need another layout.
const MOST_BLOCKS: u64 = u32::MAX as u64;

const ROOT_INODE: u32 = 2;
const JOURNAL_INODE: u32 = 8;
const LOST_FOUND_INODE: u32 = 11;
/// Inodes 1 to 10 are the filesystem's own, 11 is `lost+found`.
const USED_INODES: u32 = 11;

const HAS_JOURNAL: u32 = 0x4;
const EXT_ATTR: u32 = 0x8;
const DIR_INDEX: u32 = 0x20;
const FILETYPE: u32 = 0x2;
const META_BG: u32 = 0x10;
const EXTENTS: u32 = 0x40;
/// sparse_super, large_file, huge_file, dir_nlink, extra_isize
const READ_ONLY_FEATURES: u32 = 0x1 | 0x2 | 0x8 | 0x20 | 0x40;

/// Writes numbers at fixed offsets of a block.
struct Bytes(Vec<u8>);

impl Bytes {
    fn block() -> Self {
        Self(vec![0; BLOCK_SIZE])
    }

    fn put(&mut self, offset: usize, bytes: &[u8]) {
        for (to, from) in self.0.iter_mut().skip(offset).zip(bytes) {
            *to = *from;
        }
    }

    fn u16(&mut self, offset: usize, value: u16) {
        self.put(offset, &value.to_le_bytes());
    }

    fn u32(&mut self, offset: usize, value: u32) {
        self.put(offset, &value.to_le_bytes());
    }

    /// Sets the bits from `from` up to, but not including, `to`.
    fn bits(&mut self, from: u64, to: u64) {
        for bit in from..to.min(BLOCK * 8) {
            let index = usize::try_from(bit / 8).unwrap_or(usize::MAX);
            if let Some(byte) = self.0.get_mut(index) {
                *byte |= 1 << (bit % 8);
            }
        }
    }
}

/// Numbers of blocks are below 2^32, see [`MOST_BLOCKS`].
fn low(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

fn low16(value: u64) -> u16 {
    u16::try_from(value).unwrap_or(u16::MAX)
}

/// Groups 0, 1 and the powers of 3, 5 and 7 hold copies of the superblock.
fn has_superblock(group: u64) -> bool {
    let power_of = |base: u64| {
        let mut power = base;
        while power < group {
            power *= base;
        }
        power == group
    };
    group <= 1 || power_of(3) || power_of(5) || power_of(7)
}

/// The first, the second and the last group of every 128 hold the descriptors of them all.
fn has_descriptors(group: u64) -> bool {
    matches!(group % GROUPS_PER_META, 0 | 1 | 127)
}

fn table_blocks(inodes_per_group: u32) -> u64 {
    u64::from(inodes_per_group / INODES_PER_BLOCK)
}

/// Blocks of a group before its data.
fn overhead(group: u64, inodes_per_group: u32) -> u64 {
    u64::from(has_superblock(group)) + u64::from(has_descriptors(group)) + 2 + table_blocks(inodes_per_group)
}

fn number(superblock: &[u8], offset: usize) -> Option<u32> {
    let bytes = superblock.get(offset..offset + 4)?;
    bytes.try_into().ok().map(u32::from_le_bytes)
}

/// Blocks of the filesystem with this superblock; never more than [`MOST_BLOCKS`], so that one number holds them.
pub(super) fn blocks(superblock: &[u8]) -> Option<u64> {
    number(superblock, 0x4).map(u64::from)
}

/// Inodes per group of a filesystem with this superblock, if it is one that [`Layout`] could have made.
pub(super) fn inodes_per_group(superblock: &[u8]) -> Option<u32> {
    let number = |offset| number(superblock, offset);
    let ext4 = superblock.get(0x38..0x3A)? == 0xEF53_u16.to_le_bytes();
    let same = ext4 && number(0x18)? == 2 && number(0x60)? & META_BG != 0;
    number(0x28).filter(|_| same)
}

/// See [`super::missing_blocks`].
pub(super) fn usable(blocks: u64, inodes_per_group: u32) -> u64 {
    let blocks = blocks.min(MOST_BLOCKS);
    let rest = blocks % BLOCKS_PER_GROUP;
    let last = blocks / BLOCKS_PER_GROUP;
    if rest > 0 && last > 0 && rest < overhead(last, inodes_per_group) + LEAST_ROOM {
        blocks - rest
    } else {
        blocks
    }
}

/// As e2fsprogs does it.
fn journal_blocks(blocks: u64) -> u64 {
    match blocks {
        0..2048 => 0,
        2048..32_768 => 1024,
        32_768..262_144 => 4096,
        262_144..524_288 => 8192,
        _ => 16_384,
    }
}

/// A filesystem to be.
pub(super) struct Layout {
    blocks: u64,
    inodes_per_group: u32,
    journal: u64,
}

impl Layout {
    /// `None`: it would be too small or too large.
    pub(super) fn plan(bytes: u64) -> Option<Self> {
        let blocks = bytes / BLOCK;
        if bytes < super::SMALLEST || blocks > MOST_BLOCKS {
            return None;
        }
        let wanted = low(blocks.min(BLOCKS_PER_GROUP) / BLOCKS_PER_INODE);
        let inodes_per_group = wanted.next_multiple_of(INODES_PER_BLOCK).clamp(FEWEST_INODES, MOST_INODES);
        let blocks = usable(blocks, inodes_per_group);
        Some(Self { blocks, inodes_per_group, journal: journal_blocks(blocks) })
    }

    fn groups(&self) -> u64 {
        self.blocks.div_ceil(BLOCKS_PER_GROUP)
    }

    fn blocks_in(&self, group: u64) -> u64 {
        (self.blocks - group * BLOCKS_PER_GROUP).min(BLOCKS_PER_GROUP)
    }

    /// The first block after the superblock and the descriptors: the block bitmap; then the inode bitmap and the table.
    fn bitmaps(group: u64) -> u64 {
        group * BLOCKS_PER_GROUP + u64::from(has_superblock(group)) + u64::from(has_descriptors(group))
    }

    /// The first data block of group 0: the root directory, then `lost+found`, then the journal.
    fn data(&self) -> u64 {
        overhead(0, self.inodes_per_group)
    }

    fn used_in(&self, group: u64) -> u64 {
        let content = if group == 0 { 2 + self.journal } else { 0 };
        overhead(group, self.inodes_per_group) + content
    }

    fn used_inodes(group: u64) -> u32 {
        if group == 0 { USED_INODES } else { 0 }
    }

    /// The blocks that are not all zero, in no particular order.
    pub(super) fn write<'a>(&'a self, identity: &'a Identity) -> impl Iterator<Item = (u64, Vec<u8>)> + 'a {
        let groups = (0..self.groups()).flat_map(move |group| self.group(group, identity));
        groups.chain(self.first_group(identity))
    }

    fn group(&self, group: u64, identity: &Identity) -> Vec<(u64, Vec<u8>)> {
        let first = group * BLOCKS_PER_GROUP;
        let mut blocks = Vec::new();
        if has_superblock(group) {
            blocks.push((first, self.superblock(group, identity)));
        }
        if has_descriptors(group) {
            blocks
                .push((first + u64::from(has_superblock(group)), self.descriptors(group / GROUPS_PER_META)));
        }
        let mut used = Bytes::block();
        used.bits(0, self.used_in(group));
        used.bits(self.blocks_in(group), BLOCKS_PER_GROUP);
        blocks.push((Self::bitmaps(group), used.0));
        let mut inodes = Bytes::block();
        inodes.bits(0, Self::used_inodes(group).into());
        inodes.bits(self.inodes_per_group.into(), BLOCK * 8);
        blocks.push((Self::bitmaps(group) + 1, inodes.0));
        blocks
    }

    fn descriptors(&self, meta: u64) -> Vec<u8> {
        let mut block = Bytes::block();
        let groups = (meta * GROUPS_PER_META..self.groups()).take(BLOCK_SIZE / DESCRIPTOR_SIZE);
        for (index, group) in groups.enumerate() {
            let at = index * DESCRIPTOR_SIZE;
            let bitmaps = Self::bitmaps(group);
            block.u32(at, low(bitmaps));
            block.u32(at + 4, low(bitmaps + 1));
            block.u32(at + 8, low(bitmaps + 2));
            block.u16(at + 0xC, low16(self.blocks_in(group) - self.used_in(group)));
            block.u16(at + 0xE, low16((self.inodes_per_group - Self::used_inodes(group)).into()));
            block.u16(at + 0x10, if group == 0 { 2 } else { 0 });
        }
        block.0
    }

    /// In group 0 it begins 1024 bytes into the block, behind room for a boot loader.
    fn superblock(&self, group: u64, identity: &Identity) -> Vec<u8> {
        let mut block = Bytes::block();
        let at = if group == 0 { 1024 } else { 0 };
        let groups = self.groups();
        let used: u64 = (0..groups).map(|group| self.used_in(group)).sum();
        let inodes = low(groups).saturating_mul(self.inodes_per_group);
        let journal = if self.journal > 0 { HAS_JOURNAL } else { 0 };
        let numbers = [
            (0x00, inodes),
            (0x04, low(self.blocks)),
            (0x0C, low(self.blocks - used)),
            (0x10, inodes - USED_INODES),
            (0x18, 2),
            (0x1C, 2),
            (0x20, low(BLOCKS_PER_GROUP)),
            (0x24, low(BLOCKS_PER_GROUP)),
            (0x28, self.inodes_per_group),
            (0x30, identity.created),
            (0x40, identity.created),
            (0x4C, 1),
            (0x54, LOST_FOUND_INODE),
            (0x5C, journal | EXT_ATTR | DIR_INDEX),
            (0x60, FILETYPE | META_BG | EXTENTS),
            (0x64, READ_ONLY_FEATURES),
            (0xE0, if self.journal > 0 { JOURNAL_INODE } else { 0 }),
            // Extended attributes and access lists are on.
            (0x100, 0xC),
            (0x108, identity.created),
            // Hashes of names use signed characters.
            (0x160, 1),
        ];
        for (offset, value) in numbers {
            block.u32(at + offset, value);
        }
        let short =
            [(0x36, 0xFFFF), (0x38, 0xEF53), (0x3A, 1), (0x3C, 1), (0x58, 256), (0x15C, 32), (0x15E, 32)];
        for (offset, value) in short {
            block.u16(at + offset, value);
        }
        block.u16(at + 0x5A, low16(group));
        block.put(at + 0x68, &identity.uuid);
        // The seed of the hashes only has to differ between filesystems.
        block.put(at + 0xEC, &identity.uuid);
        block.put(at + 0xFC, &[1]);
        if self.journal > 0 {
            block.put(at + 0xFD, &[1]);
            block.put(at + 0x10C, &extents(self.data() + 2, self.journal));
            block.u32(at + 0x10C + 64, low(self.journal * BLOCK));
        }
        block.0
    }

    /// Inodes, directories and the journal.
    fn first_group(&self, identity: &Identity) -> Vec<(u64, Vec<u8>)> {
        let data = self.data();
        let mut blocks = vec![
            (data, directory(ROOT_INODE, Some(LOST_FOUND_INODE))),
            (data + 1, directory(LOST_FOUND_INODE, None)),
        ];
        let mut table = Bytes::block();
        let mut inode = |number: u32, mode: u16, links: u16, first: u64, count: u64| {
            let at = usize::try_from(u64::from(number - 1) * INODE_SIZE).unwrap_or(usize::MAX);
            table.u16(at, mode);
            table.u32(at + 4, low(count * BLOCK));
            for time in [8, 0xC, 0x10, 0x90] {
                table.u32(at + time, identity.created);
            }
            table.u16(at + 0x1A, links);
            table.u32(at + 0x1C, low(count * (BLOCK / 512)));
            // The blocks are listed as extents.
            table.u32(at + 0x20, 0x8_0000);
            table.put(at + 0x28, &extents(first, count));
            table.u16(at + 0x80, 32);
        };
        inode(ROOT_INODE, 0x4000 | (identity.root_mode & 0o7777), 3, data, 1);
        inode(LOST_FOUND_INODE, 0x4000 | 0o700, 2, data + 1, 1);
        if self.journal > 0 {
            inode(JOURNAL_INODE, 0x8000 | 0o600, 1, data + 2, self.journal);
            blocks.push((data + 2, journal(self.journal, identity)));
        }
        blocks.push((Self::bitmaps(0) + 2, table.0));
        blocks
    }
}

/// One run of blocks, in the form that an inode has room for.
fn extents(first: u64, count: u64) -> [u8; 60] {
    let mut bytes = Bytes(vec![0; 60]);
    bytes.u16(0, 0xF30A);
    bytes.u16(2, 1);
    bytes.u16(4, 4);
    bytes.u16(16, low16(count));
    bytes.u32(20, low(first));
    bytes.0.try_into().unwrap_or([0; 60])
}

/// A directory with `.`, `..` and perhaps `lost+found`. The root is its own parent, and the other one's.
fn directory(own: u32, lost_found: Option<u32>) -> Vec<u8> {
    let mut block = Bytes::block();
    let mut entries = vec![(own, "."), (ROOT_INODE, "..")];
    entries.extend(lost_found.map(|inode| (inode, "lost+found")));
    let mut at = 0;
    let last = entries.len() - 1;
    for (index, (inode, name)) in entries.into_iter().enumerate() {
        let length = if index == last { BLOCK_SIZE - at } else { (8 + name.len()).next_multiple_of(4) };
        block.u32(at, inode);
        block.u16(at + 4, low16(length as u64));
        // Length of the name, and 2 for a directory.
        block.put(at + 6, &[u8::try_from(name.len()).unwrap_or_default(), 2]);
        block.put(at + 8, name.as_bytes());
        at += length;
    }
    block.0
}

/// The superblock of an empty journal.
fn journal(blocks: u64, identity: &Identity) -> Vec<u8> {
    let mut block = Bytes::block();
    let numbers: [(usize, u32); 6] =
        [(0, 0xC03B_3998), (4, 4), (0xC, low(BLOCK)), (0x10, low(blocks)), (0x14, 1), (0x18, 1)];
    for (offset, value) in numbers {
        block.put(offset, &value.to_be_bytes());
    }
    block.put(0x30, &identity.uuid);
    block.put(0x40, &1_u32.to_be_bytes());
    block.0
}
