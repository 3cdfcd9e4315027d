//! Chance, from a seed.

use fastrand::Rng;

/// Expected counts from here on are drawn from the normal distribution, which is then as good.
const NORMAL_FROM: f64 = 30.0;

/// A standard normal number (Box and Muller).
pub(crate) fn normal(rng: &mut Rng) -> f64 {
    let radius = (-2.0 * (1.0 - rng.f64()).ln()).sqrt();
    radius * (std::f64::consts::TAU * rng.f64()).cos()
}

/// A count of things that happen `mean` times on average, each by itself.
pub(crate) fn poisson(rng: &mut Rng, mean: f64) -> u64 {
    if mean >= NORMAL_FROM {
        return (mean + mean.sqrt() * normal(rng)).round().max(0.0) as u64;
    }
    let (limit, mut product, mut count) = ((-mean).exp(), rng.f64(), 0);
    while product > limit {
        product *= rng.f64();
        count += 1;
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_have_their_mean_and_spread() {
        let mut rng = Rng::with_seed(1);
        for mean in [0.0, 0.3, 5.0, 200.0] {
            let counts: Vec<f64> = (0..20_000).map(|_| poisson(&mut rng, mean) as f64).collect();
            let average = counts.iter().sum::<f64>() / counts.len() as f64;
            let spread =
                counts.iter().map(|count| (count - average).powi(2)).sum::<f64>() / counts.len() as f64;
            assert!((average - mean).abs() <= 0.05 * mean.max(0.1), "{mean}: {average}");
            assert!((spread - mean).abs() <= 0.08 * mean.max(0.1), "{mean}: {spread}");
        }
    }
}
