//! Suspicion that grows with silence: the phi-accrual failure detector (Hayashibara et al., 2004), as
//! Pekko and Akka compute it.

use std::collections::VecDeque;
use std::time::Duration;

/// How a detector judges.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PhiSettings {
    /// From this suspicion on it is unavailable.
    pub threshold: f64,
    /// The most intervals that are remembered.
    pub samples_max: usize,
    /// Beats that come like clockwork do not make it nervous: the least deviation assumed.
    pub deviation_min: Duration,
    /// Silence that is always acceptable on top of the usual interval.
    pub pause: Duration,
    /// The interval assumed before the first one is known.
    pub first_estimate: Duration,
}

impl Default for PhiSettings {
    /// Heartbeats of one second, judged unavailable after three and a half.
    fn default() -> Self {
        Self {
            threshold: 8.0,
            samples_max: 1_000,
            deviation_min: Duration::from_millis(100),
            pause: Duration::from_secs(2),
            first_estimate: Duration::from_secs(1),
        }
    }
}

/// Listens to the heartbeats of one thing. Times count from anywhere, as long as they only grow.
#[derive(Debug, Clone)]
pub struct Phi {
    settings: PhiSettings,
    intervals: Intervals,
    last: Option<Duration>,
}

impl Phi {
    /// Has heard nothing yet.
    #[must_use]
    pub fn new(settings: PhiSettings) -> Self {
        let mut intervals = Intervals::new(settings.samples_max);
        let mean = ms(settings.first_estimate);
        intervals.push(mean - mean / 4.0);
        intervals.push(mean + mean / 4.0);
        Self { settings, intervals, last: None }
    }

    /// Takes a heartbeat. The silence that ends an outage is not learned.
    pub fn beat(&mut self, now: Duration) {
        if let Some(last) = self.last
            && self.is_available(now)
        {
            self.intervals.push(ms(now.saturating_sub(last)));
        }
        self.last = Some(self.last.map_or(now, |last| last.max(now)));
    }

    /// How suspicious the silence is; nothing is before the first heartbeat.
    #[must_use]
    pub fn suspicion(&self, now: Duration) -> f64 {
        let Some(last) = self.last else {
            return 0.0;
        };
        let deviation = self.intervals.deviation().max(ms(self.settings.deviation_min));
        let mean = self.intervals.mean() + ms(self.settings.pause);
        phi(ms(now.saturating_sub(last)), mean, deviation)
    }

    /// Whether it is not too suspicious.
    #[must_use]
    pub fn is_available(&self, now: Duration) -> bool {
        self.suspicion(now) < self.settings.threshold
    }

    /// Begins anew from now, as after a sleep of the machine: silence until now says nothing, what was
    /// learned stays.
    pub fn reset(&mut self, now: Duration) {
        self.last = self.last.map(|last| last.max(now));
    }
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

/// How unlikely it is that a beat comes still later, as the negative decimal logarithm; the normal
/// distribution is approached by a logistic one.
fn phi(silence: f64, mean: f64, deviation: f64) -> f64 {
    let y = (silence - mean) / deviation;
    let e = (-y * (1.597_6 + 0.070_566 * y * y)).exp();
    if silence > mean { -(e / (1.0 + e)).log10() } else { -(1.0 - 1.0 / (1.0 + e)).log10() }
}

/// The last intervals with their sums.
#[derive(Debug, Clone)]
struct Intervals {
    max: usize,
    all: VecDeque<f64>,
    sum: f64,
    squares: f64,
}

impl Intervals {
    fn new(max: usize) -> Self {
        Self { max: max.max(2), all: VecDeque::new(), sum: 0.0, squares: 0.0 }
    }

    fn push(&mut self, interval: f64) {
        if self.all.len() == self.max
            && let Some(oldest) = self.all.pop_front()
        {
            self.sum -= oldest;
            self.squares -= oldest * oldest;
        }
        self.all.push_back(interval);
        self.sum += interval;
        self.squares += interval * interval;
    }

    #[expect(clippy::cast_precision_loss, reason = "there are at most some thousand")]
    fn mean(&self) -> f64 {
        self.sum / self.all.len().max(1) as f64
    }

    #[expect(clippy::cast_precision_loss, reason = "there are at most some thousand")]
    fn variance(&self) -> f64 {
        let mean = self.mean();
        (self.squares / self.all.len().max(1) as f64 - mean * mean).max(0.0)
    }

