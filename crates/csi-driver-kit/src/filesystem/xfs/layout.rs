//! Where everything is, and the bytes of it. Numbers are big-endian, checksums little-endian CRC-32C.

use crate::filesystem::Identity;

pub(super) const SECTOR: u64 = 512;
pub(super) const BLOCK: u64 = 4096;
const SECTORS_PER_BLOCK: u64 = BLOCK / SECTOR;
const SECTOR_SIZE: usize = 512;
const BLOCK_SIZE: usize = 4096;

/// Blocks of an allocation group: 16 MiB to just under 1 TiB.
const LEAST_GROUP: u64 = 4096;
const MOST_GROUP: u64 = (1 << 28) - 1;
/// mkfs makes four groups where there is room.
const GROUPS: u64 = 4;
/// Blocks that a last group must have to be one (the kernel's XFS_MIN_AG_BLOCKS).
const LEAST_LAST_GROUP: u64 = 64;
/// Numbers of blocks and groups that surely fit.
const MOST_BLOCKS: u64 = 1 << 40;

/// Every group: a block of four headers, then the roots of the B-trees of free space by place, by size, and of inodes.
const BY_PLACE: u64 = 1;
const BY_SIZE: u64 = 2;
const INODES: u64 = 3;
/// Blocks 4 to 7 are kept for the B-trees to grow.
const KEPT: u64 = 4;
const KEPT_BLOCKS: u64 = 4;
/// The inodes are in blocks 8 to 15 of group 0.
const CHUNK: u64 = 8;
const INODES_PER_BLOCK: u64 = 8;
const INODES_IN_CHUNK: u64 = 64;
const ROOT: u64 = CHUNK * INODES_PER_BLOCK;
/// The root directory and the two inodes of the real-time section, which is not there.
const USED_INODES: u64 = 3;

/// Of all room, so much may go to inodes.
pub(super) const INODES_PERCENT: u8 = 25;

const NOWHERE: u32 = u32::MAX;

/// Writes numbers at fixed offsets.
struct Bytes(Vec<u8>);

impl Bytes {
    fn sector() -> Self {
        Self(vec![0; SECTOR_SIZE])
    }

    fn block() -> Self {
        Self(vec![0; BLOCK_SIZE])
    }

    fn put(&mut self, offset: usize, bytes: &[u8]) {
        for (to, from) in self.0.iter_mut().skip(offset).zip(bytes) {
            *to = *from;
        }
    }

    fn u16(&mut self, offset: usize, value: u16) {
        self.put(offset, &value.to_be_bytes());
    }

    fn u32(&mut self, offset: usize, value: u32) {
        self.put(offset, &value.to_be_bytes());
    }

    fn u64(&mut self, offset: usize, value: u64) {
        self.put(offset, &value.to_be_bytes());
    }

    fn numbers(&mut self, numbers: &[(usize, u32)]) {
        for (offset, value) in numbers {
            self.u32(*offset, *value);
        }
    }

    /// Puts the checksum of everything at `offset`, which must be zero until then.
    fn sealed(mut self, offset: usize) -> Vec<u8> {
        let sum = crc32c(&self.0);
        self.put(offset, &sum.to_le_bytes());
        self.0
    }
}

/// CRC-32C, a bit at a time: a few dozen blocks are all there is to sum up.
fn crc32c(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0x82F6_3B78 & (crc & 1).wrapping_neg()))
    };
    !bytes.iter().fold(u32::MAX, step)
}

