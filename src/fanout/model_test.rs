//! Random operations on the fan-out and on a naive rival: a queue per connection and log.
//!
//! Checked: every byte, order, no cut frame, replies in place and complete, exact ranges of what was missed, conflation
//! only for a newer key, exact counts of losses, the bound on memory, the structure's invariants, nothing left at rest.
//!
//! One million operations; more with `FANFARE_MODEL_OPERATIONS`, other ones with `FANFARE_MODEL_SEED`.

mod actions;
mod frames;
mod invariants;
mod model;
mod random;
mod world;

use super::{LogRules, Policy, Settings};
use world::{Climate, Tried, World};

const OPERATIONS: u64 = 1_000_000;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect("a whole number"))
}

fn rules(lag_bytes: u32, lag_ticks: u32) -> Vec<LogRules> {
    [Policy::Disconnect, Policy::Skip, Policy::Latest]
        .map(|policy| LogRules { policy, lag_bytes, lag_ticks, write_delay_us: 0 })
        .to_vec()
}

/// The same, and with delays of two lengths besides.
fn delayed(rules: Vec<LogRules>) -> Vec<LogRules> {
    let delays = [0, 3, 20];
    delays
        .into_iter()
        .flat_map(|write_delay_us| rules.iter().map(move |one| LogRules { write_delay_us, ..*one }))
        .collect()
}

/// Small limits, so that each is reached all the time.
fn small() -> Settings {
    Settings {
        visit_bytes: 600,
        visit_slices: 6,
        sweep_visits: 9,
        turn_members: 3,
        segment_bytes: 400,
        by_reference_bytes: 150,
        stalled_ticks: 70,
        ..Settings::default()
    }
}

fn climates() -> Vec<Climate> {
    let usual = Climate {
        settings: small(),
        rules: rules(1500, 60),
        clients: 12,
        logs: 5,
        short: 25,
        refused: 10,
        largest_frame: 900,
    };
    vec![
        usual.clone(),
        // Hardly anyone is slow, nobody by age.
        Climate { short: 3, refused: 1, rules: rules(1500, u32::MAX), ..usual.clone() },
        // Hardly anyone gets through, most by age.
        Climate { short: 60, refused: 30, rules: rules(20_000, 20), clients: 6, ..usual.clone() },
        // Frames over the limit of their log, many logs per connection, one slice per visit.
        Climate {
            rules: rules(300, 100),
            logs: 20,
            largest_frame: 3000,
            settings: Settings { visit_slices: 1, ..small() },
            ..usual.clone()
        },
        // One log and many members.
        Climate { logs: 1, clients: 40, rules: rules(4000, 100), ..usual.clone() },
        // Nothing is kept by reference.
        Climate { settings: Settings { by_reference_bytes: 100_000, ..small() }, ..usual.clone() },
        // Most logs are written late.
        Climate { rules: delayed(rules(1500, 60)), clients: 20, logs: 8, ..usual.clone() },
        // Most are, and a budget ends many of the delays.
        Climate {
            settings: Settings { outbound_limit_bytes: 5000, ..small() },
            rules: delayed(rules(2000, 100)),
            ..usual.clone()
        },
        // A budget that a few laggards use up.
        Climate { settings: Settings { outbound_limit_bytes: 5000, ..small() }, rules: rules(2000, 100), ..usual },
    ]
}

fn run(climate: Climate, seed: u64, operations: u64) -> Tried {
    let mut world = World::new(climate, seed);
    for operation in 1..=operations {
        world.operate();
        if operation % 32 == 0 {
            invariants::check(&world.fanout);
        }
        if operation % 4096 == 0 {
            world.rest();
            if operation % 8192 == 0 {
                // Logs get other rules, slots other owners.
                world.leave();
            }
            invariants::check(&world.fanout);
        }
    }
    world.end();
    world.tried
}

#[test]
fn the_fan_out_does_what_a_naive_queue_per_connection_does() {
    let operations = number("FANFARE_MODEL_OPERATIONS", OPERATIONS);
    let seed = number("FANFARE_MODEL_SEED", 1);
    let climates = climates();
    let each = operations.div_ceil(climates.len() as u64);
    let mut all = Tried::default();
    for (index, climate) in climates.into_iter().enumerate() {
        let tried = run(climate, seed * 1000 + index as u64, each);
        println!("climate {index}: {tried:?}");
        assert!(tried.operations == each && tried.deliveries > 0 && tried.cuts > 0 && tried.finished > 0);
        all.add(&tried);
    }
    // A model that no longer reaches its hard cases would pass as well.
    if operations >= OPERATIONS {
        assert!(
            all.deliveries > all.publications
                && all.full > 100
                && all.sealed > 100
                && all.skipped > 100
                && all.conflated > 100
        );
        assert!(all.delays > 100, "{} delays ended in time", all.delays);
        assert!(all.dooms.iter().all(|&dooms| dooms > 0), "{:?}", all.dooms);
    }
}
