//! Randomness, from one place.
//!
//! Jitter, back-off, names: every random choice comes from [`Random`], so that one `u64` seed decides a whole
//! simulated run. It is not meant for secrets.

use std::sync::{Arc, Mutex, PoisonError};

/// A source of random numbers. Clones share their state; use [`Random::fork`] for an independent stream.
#[derive(Clone, Debug)]
pub struct Random {
    generator: Arc<Mutex<fastrand::Rng>>,
}

impl Random {
    /// Seeded by the system: another sequence in every process.
    pub fn system() -> Self {
        Self::from_generator(fastrand::Rng::new())
    }

    /// The same sequence for the same seed.
    pub fn seeded(seed: u64) -> Self {
        Self::from_generator(fastrand::Rng::with_seed(seed))
    }

    /// An independent stream, seeded from this one: drawing from it does not disturb this one's later numbers.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self::seeded(self.u64())
    }

    /// Any 64-bit number.
    pub fn u64(&self) -> u64 {
        self.with(|generator| generator.u64(..))
    }

    /// A number in `[0, 1)`.
    pub fn f64(&self) -> f64 {
        self.with(fastrand::Rng::f64)
    }

    /// A number below `bound`; 0 if `bound` is 0.
    pub fn below(&self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { self.with(|generator| generator.u64(..bound)) }
    }

    /// A random (version 4) UUID.
    pub fn uuid(&self) -> uuid::Uuid {
        let bytes = self.with(|generator| generator.u128(..)).to_be_bytes();
        uuid::Builder::from_random_bytes(bytes).into_uuid()
    }

    fn from_generator(generator: fastrand::Rng) -> Self {
        Self { generator: Arc::new(Mutex::new(generator)) }
    }

    fn with<T>(&self, draw: impl FnOnce(&mut fastrand::Rng) -> T) -> T {
        draw(&mut self.generator.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_decides_everything() {
        let (left, right) = (Random::seeded(7), Random::seeded(7));
        let draw = |random: &Random| (random.u64(), random.f64().to_bits(), random.below(10), random.uuid());
        assert_eq!(draw(&left), draw(&right));
        assert_ne!(draw(&Random::seeded(8)), draw(&Random::seeded(7)));
    }

    #[test]
    fn a_fork_does_not_disturb_its_parent() {
        let (left, right) = (Random::seeded(7), Random::seeded(7));
        let (fork, _unused) = (left.fork(), right.fork());
        fork.u64();
        assert_eq!(left.u64(), right.u64());
    }

    #[test]
    fn uuids_are_version_four_and_bounds_hold() {
        let random = Random::system();
        assert_eq!(random.uuid().get_version_num(), 4);
        assert_eq!(random.below(0), 0);
        assert!((0..100).all(|_| random.below(3) < 3));
    }
}
