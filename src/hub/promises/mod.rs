//! What the hub promises, as tests of the hub as a whole; the model with weakly ordered memory is `hub/model.rs`.

mod bounds;
mod compression;
mod delivery;
mod lifetime;
mod lives;
mod recovery;
mod restart;
mod stage;
mod wildcards;
