//! The buckets against a model that adds up by hand, with a clock that is moved by hand.

use std::collections::HashMap;

use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse as _;
use governor::clock::FakeRelativeClock;
use proptest::prelude::*;

use super::*;
use crate::problem::Problem;

fn rate(text: &str) -> Option<Rate> {
    Rate::read(text).expect("a rate")
}

fn buckets(user: &str, address: &str, room: &str) -> (Buckets<FakeRelativeClock>, FakeRelativeClock) {
    let fair =
        Fair { per_user: rate(user), per_address: rate(address), per_room: rate(room), ..Fair::default() };
    let clock = FakeRelativeClock::default();
    (Buckets::with_clock(&fair, &Network::default(), &clock), clock)
}

fn caller<'a>(user: &'a str, address: &str, room: &'a str) -> Caller<'a> {
    Caller { user: Some(User::Proven(user)), address: address.parse().expect("an address"), room }
}

#[test]
fn each_bucket_refuses_in_its_turn_and_says_when_it_has_enough() {
    let (buckets, clock) = buckets("2/s:4", "10/s:6", "100/s:7");
    let one = caller("a", "192.0.2.1", "lobby");
    assert_eq!(buckets.check(&one, 3).map(|left| (left.which, left.remaining)), Ok((Some(Kind::User), 1)));
    let limited = buckets.check(&one, 2).expect_err("refused");
    assert_eq!((limited.which, limited.remaining, limited.cost), (Kind::User, 1, 2));
    assert_eq!(limited.retry_after, Duration::from_millis(500));
    clock.advance(Duration::from_millis(499));
    assert!(buckets.check(&one, 2).is_err());
    clock.advance(Duration::from_millis(1));
    assert_eq!(buckets.check(&one, 2).map(|left| left.remaining), Ok(0));
    // The address had 6, gave 5 and got back 5 in half a second: the refused ones took nothing.
    let other = caller("b", "192.0.2.1", "lobby");
    assert_eq!(buckets.check(&other, 4).map(|left| (left.which, left.remaining)), Ok((Some(Kind::User), 0)));
    let limited = buckets.check(&caller("c", "192.0.2.1", "hall"), 1).expect_err("refused");
    assert_eq!(limited.which, Kind::Address);
    assert!(buckets.check(&caller("c", "192.0.2.2", "hall"), 1).is_ok());
    let limited = buckets.check(&caller("d", "192.0.2.2", "lobby"), 2).expect_err("refused");
    assert_eq!((limited.which, limited.remaining), (Kind::Room, 1));
}

#[test]
fn a_user_who_is_refused_takes_nothing_from_the_room() {
    let (buckets, _clock) = buckets("1/s:1", "off", "1/m:100");
    for _ in 0..1_000 {
        let _ = buckets.check(&caller("loud", "192.0.2.1", "lobby"), 1);
    }
    let left =
        buckets.check(&Caller { user: None, ..caller("", "192.0.2.1", "lobby") }, 1).expect("let through");
    assert_eq!((left.which, left.remaining), (Some(Kind::Room), 98));
}

#[test]
fn nobody_empties_the_bucket_of_a_name_that_he_only_claims() {
    let (buckets, _clock) = buckets("1/m:2", "off", "off");
    let claimed = |address: &str| Caller { user: Some(User::Claimed("ann")), ..caller("", address, "lobby") };
    assert!(buckets.check(&claimed("192.0.2.1"), 2).is_ok());
    assert!(buckets.check(&claimed("192.0.2.1"), 1).is_err());
    assert!(buckets.check(&claimed("192.0.2.2"), 1).is_ok());
    assert!(buckets.check(&caller("ann", "192.0.2.1", "lobby"), 2).is_ok());
    assert!(buckets.check(&caller("ann", "192.0.2.9", "lobby"), 1).is_err(), "a proven name has one bucket");
}

#[test]
fn addresses_count_by_customer_and_not_at_all_where_they_are_exempt() {
    let (buckets, _clock) = buckets("off", "1/m:1", "off");
    assert!(buckets.check(&caller("a", "2001:db8:1:2::1", "lobby"), 1).is_ok());
    assert!(buckets.check(&caller("a", "2001:db8:1:2:ffff::9", "lobby"), 1).is_err());
    assert!(buckets.check(&caller("a", "2001:db8:1:3::1", "lobby"), 1).is_ok());
    for _ in 0..10 {
        let left = buckets.check(&caller("a", "127.0.0.1", "lobby"), 50).expect("exempt");
        assert_eq!((left.which, left.asked), (None, 0));
    }
}