/// Numbers within a group, and of groups, fit into 32 bits, see [`MOST_GROUP`] and [`MOST_BLOCKS`].
fn low(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

/// A filesystem to be.
pub(super) struct Layout {
    blocks: u64,
    group: u64,
    log: u64,
}

impl Layout {
    /// `None`: it would be too small or too large.
    pub(super) fn plan(bytes: u64) -> Option<Self> {
        let blocks = bytes / BLOCK;
        if bytes < super::SMALLEST || blocks > MOST_BLOCKS {
            return None;
        }
        // At least two groups: the checker cannot make sense of one alone.
        let group = blocks.div_ceil(GROUPS).max(LEAST_GROUP.min(blocks / 2)).min(MOST_GROUP);
        let rest = blocks % group;
        let blocks = if rest > 0 && rest < LEAST_LAST_GROUP { blocks - rest } else { blocks };
        // 10 MiB are enough for the kernel, 64 MiB are fast.
        let log = if group < 65_536 { 2560 } else { 16_384 };
        Some(Self { blocks, group, log })
    }

    fn groups(&self) -> u64 {
        self.blocks.div_ceil(self.group)
    }

    fn blocks_in(&self, group: u64) -> u64 {
        (self.blocks - group * self.group).min(self.group)
    }

    /// Blocks at the begin of a group that are taken. The log is in group 1.
    fn used_in(&self, group: u64) -> u64 {
        match group {
            0 => CHUNK + INODES_IN_CHUNK / INODES_PER_BLOCK,
            1 => KEPT + KEPT_BLOCKS + self.log,
            _ => KEPT + KEPT_BLOCKS,
        }
    }

    /// Bits that a block number within a group takes.
    fn group_bits(&self) -> u32 {
        u64::BITS - (self.group - 1).leading_zeros()
    }

    /// Where the log begins, in the form that the filesystem numbers blocks: group and block within.
    fn log_start(&self) -> u64 {
        (1 << self.group_bits()) + KEPT + KEPT_BLOCKS
    }

    /// The sectors that are not all zero: number of the first, and content.
    pub(super) fn write<'a>(&'a self, identity: &'a Identity) -> impl Iterator<Item = (u64, Vec<u8>)> + 'a {
        let groups = (0..self.groups()).flat_map(move |group| self.one_group(group, identity));
        groups.chain(Self::inodes(identity)).chain(self.empty_log(identity))
    }

    fn one_group(&self, group: u64, identity: &Identity) -> [(u64, Vec<u8>); 7] {
        let first = group * self.group * SECTORS_PER_BLOCK;
        let tree = |block: u64, magic: &[u8; 4], record: &[(usize, u32)]| {
            let sector = first + block * SECTORS_PER_BLOCK;
            let mut bytes = Bytes::block();
            bytes.put(0, magic);
            bytes.u16(6, u16::from(!record.is_empty()));
            bytes.numbers(&[(8, NOWHERE), (12, NOWHERE), (48, low(group))]);
            bytes.u64(16, sector);
            bytes.put(32, &identity.uuid);
            bytes.numbers(record);
            (sector, bytes.sealed(52))
        };
        let used = self.used_in(group);
        let free = [(56, low(used)), (60, low(self.blocks_in(group) - used))];
        // One record: the first inode, how many are free, and which (as 64 bits).
        let spare = low(INODES_IN_CHUNK - USED_INODES);
        let chunk = [(56, low(ROOT)), (60, spare), (64, u32::MAX), (68, u32::MAX << USED_INODES)];
        [
            (first, self.superblock(identity)),
            (first + 1, self.free_space(group, identity)),
            (first + 2, self.inode_header(group, identity)),
            (first + 3, kept_blocks(group, identity)),
            tree(BY_PLACE, b"AB3B", &free),
            tree(BY_SIZE, b"AB3C", &free),
            tree(INODES, b"IAB3", if group == 0 { &chunk } else { &[] }),
        ]
    }

    fn superblock(&self, identity: &Identity) -> Vec<u8> {
        let mut bytes = Bytes::sector();
        bytes.put(0, b"XFSB");
        let used: u64 = (0..self.groups()).map(|group| self.used_in(group)).sum();
        // The blocks kept for the B-trees count as free.
        let kept = self.groups() * KEPT_BLOCKS;
        let long = [
            (0x08, self.blocks),
            (0x30, self.log_start()),
            (0x38, ROOT),
            (0x40, ROOT + 1),
            (0x48, ROOT + 2),
            (0x80, INODES_IN_CHUNK),
            (0x88, INODES_IN_CHUNK - USED_INODES),
            (0x90, self.blocks - used + kept),
        ];
        for (offset, value) in long {
            bytes.u64(offset, value);
        }
        let numbers = [
            (0x04, low(BLOCK)),
            (0x50, 1),
            (0x54, low(self.group)),
            (0x58, low(self.groups())),
            (0x60, low(self.log)),
            (0xB4, 4),
            (0xC4, 1),
            // Lazy counters, attributes of version 2, 32-bit project numbers, checksums; twice for old kernels' sake.
            (0xC8, 0x18A),
            (0xCC, 0x18A),
            // Types of files in directories, and times beyond 2038.
            (0xD8, 0x9),
        ];
        bytes.numbers(&numbers);
        for (offset, value) in [(0x64, 0xB4A5), (0x66, 512), (0x68, 512), (0x6A, 8)] {
            bytes.u16(offset, value);
        }
        bytes.put(0x20, &identity.uuid);
        // Logarithms of the sizes above, and the share of inodes in percent.
        let bits = u8::try_from(self.group_bits()).unwrap_or(u8::MAX);
        bytes.put(0x78, &[12, 9, 9, 3, bits]);
        bytes.put(0x7F, &[INODES_PERCENT]);
        bytes.sealed(0xE0)
    }

    fn free_space(&self, group: u64, identity: &Identity) -> Vec<u8> {
        let mut bytes = Bytes::sector();
        bytes.put(0, b"XAGF");
        let free = low(self.blocks_in(group) - self.used_in(group));
        bytes.numbers(&[
            (4, 1),
            (8, low(group)),
            (12, low(self.blocks_in(group))),
            (16, low(BY_PLACE)),
            (20, low(BY_SIZE)),
            (28, 1),
            (32, 1),
            (40, 1),
            (44, low(KEPT_BLOCKS)),
            (48, low(KEPT_BLOCKS)),
            (52, free),
            (56, free),
        ]);
        bytes.put(64, &identity.uuid);
        bytes.sealed(216)
    }

    fn inode_header(&self, group: u64, identity: &Identity) -> Vec<u8> {
        let mut bytes = Bytes::sector();
        bytes.put(0, b"XAGI");
        let (count, free, newest) = match group {
            0 => (low(INODES_IN_CHUNK), low(INODES_IN_CHUNK - USED_INODES), low(ROOT)),
            _ => (0, 0, NOWHERE),
        };
        bytes.numbers(&[
            (4, 1),
            (8, low(group)),
            (12, low(self.blocks_in(group))),
            (16, count),
            (20, low(INODES)),
            (24, 1),
            (28, free),
            (32, newest),
            (36, NOWHERE),
        ]);
        for bucket in 0..64 {
            bytes.u32(40 + 4 * bucket, NOWHERE);
        }
        bytes.put(296, &identity.uuid);
        bytes.sealed(312)
    }

    fn inodes(identity: &Identity) -> impl Iterator<Item = (u64, Vec<u8>)> {
        (0..INODES_IN_CHUNK).map(|index| (CHUNK * SECTORS_PER_BLOCK + index, inode(index, identity)))
    }

    /// One record in the log: that the filesystem was unmounted.
    fn empty_log(&self, identity: &Identity) -> [(u64, Vec<u8>); 2] {
        let first = (self.group + KEPT + KEPT_BLOCKS) * SECTORS_PER_BLOCK;
        let mut header = Bytes::sector();
        header.numbers(&[
            (0, 0xFEED_BABE),
            (4, 1),
            (8, 2),
            (12, 512),
            (16, 1),
            (24, 1),
            (36, NOWHERE),
            (40, 1),
            (44, 0xB0C0_D0D0),
            (300, 1),
            (320, 0x8000),
        ]);
        header.put(304, &identity.uuid);
        // Every sector of a record begins with the number of the round; what was there is in the header.
        let mut record = Bytes::sector();
        record.numbers(&[(0, 1), (4, 8), (8, 0xAA20_0000), (12, 0x6E55_0000)]);
        [(first, header.0), (first + 1, record.0)]
    }
}

/// The list of the blocks kept for the B-trees.
fn kept_blocks(group: u64, identity: &Identity) -> Vec<u8> {
    let mut bytes = Bytes::sector();
    bytes.put(0, b"XAFL");
    bytes.u32(4, low(group));
    bytes.put(8, &identity.uuid);
    for slot in 0..(SECTOR_SIZE - 36) / 4 {
        bytes.u32(36 + 4 * slot, NOWHERE);
    }
    for index in 0..KEPT_BLOCKS {
        let slot = usize::try_from(index + 1).unwrap_or(1);
        bytes.u32(36 + 4 * slot, low(KEPT + index));
    }
    bytes.sealed(32)
}

/// Inodes of the chunk by their place in it: the root directory, two empty files, free ones.
fn inode(index: u64, identity: &Identity) -> Vec<u8> {
    const NEW_ROUND: u64 = 1;
    let mut bytes = Bytes::sector();
    bytes.put(0, b"IN");
    bytes.put(4, &[3, 0]);
    bytes.u32(96, NOWHERE);
    bytes.u64(152, ROOT + index);
    bytes.put(160, &identity.uuid);
    if index >= USED_INODES {
        return bytes.sealed(100);
    }
    // Nanoseconds since the earliest time that the format knows.
    let time = (u64::from(identity.created) + (1 << 31)) * 1_000_000_000;
    for offset in [32, 40, 48, 144] {
        bytes.u64(offset, time);
    }
    // Local content in the root, extents (none) in the others.
    let (mode, format, links) = match index {
        0 => (0x4000 | (identity.root_mode & 0o7777), 1, 2),
        _ => (0x8000, 2, 1),
    };
    bytes.u16(2, mode);
    bytes.put(4, &[3, format]);
    bytes.u32(16, links);
    // Attributes would be in the form of extents.
    bytes.put(83, &[2]);
    bytes.u64(104, NEW_ROUND);
    // Times beyond 2038.
    bytes.u64(120, 0x8);
    if index == 1 {
        // The bitmap of the real-time section is of the newer kind.
        bytes.u16(90, 4);
    }
    if index == 0 {
        // An empty directory: no entries, and its parent, which is itself.
        bytes.u64(56, 6);
        bytes.u32(178, low(ROOT));
    }
    bytes.sealed(100)
}
