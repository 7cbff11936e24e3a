//! The harness as a program: against its own floor, and against a server that breaks its promises one at a time.

#[cfg(test)]
mod crowds;
#[cfg(test)]
mod languages;
#[cfg(test)]
mod runs;
#[cfg(test)]
mod stub;
#[cfg(test)]
mod translator;
#[cfg(test)]
mod verification;
