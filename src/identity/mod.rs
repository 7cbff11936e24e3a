//! Who a client is: signed tokens (JWT, RFC 7519), the keys that verify them, and tokens that are no longer good.
//!
//! Reading order: `algorithm`, `key` and `keys` (what may sign), `token` (the three parts, and their signature), `claims`
//! (what a token says), `verify` and `verdict` (whether it holds now): all of this is pure. Then the keys that are fetched:
//! `jwks` (pure), `schedule` (pure), `fetch`, `remote`; and `verifier`, which is what workers ask. `revocation` is who
//! was shut out since; `signing` makes tokens, for the command line.
//!
//! A key is good for its own algorithm and no other, and `none` is not one that exists here: which algorithm a token
//! *says* it has never decides how it is checked. Imports `config`, `refusal` and `admin::counters`.

mod algorithm;
mod claims;
mod fetch;
mod jwks;
mod key;
mod keys;
mod remote;
mod revocation;
mod schedule;
mod signing;
#[cfg(test)]
mod testing;
mod token;
mod verdict;
mod verifier;
mod verify;

pub use algorithm::{Algorithm, Family};
pub use claims::{Claims, ConnectionClaims, Granted, SubscriptionClaims};
pub use fetch::FetchError;
pub use jwks::SetError;
pub use key::{Key, KeyError, read_file};
pub use keys::Keys;
pub use revocation::{Fingerprint, Presented, Revocations, Shut, Standing, Written};
pub use signing::{SigningError, SigningKey};
pub use token::Token;
pub use verdict::{Reason, Verdict};
pub use verifier::{Checked, Pending, Verifier, VerifierError};
pub use verify::{Rules, verify};