    fn deviation(&self) -> f64 {
        self.variance().sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vectors are those of Pekko's AccrualFailureDetectorSpec (Apache-2.0).
    #[test]
    fn suspicion_is_that_of_the_reference() {
        for (silence, expected) in [
            (0.0, 0.0),
            (500.0, 0.1),
            (1000.0, 0.3),
            (1200.0, 1.6),
            (1400.0, 4.7),
            (1600.0, 10.8),
            (1700.0, 15.3),
        ] {
            let found = phi(silence, 1_000.0, 100.0);
            assert!((found - expected).abs() <= 0.1, "{silence}: {found}");
        }
        assert!((phi(10.0, 0.0, 1.0) - 38.0).abs() <= 1.0);
        for (x, expected) in [
            (6.0, 0.7257),
            (15.0, 0.9332),
            (20.0, 0.97725),
            (25.0, 0.99379),
            (35.0, 0.99977),
            (40.0, 0.99997),
        ] {
            let below = 1.0 - 10_f64.powf(-phi(x, 0.0, 10.0));
            assert!((below - expected).abs() <= 0.001, "{x}: {below}");
        }
        assert!(phi(1e9, 1_000.0, 100.0).is_infinite(), "a night of silence is certain");
    }

    #[test]
    fn statistics_are_those_of_the_last_intervals() {
        let mut intervals = Intervals::new(20);
        for interval in [100.0, 200.0, 125.0, 340.0, 130.0] {
            intervals.push(interval);
        }
        assert!((intervals.mean() - 179.0).abs() < 1e-5);
        assert!((intervals.variance() - 7_584.0).abs() < 1e-5);
        let mut few = Intervals::new(3);
        for interval in [9.0, 5.0, 5.0, 5.0] {
            few.push(interval);
        }
        assert!((few.mean() - 5.0).abs() < 1e-9 && few.variance() < 1e-9);
    }

    fn plain(pause_s: u64) -> Phi {
        let pause = Duration::from_secs(pause_s);
        Phi::new(PhiSettings { pause, ..PhiSettings::default() })
    }

    #[test]
    fn before_a_second_heartbeat_a_guess_is_made() {
        let mut phi = plain(0);
        assert!(phi.is_available(Duration::from_secs(1_000)), "it has said nothing yet");
        phi.beat(Duration::ZERO);
        let at = |s| phi.suspicion(Duration::from_secs(s));
        assert!((at(1) - 0.3).abs() <= 0.2, "{}", at(1));
        assert!((at(2) - 4.5).abs() <= 0.3, "{}", at(2));
        assert!(at(3) > 15.0);
    }

    #[test]
    fn the_silence_that_ends_an_outage_is_not_learned() {
        let mut phi = plain(3);
        let mut now = Duration::ZERO;
        let mut pass = |ms: u64| {
            now += Duration::from_millis(ms);
            now
        };
        phi.beat(pass(0));
        for _ in 0..999 {
            phi.beat(pass(1_000));
        }
        assert!(!phi.is_available(pass(5 * 60 * 1_000)));
        phi.beat(pass(100));
        assert!(phi.is_available(pass(900)));
        phi.beat(pass(100));
        assert!(!phi.is_available(pass(7_000)));
        phi.beat(pass(100));
        assert!(phi.is_available(pass(900)));
        phi.beat(pass(100));
        assert!(phi.is_available(pass(900)));
    }

    #[test]
    fn the_death_of_what_beats_every_second_is_seen_after_three_and_a_half() {
        let mut phi = plain(2);
        for second in 0..100 {
            phi.beat(Duration::from_secs(second));
        }
        assert!(phi.is_available(Duration::from_millis(99_000 + 3_400)));
        assert!(!phi.is_available(Duration::from_millis(99_000 + 3_600)));
        phi.reset(Duration::from_secs(8 * 3_600));
        assert!(phi.is_available(Duration::from_secs(8 * 3_600 + 2)), "the machine slept");
        assert!(!phi.is_available(Duration::from_secs(8 * 3_600 + 5)));
    }

    #[test]
    fn a_time_that_goes_back_is_no_interval() {
        let mut phi = plain(2);
        phi.beat(Duration::from_secs(10));
        phi.beat(Duration::from_secs(5));
        assert!(phi.suspicion(Duration::from_secs(5)) < 1.0);
        assert!(phi.suspicion(Duration::from_secs(11)).is_finite());
    }
}