#[test]
fn more_at_once_than_a_bucket_holds_is_told_apart() {
    let (buckets, _clock) = buckets("20/s:100", "off", "off");
    let limited = buckets.check(&caller("a", "192.0.2.1", "lobby"), 101).expect_err("refused");
    assert!(limited.is_too_much_at_once());
    assert_eq!(limited.retry_after, Duration::from_secs(5));
    assert_eq!(buckets.check(&caller("a", "192.0.2.1", "lobby"), 100).map(|left| left.remaining), Ok(0));
    assert!(
        !buckets.check(&caller("a", "192.0.2.1", "lobby"), 1).expect_err("refused").is_too_much_at_once()
    );
}

#[test]
fn the_headers_name_every_policy_and_the_tightest_bucket() {
    let (buckets, _clock) = buckets("20/s:100", "2000/s:10000", "20000/s:40000");
    let text = |headers: &HeaderMap, name: &str| headers[name].to_str().expect("text").to_owned();
    let left = buckets.check(&caller("a", "192.0.2.1", "lobby"), 58).expect("let through");
    let headers = HeaderMap::from_iter(buckets.headers(&left).expect("limited"));
    assert_eq!(
        text(&headers, "ratelimit-policy"),
        r#""user";q=100;w=5, "address";q=10000;w=5, "room";q=40000;w=2"#
    );
    assert_eq!(text(&headers, "ratelimit"), r#""user";r=42;t=3"#, "58 tokens take 2.9 s");
    let left = buckets.check(&caller("a", "127.0.0.1", "lobby"), 1).expect("let through");
    let headers = HeaderMap::from_iter(buckets.headers(&left).expect("limited"));
    assert_eq!(text(&headers, "ratelimit-policy"), r#""user";q=100;w=5, "room";q=40000;w=2"#);
    let limited = buckets.check(&caller("a", "192.0.2.1", "lobby"), 50).expect_err("refused");
    let headers = HeaderMap::from_iter(limited.headers());
    // What stands behind the bucket that refused was not asked.
    assert_eq!(text(&headers, "ratelimit-policy"), r#""user";q=100;w=5"#);
    assert_eq!(text(&headers, "ratelimit"), r#""user";r=41;t=1"#);
    let (unlimited, _clock) = self::buckets("off", "off", "off");
    let left = unlimited.check(&caller("a", "192.0.2.1", "lobby"), 1).expect("free");
    assert!(unlimited.headers(&left).is_none());
}

#[test]
fn a_refusal_is_a_problem_that_says_when_to_try_again() {
    let (buckets, _clock) = buckets("2/s:4", "off", "off");
    let one = caller("a", "192.0.2.1", "lobby");
    assert!(buckets.check(&one, 4).is_ok());
    for (cost, seconds, part) in [(3, "2", "0 of 3 reactions"), (5, "2", "send fewer at a time")] {
        let problem = Problem::rate_limited(&buckets.check(&one, cost).expect_err("refused"));
        assert!(problem.to_json().contains(&format!("\"retry_after\":{seconds}")), "{}", problem.to_json());
        assert!(problem.to_json().contains(part), "{}", problem.to_json());
        let response = problem.into_response();
        assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
        let headers = response.headers();
        // The first waits for a second and a half, the second until the bucket is full.
        assert_eq!(headers["retry-after"], seconds);
        assert_eq!(headers["ratelimit"], format!("\"user\";r=0;t={seconds}"));
        assert_eq!(headers["ratelimit-policy"], r#""user";q=4;w=2"#);
    }
}

#[test]
fn who_invents_users_is_held_by_address_and_room_and_the_table_by_its_bound() {
    let fair = Fair {
        per_user: rate("1/m:1"),
        per_address: rate("1/m:500"),
        per_room: rate("off"),
        buckets_max: 64,
    };
    let buckets = Buckets::with_clock(&fair, &Network::default(), &FakeRelativeClock::default());
    let taken = (0..5_000)
        .filter(|n| buckets.check(&caller(&format!("user-{n}"), "192.0.2.1", "lobby"), 1).is_ok())
        .count();
    assert_eq!(taken, 500);
    let users = buckets.user.expect("limited").buckets.into_state_store();
    assert_eq!(users.len(), 64);
}

/// A token bucket as one would write it down: tokens, in nanoseconds of filling.
struct Model {
    rate: Rate,
    debts: HashMap<u8, u64>,
}

impl Model {
    fn pass(&mut self, time: Duration) {
        let time = u64::try_from(time.as_nanos()).expect("short");
        for debt in self.debts.values_mut() {
            *debt = debt.saturating_sub(time);
        }
    }

    /// What is left if `cost` tokens are there.
    fn take(&mut self, key: u8, cost: u32) -> Option<u32> {
        let price = |tokens: u32| u64::try_from(self.rate.time_of(tokens).as_nanos()).expect("short");
        let (full, one) = (price(self.rate.burst().get()), price(1));
        let debt = self.debts.entry(key).or_default();
        let after = *debt + price(cost);
        (after <= full).then(|| {
            *debt = after;
            u32::try_from((full - after) / one).expect("small")
        })
    }
}

proptest! {
    #[test]
    fn buckets_do_as_the_model_does(
        rates in prop::collection::vec((1u32..50, 1u32..20, any::<bool>()), 3),
        steps in prop::collection::vec((0u8..3, 0u8..3, 0u8..2, 1u32..8, 0u64..2_000), 1..200),
    ) {
        let rates: Vec<Rate> = rates
            .into_iter()
            .map(|(amount, burst, slow)| {
                if slow { Rate::per_minute(amount, burst) } else { Rate::per_second(amount, burst) }.expect("a rate")
            })
            .collect();
        let fair = Fair {
            per_user: Some(rates[0]),
            per_address: Some(rates[1]),
            per_room: Some(rates[2]),
            ..Fair::default()
        };
        let clock = FakeRelativeClock::default();
        let buckets = Buckets::with_clock(&fair, &Network::default(), &clock);
        let mut models: Vec<Model> =
            rates.iter().map(|rate| Model { rate: *rate, debts: HashMap::new() }).collect();
        for (user, address, room, cost, pause_ms) in steps {
            let pause = Duration::from_millis(pause_ms);
            clock.advance(pause);
            models.iter_mut().for_each(|model| model.pass(pause));
            let (user_name, room_name) = (format!("u{user}"), format!("r{room}"));
            let verdict = buckets.check(&caller(&user_name, &format!("192.0.2.{address}"), &room_name), cost);
            let mut expected = Ok(u32::MAX);
            for ((model, key), kind) in models.iter_mut().zip([user, address, room]).zip(Kind::ALL) {
                let Ok(least) = expected else { break };
                expected = model.take(key, cost).map(|left| left.min(least)).ok_or(kind);
            }
            match (verdict, expected) {
                (Ok(left), Ok(remaining)) => prop_assert_eq!(left.remaining, remaining),
                (Err(limited), Err(kind)) => {
                    prop_assert_eq!(limited.which, kind);
                    if !limited.is_too_much_at_once() {
                        // After the time that was told there is enough, and not before.
                        let model = &mut models[kind as usize];
                        let key = [user, address, room][kind as usize];
                        let debt = model.debts[&key];
                        let full = model.rate.time_of(model.rate.burst().get() - cost);
                        let wait = Duration::from_nanos(debt) - full;
                        prop_assert_eq!(limited.retry_after, wait);
                    }
                }
                (verdict, expected) => prop_assert!(false, "{verdict:?}, the model says {expected:?}"),
            }
        }
    }
}

/// Prints what a check costs, the best of some rounds, since others use the machine too:
/// `cargo test --release -p ovation-gateway --lib cost_of_a_check -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
#[expect(clippy::print_stdout, reason = "a measurement tells its result")]
fn cost_of_a_check() {
    const CHECKS: u32 = 50_000;
    const ROUNDS: u32 = 60;
    let fair = Fair {
        per_user: rate("1000000/s:1000000"),
        per_address: rate("1000000/s:1000000"),
        ..Fair::default()
    };
    let names: Vec<String> = (0..50_000).map(|n| format!("user-{n}")).collect();
    for (users, what) in [(100, "100 users"), (50_000, "50,000 users")] {
        let buckets = Buckets::new(&fair, &Network::default());
        let mut best = Duration::MAX;
        for round in 0..ROUNDS {
            let begin = std::time::Instant::now();
            for n in 0..CHECKS {
                let place = n.wrapping_mul(7_919).wrapping_add(round) % users;
                let [.., high, low] = place.to_be_bytes();
                let user = Some(User::Claimed(&names[place as usize]));
                let address = IpAddr::from([192, 0, high, low]);
                let _ = std::hint::black_box(buckets.check(&Caller { user, address, room: "lobby" }, 1));
            }
            best = best.min(begin.elapsed());
        }
        println!("{what}: {} ns a check of three buckets", best.as_nanos() / u128::from(CHECKS));
    }
}
