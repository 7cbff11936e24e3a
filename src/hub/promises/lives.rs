//! The hub against a naive model, at random.

use proptest::prelude::*;

use crate::hub::naive::{Asked, NAMES, Step, WORKERS, run};

fn asked() -> impl Strategy<Value = Asked> {
    prop_oneof![
        6 => (0..8_u64).prop_map(Asked::Back),
        2 => (0..8_u64, 0..6_usize).prop_map(|(back, limit)| Asked::Within(back, limit)),
        1 => (1..3_u64).prop_map(Asked::Ahead),
        1 => Just(Asked::Elsewhere),
        2 => (0..8_usize).prop_map(Asked::Last),
        1 => Just(Asked::Now),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let name = 0..NAMES.len();
    let read = (name.clone(), asked(), 0..5_usize);
    prop_oneof![
        6 => name.clone().prop_map(|name| Step::Publish { name }),
        3 => (name.clone(), 0..WORKERS, asked()).prop_map(|(name, worker, start)| Step::Join { name, worker, start }),
        2 => read.prop_map(|(name, start, limit)| Step::Read { name, start, limit }),
        3 => (name, 0..WORKERS).prop_map(|(name, worker)| Step::Leave { name, worker }),
        2 => (0..WORKERS).prop_map(|worker| Step::Drain { worker }),
        1 => (1..6u64).prop_map(|secs| Step::Wait { secs }),
        2 => Just(Step::Tidy),
    ]
}

proptest! {
    #[test]
    fn the_hub_is_as_a_list_of_what_was_accepted_and_who_was_there(
        steps in proptest::collection::vec(step(), 1..120),
    ) {
        run(steps);
    }
}
