//! Recovery never lies: whatever clients, publishers, time and restarts do, a client of the Centrifuge protocol is told
//! exactly what a list of publications says, or that it has not recovered.
//!
//! Real sessions over loopback sockets, JSON and Protobuf, on two workers, against a model of a few lines ([`topic`]): every
//! publication, as its bytes are after deltas are applied, every offset, every position and every `recovered`.
//! `PROPTEST_CASES=2000 cargo test --test integration sessions::` for more than the usual number of random stories.

mod delta;
mod kinds;
mod payload;
mod step;
mod subscriber;
mod topic;
mod wire;
mod world;

use proptest::test_runner::{Config, TestRunner};

use step::story;
use world::World;

/// Stories of one run, if `PROPTEST_CASES` does not say otherwise.
const STORIES: u32 = 24;

#[test]
fn each_client_is_told_what_the_model_says_or_that_it_has_not_recovered() {
    let stories = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(STORIES);
    // A failing story is printed smallest; no file of it is kept beside the tests.
    let config = Config { cases: stories, failure_persistence: None, max_shrink_iters: 400, ..Config::default() };
    let outcome = TestRunner::new(config).run(&story(), |story| {
        let mut world = World::new(story.sync, &story.topics);
        for step in story.steps {
            world.step(step);
        }
        world.finish();
        Ok(())
    });
    outcome.unwrap();
}
