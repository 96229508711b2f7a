//! The operating system's randomness behind [`Random`]. The only place that draws it; everybody else takes a
//! `&dyn Random`.

use crate::domain::random::Random;

/// Randomness of the operating system, through aws-lc.
#[derive(Clone, Copy, Default, Debug)]
pub struct SystemRandom;

impl Random for SystemRandom {
    #[expect(clippy::disallowed_methods, reason = "the one implementation of `Random` outside tests")]
    #[expect(
        clippy::expect_used,
        reason = "without randomness nothing may go on: any value drawn would be guessable"
    )]
    fn fill(&self, bytes: &mut [u8]) {
        aws_lc_rs::rand::fill(bytes).expect("the operating system gives random bytes once it has started");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_draw_differs_and_fills_the_whole_buffer() {
        let mut drawn = std::collections::HashSet::new();
        let mut seen = [false; 64];
        for _ in 0..64 {
            let mut bytes = [0; 64];
            SystemRandom.fill(&mut bytes);
            for (seen, byte) in seen.iter_mut().zip(bytes) {
                *seen |= byte != 0;
            }
            assert!(drawn.insert(bytes));
        }
        assert!(seen.iter().all(|seen| *seen));
    }
}
